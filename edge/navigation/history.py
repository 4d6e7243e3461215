"""The recent past of one navigation source, and what it says about a moment in between.

Every source feeds what it hears, with the monotonic time of the *measurement*; ``at`` interpolates:

* between two fixes at most ``gap_s`` apart: linear in latitude, longitude (the short way round the
  antimeridian) and altitude, the lower of the two kinds, the worse of the two accuracies, age 0;
* after the newest sample: that sample unchanged, with its age, until ``stale_s``; nothing is extrapolated;
* before the first sample, in a longer gap, or next to a "no fix": None. An old fix never stands in for a lost one.
* attitude: see ``rotation.between``; held for ``hold_s`` after the newest sample, because it carries no age;
* range: linear between neighbours that see the same surface; a step between them is an edge, so the nearer one counts.

A fix at (0, 0), outside the globe or not finite counts as "no fix". A fix that would need more than
``max_speed_m_s`` since the one before puts the track in doubt: nothing is given out until ``settle_fixes``
fixes in a row have agreed with their predecessors. Local positions that jump so are each believed, and nothing between.
"""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from typing import TypeVar

from edge.navigation import Attitude, Fix, FixKind, LocalPosition, NavState, rotation
from edge.navigation.gimbal import Axes
from edge.navigation.track import Limits, Plausibility, Sample, Samples, on_null_island

T = TypeVar("T")

# Two ranges differing by less than both of these see one surface; more is the edge of a beam or pier.
_SAME_SURFACE_M = 0.3
_SAME_SURFACE_SHARE = 0.2


class History:
    """Fixes, attitudes and ranges of the recent past; one thread adds, any thread asks."""

    def __init__(self, limits: Limits | None = None, *, keep_s: float | None = 60.0) -> None:
        self.limits = limits or Limits()
        keep_ns = None if keep_s is None else round(keep_s * 1e9)
        self._lock = threading.Lock()  # held for a list search, never while waiting
        self._fixes: Samples[Fix] = Samples(keep_ns)
        self._attitudes: Samples[Attitude] = Samples(keep_ns)
        self._ranges: Samples[float] = Samples(keep_ns)
        self._vehicles: Samples[Attitude] = Samples(keep_ns)
        self._locals: Samples[LocalPosition] = Samples(keep_ns)
        self._keep_ns = keep_ns
        self._axes: Axes = "earth"
        self._plausibility = Plausibility(self.limits)
        self._fix_count = 0

    def hear_fix(self, at_ns: int, fix: Fix | None) -> None:
        """A fix measured at ``at_ns`` (its ``age_ms`` is ignored); None: the source has none then."""
        with self._lock:
            sound = _sound(fix)
            if sound is None:
                self._plausibility.lost()
            elif not self._plausibility.accepts(at_ns, sound):
                sound = None
            self._fix_count += sound is not None
            self._fixes.add(at_ns, sound)

    def hear_attitude(self, at_ns: int, attitude: Attitude | None) -> None:
        """The camera's attitude at ``at_ns``; None or not finite: unknown then."""
        if attitude is not None and not _finite(attitude.roll_deg, attitude.pitch_deg, attitude.yaw_deg):
            attitude = None
        known = None if attitude is None else rotation.canonical(attitude)
        with self._lock:
            self._attitudes.add(at_ns, known)

    def hear_vehicle(self, at_ns: int, attitude: Attitude | None) -> None:
        """The vehicle's own attitude at ``at_ns``; None: unknown then."""
        known = None if attitude is None else rotation.canonical(attitude)
        with self._lock:
            self._vehicles.add(at_ns, known)

    def hear_gimbal(self, at_ns: int, attitude: Attitude | None, axes: Axes) -> None:
        """The camera's attitude at ``at_ns`` against ``axes``; None: unknown then.

        Against the vehicle's heading or axes it becomes one against north when it is asked for, with the vehicle's
        attitude of that same moment. Other axes than before begin a new track: the two are nothing to interpolate.
        """
        known = None if attitude is None else rotation.canonical(attitude)
        with self._lock:
            if known is not None and axes != self._axes:
                self._axes, self._attitudes = axes, Samples(self._keep_ns)
            self._attitudes.add(at_ns, known)

    def lose_attitude(self, at_ns: int) -> None:
        """The camera's attitude is unknown from ``at_ns`` until it is heard again."""
        with self._lock:
            self._attitudes.add(at_ns, None)

    def hear_local(self, at_ns: int, local: LocalPosition | None) -> None:
        """The position in the autopilot's own frame at ``at_ns``; None: unknown then."""
        with self._lock:
            self._locals.add(at_ns, local)

    def hear_range(self, at_ns: int, range_m: float | None) -> None:
        """Metres from lens to surface at ``at_ns``; None, not finite or not above 0: unknown then."""
        known = range_m if range_m is not None and math.isfinite(range_m) and range_m > 0 else None
        with self._lock:
            self._ranges.add(at_ns, known)

    def lose(self, at_ns: int) -> None:
        """Everything is unknown from ``at_ns`` until it is heard again (the autopilot restarted)."""
        self.hear_fix(at_ns, None)
        self.hear_attitude(at_ns, None)
        self.hear_range(at_ns, None)
        self.hear_vehicle(at_ns, None)
        self.hear_local(at_ns, None)

    def at(self, exposed_ns: int) -> NavState:
        """What is known of the moment ``exposed_ns``; any integer is answered."""
        with self._lock:
            fixes = self._fixes.around(exposed_ns)
            attitudes = self._attitudes.around(exposed_ns)
            ranges = self._ranges.around(exposed_ns)
            vehicles = self._vehicles.around(exposed_ns)
            places = self._locals.around(exposed_ns)
            axes = self._axes
        vehicle = self._attitude(exposed_ns, *vehicles)
        return NavState(
            at_ns=exposed_ns,
            fix=self._fix(exposed_ns, *fixes),
            attitude=camera_in(axes, self._attitude(exposed_ns, *attitudes), vehicle),
            range_m=self._range(exposed_ns, *ranges),
            vehicle=vehicle,
            local=self._local(exposed_ns, *places),
        )

    def doubt(self) -> str | None:
        """Why fixes are being withheld, as one sentence; None when they are not."""
        with self._lock:
            return self._plausibility.doubt

    @property
    def fix_count(self) -> int:
        """How many fixes were heard and believed."""
        return self._fix_count

    @property
    def withheld(self) -> int:
        """How many fixes were heard and not believed."""
        return self._plausibility.withheld

    def fix_gaps(self) -> int:
        """How many neighbouring fixes stand too far apart to be interpolated."""
        with self._lock:
            return self._fixes.gaps(round(self.limits.gap_s * 1e9))

    def _fix(self, at_ns: int, before: Sample[Fix | None] | None, after: Sample[Fix | None] | None) -> Fix | None:
        pair = self._pair(at_ns, before, after, self.limits.stale_s)
        if pair is None:
            return None
        (first_ns, first), second = pair
        if second is None:
            return replace(first, age_ms=round((at_ns - first_ns) / 1e6))
        return fix_between(first, second[1], _share(at_ns, first_ns, second[0]))

    def _attitude(
        self, at_ns: int, before: Sample[Attitude | None] | None, after: Sample[Attitude | None] | None
    ) -> Attitude | None:
        pair = self._pair(at_ns, before, after, self.limits.hold_s)
        if pair is None:
            return None
        (first_ns, first), second = pair
        return first if second is None else rotation.between(first, second[1], _share(at_ns, first_ns, second[0]))

    def _local(
        self, at_ns: int, before: Sample[LocalPosition | None] | None, after: Sample[LocalPosition | None] | None
    ) -> LocalPosition | None:
        pair = self._pair(at_ns, before, after, self.limits.hold_s)
        if pair is None:
            return None
        (first_ns, first), second = pair
        if second is None:
            return first
        if local_apart_m(first, second[1]) > self.limits.max_speed_m_s * (second[0] - first_ns) / 1e9:
            return None  # the estimate was corrected: no drone flew between the two
        return local_between(first, second[1], _share(at_ns, first_ns, second[0]))

    def _range(
        self, at_ns: int, before: Sample[float | None] | None, after: Sample[float | None] | None
    ) -> float | None:
        pair = self._pair(at_ns, before, after, self.limits.hold_s)
        if pair is None:
            return None
        (first_ns, first), second = pair
        return first if second is None else range_between(first, second[1], _share(at_ns, first_ns, second[0]))

    def _pair(
        self, at_ns: int, before: Sample[T | None] | None, after: Sample[T | None] | None, hold_s: float
    ) -> tuple[Sample[T], Sample[T] | None] | None:
        """The sample to hold (alone), the two to interpolate, or None when nothing may be said."""
        if before is None or before[1] is None:
            return None
        first = (before[0], before[1])
        if at_ns == first[0]:
            return first, None
        if after is None:
            return (first, None) if at_ns - first[0] <= hold_s * 1e9 else None
        if after[1] is None or after[0] - first[0] > self.limits.gap_s * 1e9:
            return None
        return first, (after[0], after[1])


def fix_between(first: Fix, second: Fix, share: float) -> Fix | None:
    """``share`` (0 to 1) of the way between two fixes; None where that would be null island."""
    lat_deg = _between(first.lat_deg, second.lat_deg, share)
    lon_deg = first.lon_deg + share * rotation.wrap_deg(second.lon_deg - first.lon_deg)
    if not -180.0 <= lon_deg <= 180.0:
        lon_deg = rotation.wrap_deg(lon_deg)
    if on_null_island(lat_deg, lon_deg):
        return None
    return Fix(
        kind=min(first.kind, second.kind),
        lat_deg=lat_deg,
        lon_deg=lon_deg,
        alt_amsl_m=_known(first.alt_amsl_m, second.alt_amsl_m, share),
        h_accuracy_m=_worse(first.h_accuracy_m, second.h_accuracy_m),
        v_accuracy_m=_worse(first.v_accuracy_m, second.v_accuracy_m),
        age_ms=0,
        alt_ellipsoid_m=_known(first.alt_ellipsoid_m, second.alt_ellipsoid_m, share),
    )


def camera_in(axes: Axes, camera: Attitude | None, vehicle: Attitude | None) -> Attitude | None:
    """The camera's attitude against horizon and north; None where the vehicle's, which that needs, is unknown."""
    if camera is None or axes == "earth":
        return camera
    if vehicle is None:
        return None
    if axes == "body":
        return rotation.compose(vehicle, rotation.quaternion(camera))
    return Attitude(camera.roll_deg, camera.pitch_deg, rotation.compass_deg(camera.yaw_deg + vehicle.yaw_deg))


def local_apart_m(first: LocalPosition, second: LocalPosition) -> float:
    """The distance between two positions of one frame, metres."""
    a, b = (first.north_m, first.east_m, first.down_m), (second.north_m, second.east_m, second.down_m)
    return math.dist(a, b)


def local_between(first: LocalPosition, second: LocalPosition, share: float) -> LocalPosition:
    """``share`` (0 to 1) of the way between two positions of one frame; the worse of the uncertainties."""
    both = first.sigma_m is not None and second.sigma_m is not None
    north, east, down = (
        max(a, b) for a, b in zip(first.sigma_m or (0.0,) * 3, second.sigma_m or (0.0,) * 3, strict=True)
    )
    return LocalPosition(
        north_m=_between(first.north_m, second.north_m, share),
        east_m=_between(first.east_m, second.east_m, share),
        down_m=_between(first.down_m, second.down_m, share),
        turn_deg=rotation.compass_deg(first.turn_deg + share * rotation.wrap_deg(second.turn_deg - first.turn_deg)),
        sigma_m=(north, east, down) if both else None,
    )


def range_between(first_m: float, second_m: float, share: float) -> float:
    """Linear on one surface; across an edge, the range that is nearer in time."""
    step_m = abs(second_m - first_m)
    if step_m <= max(_SAME_SURFACE_M, _SAME_SURFACE_SHARE * min(first_m, second_m)):
        return _between(first_m, second_m, share)
    return first_m if share <= 0.5 else second_m


def _sound(fix: Fix | None) -> Fix | None:
    """``fix`` without its unusable parts; None when it is no position."""
    if fix is None or fix.kind == FixKind.NONE or not _finite(fix.lat_deg, fix.lon_deg):
        return None
    on_globe = abs(fix.lat_deg) <= 90.0 and abs(fix.lon_deg) <= 180.0
    if not on_globe or on_null_island(fix.lat_deg, fix.lon_deg):
        return None
    has_height = fix.kind > FixKind.FIX_2D
    return Fix(
        kind=fix.kind,
        lat_deg=fix.lat_deg,
        lon_deg=fix.lon_deg,
        alt_amsl_m=_height(fix.alt_amsl_m) if has_height else None,
        h_accuracy_m=_accuracy(fix.h_accuracy_m),
        v_accuracy_m=_accuracy(fix.v_accuracy_m),
        age_ms=0,
        alt_ellipsoid_m=_height(fix.alt_ellipsoid_m) if has_height else None,
    )


def _height(value_m: float | None) -> float | None:
    return value_m if value_m is not None and math.isfinite(value_m) else None


def _accuracy(value_m: float | None) -> float | None:
    return value_m if value_m is not None and math.isfinite(value_m) and value_m > 0 else None


def _finite(*values: float) -> bool:
    return all(map(math.isfinite, values))


def _share(at_ns: int, first_ns: int, second_ns: int) -> float:
    return (at_ns - first_ns) / (second_ns - first_ns)


def _between(a: float, b: float, share: float) -> float:
    """Linear, and never outside [a, b] by rounding."""
    return min(max(a + share * (b - a), min(a, b)), max(a, b))


def _known(a: float | None, b: float | None, share: float) -> float | None:
    return None if a is None or b is None else _between(a, b, share)


def _worse(a: float | None, b: float | None) -> float | None:
    """The larger; unknown is worse than any number."""
    return None if a is None or b is None else max(a, b)
