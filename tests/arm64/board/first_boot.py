"""Proofs of the card: made without root, installs at the first boot without a network, goes on after a cut."""

from __future__ import annotations

import random
import subprocess
import time

from tests.arm64.board.bench import INSTALL_S, PAYLOAD, REPORT, Bench
from tests.arm64.board.machine import Board
from tests.system.container import FailedError

GOAL_S = 180


def first_boot(bench: Bench) -> str:
    """A card installs spanhawk at the first boot, without a network, to READY."""
    image = bench.make_card()
    for what, words in (("partition table", ["--bytes=8MiB"]), ("root partition", ["--ignore-initial=520MiB"])):
        same = subprocess.run(["cmp", *words, str(image), str(bench.base)], capture_output=True, text=True)
        assert same.returncode == 0, f"the card's {what} is another: {same.stdout}{same.stderr}"
    board = bench.board
    login = board.boot()
    _installed(board)
    report = board.run(f"cat {REPORT}")
    assert report.startswith("spanhawk first boot: DONE\n"), report
    assert "spanhawk runs" in report, report
    assert board.run(f"ls {PAYLOAD}").split() == ["SHA256SUMS", "first-boot.sh"]
    assert board.run("stat -c '%a %U' /etc/spanhawk/credentials/mqtt-password").split() == ["600", "root"]
    assert board.run("hostname").strip() == "drone1"
    status = board.run("cloud-init status --long || true")
    assert "DataSourceNoCloud" in status, status
    assert "errors: []" in status, status
    assert board.try_run("ip route get 192.0.2.1").returncode != 0, "there is a way out: this proves nothing"
    begun = _first_told_s(board, "spanhawk-card", "checking the files on the card")
    ready = _first_told_s(board, "spanhawk", " Started spanhawk.service")
    again = board.run(f"sh {PAYLOAD}/first-boot.sh prepare; sh {PAYLOAD}/first-boot.sh install; cat {REPORT}")
    assert again.startswith("spanhawk first boot: DONE\n"), again
    return (
        f"login {login:.0f} s after power; the kernel's clock says: install began {begun:.0f} s, READY {ready:.0f} s, "
        f"so {ready - begun:.0f} s for the install (goal {GOAL_S} s)"
    )


def first_boot_cut(bench: Bench) -> str:
    """A first boot that is cut off at random moments goes on at the next boot; no half install flies."""
    bench.make_card("cut")
    chance, moments = random.Random(), []
    with bench.with_disk("cut") as board:
        for _ in range(bench.cuts):
            board.boot()
            if board.try_run("test -e /var/lib/spanhawk-card/done").returncode == 0:
                break
            begun = time.monotonic()
            _flies_only_whole(board)
            time.sleep(chance.uniform(0, 40))
            said = board.run(f"tail -n 1 {REPORT} 2>/dev/null || true").strip()
            lost = board.cut()
            moments.append(
                f"{time.monotonic() - begun:.0f} s after login ({said or 'no report yet'}; {lost >> 10} KiB lost)"
            )
        if not board.powered:
            board.boot()
        _installed(board)
        assert board.run(f"cat {REPORT}").startswith("spanhawk first boot: DONE\n")
        board.run("dpkg --verify spanhawk && systemctl is-active spanhawk")
        board.off()
    return f"{len(moments)} cuts: " + "; ".join(moments)


def _flies_only_whole(board: Board) -> None:
    active = board.try_run("systemctl is-active --quiet spanhawk").returncode == 0
    if active:
        board.run("test -e $(readlink -f /opt/spanhawk/current)/.complete")


def _installed(board: Board) -> None:
    end = time.monotonic() + INSTALL_S
    while time.monotonic() < end:
        report = board.run(f"cat {REPORT} 2>/dev/null || true")
        if report.startswith("spanhawk first boot: DONE\n"):
            board.wait("rest", "! systemctl is-active --quiet spanhawk-card", 120)
            return
        if report.startswith("spanhawk first boot: FAILED\n"):
            raise FailedError(report)
        time.sleep(5)
    raise FailedError(f"not installed within {INSTALL_S} s\n{board.console()[-3000:]}")


def _first_told_s(board: Board, unit: str, words: str) -> float:
    """When the journal of a unit has these words first in this boot, seconds of the kernel's clock."""
    said = board.run(f"journalctl -b -u {unit} -o short-monotonic --no-pager | grep -m1 '{words}'")
    return float(said.split("]")[0].strip("[ "))
