"""A small round of the faults that `make faults` provokes in full."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.row import NotRunError, Row, Scale
from tests.faults.rows import ROWS

# These start the daemon for what other tests show.
ONLY_IN_FULL = {"disk-slow", "accelerator", "accelerator-noise"}
SMALL = [row for row in ROWS if row.name not in ONLY_IN_FULL]


@pytest.mark.parametrize("row", SMALL, ids=[row.name for row in SMALL])
def test_it_holds(row: Row, tmp_path: Path) -> None:
    try:
        measured = row.run(Scale(tmp_path, quick=True))
    except NotRunError as error:
        pytest.skip(str(error))
    assert measured.held, measured.figures
