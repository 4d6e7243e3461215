"""What may be said about a moment, and above all what may not."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import pytest

from edge.navigation import Attitude, Fix, FixKind, LocalPosition
from edge.navigation.history import History
from edge.navigation.track import Limits, distance_m
from tests.navigation.histories import S, history, two
from tests.navigation.material import fix


def test_nothing_heard_nothing_known() -> None:
    state = history().at(5 * S)
    assert (state.at_ns, state.fix, state.attitude, state.range_m) == (5 * S, None, None, None)


def test_halfway_between_two_fixes() -> None:
    got = two(fix(48, 11, 500), fix(48.0002, 11.0004, 510)).at(S // 2).fix
    assert got is not None
    assert got.lat_deg == pytest.approx(48.0001)
    assert got.lon_deg == pytest.approx(11.0002)
    assert got.alt_amsl_m == pytest.approx(505)
    assert got.age_ms == 0


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 3, 1, 2), (3, 2, 1, 0)])
def test_between_two_local_positions_that_no_drone_flies_between_nothing_is_known(order: tuple[int, ...]) -> None:
    """10 m/s to the north at 10 Hz; between the second and the third the estimate is corrected by 40 m: 400 m/s."""
    h, north_m = history(), (0.0, 1.0, 42.0, 43.0)
    for number in order:
        h.hear_local(number * S // 10, LocalPosition(north_m[number], 0, -3))
    local = [h.at(tenths * S // 10 + S // 20).local for tenths in range(3)]
    assert local[0] is not None
    assert local[2] is not None
    assert (local[0].north_m, local[1], local[2].north_m) == (0.5, None, 42.5)
    assert [h.at(number * S // 10).local for number in range(4)] == [LocalPosition(m, 0, -3) for m in north_m]


def test_the_height_above_the_ellipsoid_is_known_where_both_fixes_know_it() -> None:
    low, high = replace(fix(), alt_ellipsoid_m=546.0), replace(fix(), alt_ellipsoid_m=548.0)
    between = two(low, high).at(S // 2).fix
    beside = two(low, fix()).at(S // 2).fix
    assert between is not None
    assert beside is not None
    assert (between.alt_ellipsoid_m, beside.alt_ellipsoid_m) == (pytest.approx(547.0), None)


def test_the_lower_kind_and_the_worse_accuracy_hold_between() -> None:
    got = two(fix(kind=FixKind.RTK_FIXED, h_m=0.02, v_m=0.03), fix(kind=FixKind.DGPS, h_m=0.6, v_m=None)).at(1).fix
    assert got is not None
    assert (got.kind, got.h_accuracy_m, got.v_accuracy_m) == (FixKind.DGPS, 0.6, None)


def test_a_2d_fix_gives_no_altitude_even_if_it_carries_one() -> None:
    flat = replace(fix(kind=FixKind.FIX_2D, alt_m=77.0), alt_ellipsoid_m=124.0)
    got = two(flat, replace(fix(), alt_ellipsoid_m=547.0)).at(S // 2).fix
    assert got is not None
    assert (got.kind, got.alt_amsl_m, got.alt_ellipsoid_m) == (FixKind.FIX_2D, None, None)


def test_across_the_antimeridian_the_short_way() -> None:
    got = two(fix(10, 179.9999), fix(10, -179.9999)).at(S // 4).fix
    assert got is not None
    assert got.lon_deg == pytest.approx(179.99995)
    got = two(fix(10, 179.9999), fix(10, -179.9999)).at(3 * S // 4).fix
    assert got is not None
    assert got.lon_deg == pytest.approx(-179.99995)


def test_after_the_newest_fix_its_age_grows_until_it_is_stale() -> None:
    h = history(stale_s=2.0)
    h.hear_fix(S, fix(48.5))
    assert [f.age_ms for t in (S, S + 1_499_600, 3 * S) if (f := h.at(t).fix)] == [0, 1, 2000]
    got = h.at(S + 1_499_600).fix
    assert got is not None
    assert got.lat_deg == 48.5  # never extrapolated
    assert h.at(3 * S + 1).fix is None


def test_before_the_first_fix_nothing() -> None:
    assert two(fix(), fix()).at(-1).fix is None


def test_a_fix_lost_between_two_leaves_nothing_in_the_gap() -> None:
    h = history()
    for t, value in ((0, fix()), (S, fix()), (S + S // 2, None), (2 * S, fix())):
        h.hear_fix(t, value)
    known = [h.at(t).fix is not None for t in (0, S // 2, S, S + 1, S + S // 2, 2 * S - 1, 2 * S)]
    assert known == [True, True, True, False, False, False, True]


def test_a_long_gap_is_not_bridged_but_its_ends_are_known() -> None:
    h = two(fix(), fix(48.0001), apart_s=2.6)
    assert h.at(S).fix is None
    assert h.at(0).fix is not None
    assert h.at(round(2.6 * S)).fix is not None
    assert two(fix(), fix(48.0001), apart_s=2.5).at(S).fix is not None


@pytest.mark.parametrize(
    "bad",
    [
        fix(0.0, 0.0),
        fix(0.00009, -0.00009),
        fix(math.nan, 11.0),
        fix(48.0, math.inf),
        fix(90.01, 11.0),
        fix(48.0, 180.01),
        fix(kind=FixKind.NONE),
        None,
    ],
)
def test_what_is_no_position_counts_as_lost(bad: Fix | None) -> None:
    h = two(fix(), bad)
    assert h.at(S).fix is None
    assert h.at(S // 2).fix is None


def test_unusable_parts_of_a_usable_fix_become_unknown() -> None:
    h = history()
    h.hear_fix(0, fix(alt_m=math.nan, h_m=0.0, v_m=math.inf))
    got = h.at(0).fix
    assert got is not None
    assert (got.alt_amsl_m, got.h_accuracy_m, got.v_accuracy_m) == (None, None, None)


def test_between_two_sides_of_null_island_nothing_comes_out() -> None:
    h = two(fix(0.0002, 0.0002), fix(-0.0002, -0.0002))
    assert h.at(0).fix is not None
    assert h.at(S // 2).fix is None


def test_a_jump_withholds_fixes_until_three_agree() -> None:
    h = history(settle_fixes=3)
    track = [48.0, 48.00001, 49.0, 48.00002, 48.00003, 48.00004, 48.00005, 48.00006]
    for second, lat_deg in enumerate(track):
        h.hear_fix(second * S, fix(lat_deg))
    # 49.0 jumps, and so does 48.00002 after it; then three agree with their predecessor.
    assert [h.at(t * S).fix is not None for t in range(8)] == [True, True, False, False, False, False, True, True]
    assert h.withheld == 4
    assert h.doubt() is None


def test_while_in_doubt_health_says_how_far_it_jumped() -> None:
    h = two(fix(48.0), fix(49.0))
    assert "jumped 111195 m in 1.00 s" in str(h.doubt())
    assert h.at(S // 2).fix is None


def test_losing_the_fix_while_in_doubt_starts_the_count_again() -> None:
    h = history(settle_fixes=2)
    for second, value in enumerate([fix(48), fix(49), fix(49), None, fix(49), fix(49)]):
        h.hear_fix(second * S, value)
    assert [h.at(t * S).fix is not None for t in range(6)] == [True, False, False, False, False, True]


def test_a_repeated_fix_does_not_vouch_for_itself() -> None:
    h = history(settle_fixes=2)
    h.hear_fix(0, fix(48))
    for _ in range(5):
        h.hear_fix(S, fix(49))
    assert h.at(S).fix is None


def test_the_scatter_of_a_fast_receiver_is_no_jump() -> None:
    h = history()
    h.hear_fix(0, fix(48.0))
    h.hear_fix(S // 50, fix(48.00005))  # 5.6 m in 20 ms: the filter took a correction
    assert h.doubt() is None


def test_sixty_metres_a_second_may_be_flown_and_eighty_may_not() -> None:
    assert two(fix(48.0), fix(48.0 + 60 / 111_195)).doubt() is None
    assert two(fix(48.0), fix(48.0 + 80 / 111_195)).doubt() is not None


def test_samples_may_come_late_and_repeat() -> None:
    h = history()
    for t, lat_deg in ((0, 48.0), (2 * S, 48.0002), (S, 48.0), (2 * S, 48.0001)):
        h.hear_fix(t, fix(lat_deg))
    got = h.at(S + S // 2).fix
    assert got is not None
    assert got.lat_deg == pytest.approx(48.00005)


def test_attitude_is_held_only_briefly() -> None:
    h = history(hold_s=0.5)
    h.hear_attitude(0, Attitude(1, 2, 3))
    assert h.at(S // 2).attitude == Attitude(1, 2, 3)
    assert h.at(S // 2 + 1).attitude is None
    assert h.at(-1).attitude is None


def test_a_row_of_the_log_comes_out_as_it_went_in() -> None:
    h = history()
    h.hear_attitude(0, Attitude(-3.25, -12.5, 271.75))
    assert h.at(0).attitude == Attitude(-3.25, -12.5, 271.75)


def test_attitude_between_and_lost() -> None:
    h = history()
    h.hear_attitude(0, Attitude(0, 0, 359))
    h.hear_attitude(S, Attitude(10, -20, 1))
    h.hear_attitude(2 * S, Attitude(math.nan, 0, 0))
    got = h.at(S // 2).attitude
    assert got is not None
    assert (got.roll_deg, got.pitch_deg) == pytest.approx((5, -10))
    assert got.yaw_deg % 360 == pytest.approx(0, abs=1e-9)
    assert h.at(S + 1).attitude is None


@pytest.mark.parametrize(
    ("first_m", "second_m", "share", "expected_m"),
    [
        (5.0, 5.5, 0.5, 5.25),
        (5.0, 12.0, 0.4, 5.0),
        (5.0, 12.0, 0.6, 12.0),
        (12.0, 5.0, 0.6, 5.0),
        (0.5, 0.7, 0.5, 0.6),
        (20.0, 24.0, 0.25, 21.0),
    ],
)
def test_range_is_a_surface_or_an_edge(first_m: float, second_m: float, share: float, expected_m: float) -> None:
    h = history()
    h.hear_range(0, first_m)
    h.hear_range(S, second_m)
    assert h.at(round(share * S)).range_m == pytest.approx(expected_m)


@pytest.mark.parametrize("bad", [None, 0.0, -1.0, math.nan, math.inf])
def test_a_range_that_is_none_is_unknown(bad: float | None) -> None:
    h = history()
    h.hear_range(0, 5.0)
    h.hear_range(S, bad)
    assert h.at(S // 2).range_m is None
    assert h.at(S).range_m is None


def test_losing_everything() -> None:
    h = history()
    h.hear_fix(0, fix())
    h.hear_attitude(0, Attitude(0, 0, 0))
    h.hear_range(0, 3.0)
    h.lose(S // 10)
    state = h.at(S // 5)
    assert (state.fix, state.attitude, state.range_m) == (None, None, None)


def test_the_past_is_forgotten_but_a_recording_is_kept() -> None:
    short, whole = History(keep_s=10), History(keep_s=None)
    for second in range(1000):
        short.hear_fix(second * S, fix())
        whole.hear_fix(second * S, fix())
    assert short.at(900 * S).fix is None
    assert short.at(990 * S).fix is not None
    assert whole.at(0).fix is not None


def test_a_flood_is_bounded() -> None:
    h = History(keep_s=1e6)
    for step in range(60_000):
        h.hear_range(step, 1.0)
    assert len(h._ranges) <= 50_000


def test_adding_and_asking_from_two_threads() -> None:
    h = History(keep_s=0.001)
    stop, wrong = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            for t in range(0, 20_000_000, 40_000):
                got = h.at(t).fix
                if got is not None and not 47.9999 <= got.lat_deg <= 48.0001:
                    wrong.append(got)

    thread = threading.Thread(target=ask)
    thread.start()
    for step in range(20_000):
        h.hear_fix(step * 1000, fix(48.0 + (step % 2) * 1e-5))
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert not wrong


def test_limits_refuse_nonsense() -> None:
    for bad in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="stale_s must be above 0"):
            Limits(stale_s=bad)


def test_distances_are_great_circles() -> None:
    assert distance_m(fix(0, 0), fix(0, 90)) == pytest.approx(math.pi / 2 * 6_371_008.8)
    assert distance_m(fix(0, 179.9), fix(0, -179.9)) == pytest.approx(0.2 * 111_195.08, rel=1e-6)
