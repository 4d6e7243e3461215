"""The wall clock is set by years, both ways, while the daemon flies (libfaketime; the monotonic clock stays)."""

from __future__ import annotations

from pathlib import Path

from tests.faults.row import Measured, NotRunError, Row, Scale
from tests.faults.world import pause, until, world

_STEPS = ("+3650d", "-9000d", "+0d", "-3650d", "+20000d")


def run(scale: Scale) -> Measured:
    """Each step: written to the file that libfaketime reads, then detections must go on."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise NotRunError("needs libfaketime (apt install libfaketime)")
    steps, offset = _STEPS[: scale.times(5, 2)], scale.folder / "offset"
    offset.write_text("+0d\n", encoding="ascii")
    environment = {
        "LD_PRELOAD": str(found[0]), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    with world(scale.folder) as made:
        made.start(environment)
        for step in steps:
            before = made.kept()
            until(lambda before=before: made.kept() > before, "detections to go on")
            offset.write_text(f"{step}\n", encoding="ascii")
            pause(1.0)
            if not made.alive:
                return Measured(f"the daemon ended at {step}", held=False)
        _, account = made.settle()
    figures = (
        f"{len(steps)} steps ({', '.join(steps)}): daemon alive, {account.put} put, {account.gaps} gaps, "
        f"{account.missing} not received"
    )
    return Measured(figures, not (account.gaps or account.missing or account.unknown))


ROW = Row("clock", "clock stepped by years both ways", "0 lost, daemon alive", run)
