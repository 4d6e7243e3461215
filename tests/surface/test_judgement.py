"""What many looks say together."""

from __future__ import annotations

from edge.surface.judgement import Judgement, first


def seen(found: int, missed: int) -> Judgement:
    """So many views found a long line and then so many missed it; its state is asked after each, as in flight."""
    judgement = first(340.0, 0.9, 340.0)
    for place in range(1, found + missed):
        judgement.look(found=place < found, length_px=340.0, sure_length_px=340.0)
        assert judgement.state in ("tentative", "confirmed", "withdrawn")
    return judgement


def test_a_crack_that_most_views_found_is_not_withdrawn_by_the_last_few() -> None:
    judgement = seen(40, 8)
    assert (judgement.views, judgement.missed) == (40, 8)
    assert judgement.state == "confirmed"


def test_a_crack_that_is_repaired_between_two_passes_is_withdrawn() -> None:
    assert seen(15, 15).state == "withdrawn"
    assert seen(3, 7).state == "withdrawn"
