"""A small round of every fault that `make faults` provokes in full."""

from __future__ import annotations

import pytest

from tests.faults.row import NotRunError, Row, Scale
from tests.faults.rows import ROWS


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_it_holds(row: Row, tmp_path) -> None:
    try:
        measured = row.run(Scale(tmp_path, quick=True))
    except NotRunError as error:
        pytest.skip(str(error))
    assert measured.held, measured.figures
