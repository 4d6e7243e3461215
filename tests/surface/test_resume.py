"""A daemon that is started again goes on with the names that it gave."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.support.errors import TryAgainError
from edge.surface.inventory import Inventory
from edge.surface.lines import Line
from edge.surface.record import CrackState
from edge.surface.resume import NUMBERS_MARGIN, REVISIONS_MARGIN, from_bytes, to_bytes
from tests.surface.test_inventory import look
from tests.surface.wall import seen_in, wall, window, zigzag


def _flown() -> tuple[Inventory, np.ndarray, np.ndarray]:
    concrete, line = wall(4), zigzag((500, 240), (0, 1), 45, seed=1)
    inventory = Inventory()
    for number in range(4):
        _see(inventory, concrete, line, number)
    return inventory, concrete, line


def _see(inventory: Inventory, concrete: np.ndarray, line: np.ndarray, number: int) -> tuple[int | None, ...]:
    part = seen_in(line, 40.0 * number, 100.0)
    assert part is not None
    return inventory.add(look(number, window(concrete, 40.0 * number, 100), [part])).numbers


def test_a_crack_keeps_its_name_and_its_views_over_a_restart() -> None:
    inventory, concrete, line = _flown()
    (before,) = inventory.all()
    again = from_bytes(to_bytes(inventory))
    assert _see(again, concrete, line, 5) == (before.number,)
    (after,) = again.all()
    assert (after.views, after.state, after.chart) == (before.views + 1, before.state, before.chart)
    assert after.first_seen == before.first_seen
    assert after.width_px == pytest.approx(before.width_px, rel=0.01)
    assert after.revision >= before.revision + REVISIONS_MARGIN


def test_no_revision_is_given_twice_by_a_run_that_ended_after_the_writing() -> None:
    """The crack is written down before anybody was told of it, then told, and then the power is cut."""
    concrete, line = wall(4), zigzag((500, 240), (0, 1), 45, seed=1)

    def fly(inventory: Inventory, numbers: range) -> list[CrackState]:
        told: list[CrackState] = []
        for number in numbers:
            part = seen_in(line, 40.0 * number, 100.0)
            assert part is not None
            told += inventory.add(look(number, window(concrete, 40.0 * number, 100), [part], 0.75)).revisions
        return told

    inventory = Inventory()
    assert fly(inventory, range(1)) == []
    written = to_bytes(inventory)
    first = fly(inventory, range(1, 4))
    second = fly(from_bytes(written), range(5, 9))
    assert {one.number for one in (*first, *second)} == {1}
    assert first
    assert second
    given = [one.revision for one in (*first, *second)]
    assert len(set(given)) == len(given)


def test_a_crack_gets_a_picture_of_the_new_flight_whatever_its_frames_are_numbered() -> None:
    """The picture of the frame that has the old best view's number cannot be kept; those after it can."""
    concrete, line = wall(4), zigzag((500, 240), (0, 1), 45, seed=1)

    def fly(inventory: Inventory, flight: str, kept: set[int]) -> str | None:
        for number in range(5):
            part = seen_in(line, 40.0 * number, 100.0)
            assert part is not None
            sha256 = f"{flight}-{number}" if number in kept else None
            shot = look(number, window(concrete, 40.0 * number, 100), [part])
            inventory.add(replace(shot, picture=lambda sha256=sha256: sha256))
        (only,) = inventory.all()
        return only.best.evidence_sha256

    inventory = Inventory()
    assert fly(inventory, "first", {0}) == "first-0"
    again = from_bytes(to_bytes(inventory))
    again.begin_pictures()
    picture = fly(again, "second", {1, 2, 3, 4})
    assert picture is not None
    assert picture.startswith("second")


def test_a_rim_that_was_told_as_a_crack_stays_withdrawn_over_a_restart() -> None:
    inventory, *_ = _flown()
    (number,) = inventory.entries
    assert inventory.entries[number].judgement.state == "confirmed"
    angle = np.linspace(0, 2.5, 11)
    rim = Line(number, inventory.map.lines[number].chart, 5.0, 20.0 * np.column_stack([np.cos(angle), np.sin(angle)]))
    rim.hits = rim.looks = rim.passes = np.ones(len(angle), np.int32)
    inventory.map.lines[number] = rim
    inventory._look_for_rims([number])
    assert inventory.entries[number].judgement.state == "withdrawn"
    again = from_bytes(to_bytes(inventory))
    assert again.entries[number].judgement.state == "withdrawn"


def test_numbers_that_may_have_been_given_since_are_passed_over() -> None:
    inventory, concrete, _ = _flown()
    again = from_bytes(to_bytes(inventory))
    other = zigzag((620, 240), (0, 1), 40, seed=3)
    (number,) = _see(again, concrete, other, 5)
    assert number is not None
    assert number > NUMBERS_MARGIN


def test_damaged_bytes_are_said_and_nothing_else_happens() -> None:
    data = to_bytes(_flown()[0])
    for damaged in (b"", data[:200], data[: len(data) // 2], b"\0" * 500, data[:60] + b"\xff" * 40 + data[100:]):
        with pytest.raises(TryAgainError, match="cannot be read"):
            from_bytes(damaged)
