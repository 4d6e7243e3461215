"""Proof of ``make image``: it starts by itself, keeps its data alone, and flies."""

from __future__ import annotations

import os

from card import debian
from tests.arm64.board.base import SLOWER
from tests.arm64.board.bench import Bench, recorded
from tests.arm64.board.machine import BY_UEFI, Board

CARD_MB = 1024
"""How much larger the card is than the image."""


def image(bench: Bench) -> str:
    """An image of Debian alone: its read-only root forgets, its data partition takes the card and stays, it flies."""
    disk = bench.folder / "image.img"
    debian.make(disk, bench.card_toml("image"), bench.deb, print, SLOWER)
    made_mb = disk.stat().st_size >> 20
    os.truncate(disk, (made_mb + CARD_MB) << 20)
    with Board(disk, BY_UEFI, bench.key, bench.folder) as board:
        board.boot()
        ready = _ready(board)
        board.wait("a detection is recorded", "[ $(spanhawk outbox list | wc -l) -gt 0 ]", 600)
        size_mb = int(board.run("df --output=size -m /var/lib/spanhawk | tail -n 1"))
        assert size_mb > CARD_MB, f"the data partition has {size_mb} MB: {board.run('lsblk; df -m')}"
        assert board.run("findmnt -no FSTYPE /").strip() == "overlay"
        assert "ro," in board.run("findmnt -no OPTIONS /media/root-ro")
        board.run("echo gone >/etc/gone; echo gone >/opt/gone; echo kept >/var/lib/spanhawk/kept")
        board.run("echo '# mine' >>/etc/spanhawk/spanhawk.toml; sync")
        put = recorded(board)
        board.cut()

        board.boot()
        again = _ready(board)
        board.run("test ! -e /etc/gone && test ! -e /opt/gone && test -e /var/lib/spanhawk/kept")
        assert "# mine" in board.run("cat /etc/spanhawk/spanhawk.toml")
        assert put
        assert put <= recorded(board)
        written = {
            name: int(board.run(f"sync; cat /sys/block/vda/vda{number}/stat").split()[6]) * 512
            for number, name in ((1, "esp"), (2, "root"), (3, "data"))
        }
        assert (written["esp"], written["root"]) == (0, 0), written
        assert board.run("hostname").strip() == "drone1"
        failed = board.run("systemctl --failed --no-legend --plain").strip()
        assert not failed, failed
        free = board.run("free -m | awk '/^Mem/ {print $7}'").strip()
        board.off()
    disk.unlink()
    return (
        f"image of {made_mb} MB; READY {ready:.0f} s after the kernel's start, {again:.0f} s after the cut; "
        f"data {size_mb} MB; {len(put)} detections put before the cut, all there; esp and root not written, to data "
        f"{written['data'] / 1e6:.1f} MB; {free} MB of memory available"
    )


def _ready(board: Board) -> float:
    """When the service was READY, seconds of the kernel's clock."""
    board.wait("the service is ready", "systemctl is-active --quiet spanhawk", 900)
    return int(board.show("ActiveEnterTimestampMonotonic")) / 1e6
