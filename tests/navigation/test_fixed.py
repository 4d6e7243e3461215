"""The stated place."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from edge.navigation import Attitude, Fix, FixKind
from edge.navigation.fixed import Options, open_navigator
from edge.support import config
from edge.support.clock import ManualClock
from edge.support.errors import ConfigError

S = 1_000_000_000


def clock() -> ManualClock:
    return ManualClock(datetime(2026, 5, 4, tzinfo=timezone.utc), monotonic_ns=100 * S)


def test_by_default_nothing_is_known() -> None:
    with open_navigator(Options(), clock()) as nav:
        state = nav.at(7)
        assert (state.fix, state.attitude, state.range_m) == (None, None, None)
        assert nav.health() is None
        assert nav.utc_at(7) is None


def test_a_stated_place() -> None:
    place = {"lat_deg": 48, "lon_deg": 11.5, "alt_amsl_m": 510.0, "kind": "RTK_FIXED", "h_accuracy_m": 0.02}
    table = place | {"roll_deg": 0.0, "pitch_deg": -90.0, "yaw_deg": 12.0, "range_m": 4.5}
    options = config.build(Options, table, "navigation")
    with open_navigator(options, clock()) as nav:
        state = nav.at(-(10**12))
    assert state.fix == Fix(FixKind.RTK_FIXED, 48.0, 11.5, 510.0, 0.02, None, 0)
    assert state.attitude == Attitude(0, -90, 12)
    assert state.range_m == 4.5


def test_without_an_altitude_it_is_a_2d_fix() -> None:
    with open_navigator(Options(lat_deg=48.0, lon_deg=11.0), clock()) as nav:
        got = nav.at(0).fix
    assert got is not None
    assert (got.kind, got.alt_amsl_m) == (FixKind.FIX_2D, None)


def test_a_height_above_the_ellipsoid_alone_makes_it_a_3d_fix() -> None:
    with open_navigator(Options(lat_deg=48.0, lon_deg=11.0, alt_ellipsoid_m=557.0), clock()) as nav:
        got = nav.at(0).fix
    assert got is not None
    assert (got.kind, got.alt_amsl_m, got.alt_ellipsoid_m) == (FixKind.FIX_3D, None, 557.0)


def test_it_misbehaves_when_asked_to() -> None:
    with open_navigator(Options(lat_deg=48.0, lon_deg=11.0, lost_after_s=2.0), clock()) as nav:
        assert nav.at(102 * S - 1).fix is not None
        assert nav.health() is None
        assert nav.at(102 * S).fix is None
        assert "lost" in str(nav.health())
        assert nav.at(101 * S).fix is not None


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"lat_deg": 48.0}, "lat_deg, lon_deg are given together"),
        ({"lat_deg": 91.0, "lon_deg": 0.0}, "lat_deg must be from -90.0 to 90.0, got 91.0"),
        ({"lat_deg": 0.0, "lon_deg": 0.0}, "without a fix"),
        ({"lat_deg": float("nan"), "lon_deg": 1.0}, "lat_deg: got nan"),
        ({"yaw_deg": 5.0}, "roll_deg, pitch_deg, yaw_deg are given together"),
        ({"range_m": 0.0}, "range_m must be"),
        ({"kind": "NONE"}, "choose one of"),
    ],
)
def test_a_place_that_cannot_be_is_refused(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config.build(Options, table, "navigation")
