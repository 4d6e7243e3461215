"""Laws of the navigation history: between neighbours, never at null island, nothing within a gap."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.navigation import Fix, FixKind
from edge.navigation.track import on_null_island
from tests.navigation.histories import S, history, two
from tests.navigation.material import fix

lats = st.floats(-89.9, 89.9)
lons = st.floats(-180, 180)
near = st.floats(-1e-5, 1e-5)


@given(lats, lons, near, near, st.floats(0, 1))
def test_interpolation_lies_between_its_neighbours(
    lat: float, lon: float, d_lat: float, d_lon: float, share: float
) -> None:
    second_lon = lon + d_lon if -180 <= lon + d_lon <= 180 else lon - d_lon
    first, second = fix(lat, lon, 100.0), fix(lat + d_lat, second_lon, 90.0)
    got = two(first, second).at(round(share * S)).fix
    if on_null_island(first.lat_deg, first.lon_deg) or on_null_island(second.lat_deg, second.lon_deg):
        return
    assert got is not None
    assert min(first.lat_deg, second.lat_deg) <= got.lat_deg <= max(first.lat_deg, second.lat_deg)
    assert min(lon, second_lon) - 1e-12 <= got.lon_deg <= max(lon, second_lon) + 1e-12
    assert got.alt_amsl_m is not None
    assert 90.0 <= got.alt_amsl_m <= 100.0


anything = st.one_of(
    st.none(),
    st.builds(
        fix,
        st.one_of(st.floats(), st.floats(-3e-4, 3e-4)),
        st.one_of(st.floats(), st.floats(-3e-4, 3e-4)),
        st.one_of(st.none(), st.floats()),
        kind=st.sampled_from(FixKind),
        h_m=st.one_of(st.none(), st.floats()),
    ),
)
times = st.integers(-(10**10), 10**10)


@settings(max_examples=150)
@given(st.lists(st.tuples(times, anything), max_size=12), st.lists(times, max_size=8))
def test_null_island_never_comes_out_whatever_goes_in(heard: list[tuple[int, Fix | None]], asked: list[int]) -> None:
    h = history()
    for at_ns, value in heard:
        h.hear_fix(at_ns, value)
    for at_ns in [*asked, *(t for t, _ in heard)]:
        got = h.at(at_ns).fix
        if got is not None:
            assert abs(got.lat_deg) <= 90
            assert abs(got.lon_deg) <= 180
            assert max(abs(got.lat_deg), abs(got.lon_deg)) >= 1e-4
            assert got.kind >= FixKind.FIX_2D
            assert 0 <= got.age_ms <= 2000


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=20), st.integers(-(10**9), 22 * S))
def test_no_fix_within_a_gap(seconds: list[tuple[int, bool]], asked: int) -> None:
    """Against a slow reading of the rule: the newest sample before, the oldest after, both fixes, near enough."""
    h, heard = history(), {}
    for second, there in seconds:
        heard[second * S] = there
        h.hear_fix(second * S, fix() if there else None)
    before = max((t for t in heard if t <= asked), default=None)
    after = min((t for t in heard if t > asked), default=None)
    if before is None or not heard[before]:
        expected = False
    elif asked == before:
        expected = True
    elif after is None:
        expected = asked - before <= 2 * S
    else:
        expected = heard[after] and after - before <= 2.5 * S
    assert (h.at(asked).fix is not None) == expected
