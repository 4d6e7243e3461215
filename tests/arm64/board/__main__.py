"""``make test-arm64-system``: a card on a whole emulated arm64 board; prints what it proved and how long it took.

    python -m tests.arm64.board [--cuts N] [--folder DIR] [PROOF ...]

A folder that is named is kept, with the card, the console's log and the key; the next call goes on with that card, so
that single proofs need no first boot. Ends with 0 when all was proved, 1 when not, 69 where it cannot be tried.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.arm64.board.base import base_image
from tests.arm64.board.bench import Bench, remove
from tests.arm64.board.cuts import power_cuts
from tests.arm64.board.first_boot import first_boot, first_boot_cut
from tests.arm64.board.flying import detection, doctor, golden, limits, panic, virtual_camera, writes
from tests.arm64.board.machine import check_tools
from tests.arm64.board.own_image import image
from tests.system.container import FailedError, NotAllowedError

ROOT = Path(__file__).parents[3]
BOARD = "arm64-python3.13"
PROOFS: tuple[Callable[[Bench], str], ...] = (
    first_boot, doctor, detection, golden, limits, virtual_camera, writes, panic, power_cuts, first_boot_cut, image,
)  # fmt: skip


def main() -> int:
    """Make, boot, prove."""
    known = {proof.__name__: proof for proof in PROOFS}
    parser = argparse.ArgumentParser(prog="test-arm64-system", description="A card on an emulated arm64 board.")
    parser.add_argument("proofs", nargs="*", metavar="PROOF", help=f"these alone: {', '.join(known)}")
    parser.add_argument("--cuts", type=int, default=10, help="how often the power is cut (10)")
    parser.add_argument("--deb", type=Path, help="this package rather than the newest of dist/")
    parser.add_argument("--folder", type=Path, help="keep the card here, and go on with the one that is here")
    given = parser.parse_args()
    unknown = [name for name in given.proofs if name not in known]
    if unknown:
        parser.error(f"no proof {unknown[0]!r}; known: {', '.join(known)}")
    folder = given.folder or Path(tempfile.mkdtemp(prefix="spanhawk-board-", dir="/var/tmp"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if os.geteuid() != 0:
            raise NotAllowedError("needs root")
        check_tools()
        bench = Bench(folder, *base_image(_say), given.deb or _package(), given.cuts)
        with bench.board:
            return _prove(bench, [known[name] for name in given.proofs] or list(PROOFS))
    except NotAllowedError as error:
        _say(f"NOT PROVED: this machine cannot emulate the board: {error}")
        return 69
    finally:
        if given.folder is None:
            remove(folder)


def _prove(bench: Bench, proofs: list[Callable[[Bench], str]]) -> int:
    """Run the proofs in order; 1 when one is missing."""
    proved = 0
    for proof in proofs:
        begun = time.monotonic()
        what = (proof.__doc__ or proof.__name__).splitlines()[0].rstrip(".")
        try:
            detail = proof(bench)
        except (FailedError, AssertionError, subprocess.SubprocessError, OSError) as error:
            _say(f"FAILED  {what}")
            traceback.print_exception(error)
            if proof is first_boot:
                break
            continue
        proved += 1
        _say(f"{time.monotonic() - begun:6.0f} s  {what}: {detail}")
    _say(f"{proved} of {len(proofs)} proved")
    return 0 if proved == len(proofs) else 1


def _package() -> Path:
    """The newest package for this board. Raises NotAllowedError without one."""
    found = sorted((ROOT / "dist").glob(f"spanhawk_*_{BOARD}.deb"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise NotAllowedError(f"no dist/spanhawk_*_{BOARD}.deb; make deb BOARD={BOARD}")
    return found[-1]


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
