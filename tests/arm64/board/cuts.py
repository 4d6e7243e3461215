"""The proof of proofs: the power goes while detections flow, and nothing that was put is lost."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.arm64.board.bench import PYTHON, Bench, recorded
from tests.arm64.board.machine import Board
from tests.system.container import FailedError

PUTTER = Path(__file__).parents[2] / "outbox/putter.py"
FOLDER = "/var/lib/spanhawk-witness"
BUSY_HOST_S = 1800  # no goal, only an end: an emulator that shares its host does a tenth of what it could


def power_cuts(bench: Bench) -> str:
    """The power is cut while detections flow: after the boot, none that was put is missing."""
    chance, rounds = random.Random(), []
    put: set[str] = set()
    flown: set[str] = set()
    board = bench.up()
    board.run(f"mkdir -p {FOLDER} && touch /etc/cloud/cloud-init.disabled")
    board.copy(PUTTER, "/root/putter.py")
    for number in range(bench.cuts):
        # Every other time there is no broker: detections then only wait.
        board.run(f"systemctl {'stop' if number % 2 else 'start'} mosquitto")
        board.wait("a new detection", _newer(len(flown)), BUSY_HOST_S)
        with _Witness(board, number) as witness:
            end = time.monotonic() + chance.uniform(8, 20)
            while time.monotonic() < end:
                flown |= recorded(board)
            lost_kib = board.cut() >> 10
        put |= witness.put
        seconds = board.boot()
        board.wait("the service is ready", "systemctl is-active --quiet spanhawk", BUSY_HOST_S)
        missing = (put - _kept(board)) | (flown - recorded(board))
        if missing:
            raise FailedError(f"cut {number + 1}: {len(missing)} lost, as {sorted(missing)[:5]}")
        rounds.append(f"{lost_kib}/{seconds:.0f}")
    board.run("systemctl start mosquitto")
    return (
        f"{bench.cuts} cuts, {len(put)} letters of the witness and {len(flown)} detections of the daemon put, 0 lost "
        f"(KiB lost of the disk's cache / s to boot: {', '.join(rounds)})"
    )


class _Witness:
    """Puts letters on the board beside the daemon, and tells this host which puts have returned."""

    def __init__(self, board: Board, number: int) -> None:
        self.put: set[str] = set()
        self._process = board.spoken(
            f"exec {PYTHON} /root/putter.py {FOLDER}/outbox.db {number}{int(time.time()) % 10000}"
        )
        self._reader = threading.Thread(target=self._read)

    def __enter__(self) -> _Witness:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(30)
        self._reader.join(30)

    def _read(self) -> None:
        for words in self._whole_lines():
            if words[:1] == ["put"]:
                self.put |= set(words[1:])

    def _whole_lines(self) -> Iterator[list[str]]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):
                yield line.split()


def _newer(than: int) -> str:
    return f"[ $(spanhawk outbox list --limit 100000 --outbox /var/lib/spanhawk/outbox.db | wc -l) -gt {than} ]"


def _kept(board: Board) -> set[str]:
    """The ids in the witness's outbox, opened as the daemon opens its own."""
    script = (
        "from pathlib import Path; from edge.outbox.sqlite import Options, open_outbox; "
        "from edge.support.clock import SystemClock; "
        f"options = Options(path=Path('{FOLDER}/outbox.db'), ballast_bytes=0, min_free_bytes=0); "
        "box = open_outbox(options, SystemClock()); "
        "box.__enter__(); assert box.health() is None, box.health(); "
        "print(*(one.letter.id for one in box.list(10**6)), sep='\\n')"
    )
    return set(board.run(f'{PYTHON} -c "{script}"').split())
