"""The autopilot or receiver is heard, and knows where it is."""

from __future__ import annotations

import threading

from edge.navigation import FixKind
from edge.tools.doctor import Bench, Result, fail, not_applicable, ok, troubled, warn

_HEAR_S = 8.0  # a heartbeat comes once a second, and streams are asked for after it
_AT_LEAST_S = 4.0  # so long that whoever else is there has been noticed, with a heartbeat or without
_TURN_S = 0.1
_COARSE_M = 5.0


def source(bench: Bench) -> Result:
    """Listen until everything expected was heard, or not; what was heard of the place is left for ``fix``."""
    backend, clock, never = bench.settings.navigation, bench.clock, threading.Event()
    with backend.module.open_navigator(backend.options, clock) as navigator:
        begun_ns = clock.monotonic_ns()
        until_ns, least_ns = begun_ns + round(_HEAR_S * 1e9), begun_ns + round(_AT_LEAST_S * 1e9)
        while True:
            now_ns = clock.monotonic_ns()
            bench.nav, trouble, guessed = navigator.at(now_ns), navigator.health(), navigator.warnings()
            if now_ns >= until_ns or not navigator.live:
                break
            if trouble is None and bench.nav.fix is not None and now_ns >= least_ns:
                break
            clock.wait(never, _TURN_S)
    if trouble is not None:
        return troubled(f"{backend.name}: {trouble}", "check the wiring and [navigation]")
    if backend.name == "fixed":
        return warn("fixed: a stated place, no autopilot", 'set [navigation] backend = "mavlink" or "gpsd" to fly')
    parts = {"attitude": bench.nav.attitude, "range": bench.nav.range_m}
    lacks = [name for name, value in parts.items() if value is None]
    told = f"{backend.name}: heard on {getattr(backend.options, 'device', None) or 'its port'}"
    if guessed:
        return warn(f"{told}: {'; '.join(guessed)}", "until then positions may be another vehicle's, or late")
    if lacks:
        return warn(f"{told}, no {' and no '.join(lacks)}", "without them sizes stay in pixels: wire a rangefinder")
    return ok(told)


def fix(bench: Bench) -> Result:
    """A 3D fix with a usable accuracy."""
    if bench.nav is None:
        return not_applicable("not checked: the source of the position does not open")
    found = bench.nav.fix
    if found is None:
        return fail("no fix: detections would carry no position", "wait under open sky, then check again")
    accuracy = "accuracy unknown" if found.h_accuracy_m is None else f"±{found.h_accuracy_m:.2g} m"
    told = f"{found.kind.name}, {accuracy}, {found.age_ms} ms old"
    if found.kind < FixKind.FIX_3D:
        return warn(told, "wait under open sky for a 3D fix: the altitude is not known")
    if found.h_accuracy_m is not None and found.h_accuracy_m > _COARSE_M:
        return warn(told, f"wait until it is below {_COARSE_M:.0f} m, or use RTK corrections")
    return ok(told)
