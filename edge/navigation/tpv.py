"""What gpsd's JSON reports say, as fixes and UTC; see gpsd_json(5) for the fields.

Kind: ``mode`` 2 or 3, and ``status`` 2 DGPS, 3 RTK fixed, 4 RTK float, 6 satellites with dead reckoning, 9 P(Y).
Dead reckoning alone (5), a surveyed position (7) and a simulator (8) are no satellite fix.
Accuracy: the standard deviations of a GST report where the receiver sends it, otherwise ``eph`` (or ``epx``,
``epy``) and ``epv`` unchanged. gpsd leaves their confidence open: a u-blox's are 1-sigma, gpsd's own estimate is
95 %, about twice that. Unchanged, they never flatter.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from edge.navigation import Fix, FixKind
from edge.navigation.history import History
from edge.navigation.timebase import UtcTrack

_LINE_BYTES = 65536  # gpsd's own limit for a report is 10,240
_KINDS_3D: Mapping[float | None, FixKind] = {2: FixKind.DGPS, 3: FixKind.RTK_FIXED, 4: FixKind.RTK_FLOAT}
_NO_SATELLITES = frozenset((5, 7, 8))
_LATELY_NS = 30_000_000_000


class Lines:
    """Cuts a stream into lines; one that never ends is thrown away instead of kept."""

    def __init__(self) -> None:
        self._rest = b""
        self._overlong = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines completed by ``data``, without their ends."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if lines and self._overlong:
            del lines[0]  # the tail of one that was too long
            self._overlong = False
        if len(self._rest) > _LINE_BYTES:
            self._rest, self._overlong = b"", True
        return [line for line in lines if len(line) <= _LINE_BYTES]


class Reports:
    """Understands gpsd's reports; whatever else comes is ignored."""

    def __init__(self, history: History, utc: UtcTrack, *, device: str | None, latency_ns: int) -> None:
        # gpsd names a receiver by the path that it was given; udev's stable names are links to the same device.
        self._names = None if device is None else {device, os.path.realpath(device)}
        self._latency_ns = latency_ns
        self._history, self._utc = history, utc
        self._last: tuple[str, int, Fix | None] | None = None  # (UTC text, arrival, fix) of the last position
        self._deviations: tuple[str, float, float | None] | None = None  # (UTC text, horizontal, vertical)
        self._devices: dict[str, int] = {}  # when each receiver last gave a position
        self.heard_ns: int | None = None
        """When the last position report arrived, with or without a fix."""
        self.device_count: int | None = None
        """How many receivers gpsd has; None while it has not said."""

    def hear(self, line: bytes, now_ns: int) -> None:
        """Take in one line of the socket."""
        try:
            report = json.loads(line)
        except (ValueError, RecursionError):  # half a line, noise, or nesting without end
            return
        if not isinstance(report, dict):
            return
        if report.get("class") == "DEVICES" and isinstance(report.get("devices"), list):
            self.device_count = len(report["devices"])
        if self._names is not None and report.get("device") not in self._names:
            return
        if report.get("class") == "TPV":
            self._position(report, now_ns)
        elif report.get("class") == "GST":
            self._accuracy(report)

    def warnings(self, now_ns: int) -> tuple[str, ...]:
        """More than one receiver gives positions, and it was not configured which one counts."""
        lately = sorted(name for name, heard_ns in self._devices.items() if now_ns - heard_ns <= _LATELY_NS)
        if len(lately) < 2:
            return ()
        return (f"gpsd mixes the positions of {', '.join(lately)}; name one as navigation.device",)

    def _position(self, report: Mapping[str, Any], now_ns: int) -> None:
        self.heard_ns, self.device_count = now_ns, None
        self._devices = {**self._devices, str(report.get("device", "a receiver")): now_ns}
        stamp = str(report.get("time", ""))
        at_ns = now_ns - self._latency_ns
        if stamp and self._last is not None and self._last[0] == stamp:
            at_ns = self._last[1]  # gpsd repeats a report as the receiver's sentences come in
        fix = self._accurate(position(report), stamp)
        self._last = (stamp, at_ns, fix)
        utc = _utc(stamp)
        if fix is not None and utc is not None:
            self._utc.hear(at_ns, utc)  # before the fix: who sees the fix finds its time too
        self._history.hear_fix(at_ns, fix)

    def _accuracy(self, report: Mapping[str, Any]) -> None:
        lat_m, lon_m = _number(report, "lat"), _number(report, "lon")
        stamp = str(report.get("time", ""))
        if lat_m is None or lon_m is None or not stamp:
            return
        self._deviations = (stamp, math.hypot(lat_m, lon_m), _number(report, "alt"))
        if self._last is not None and self._last[0] == stamp and self._last[2] is not None:
            self._history.hear_fix(self._last[1], self._accurate(self._last[2], stamp))

    def _accurate(self, fix: Fix | None, stamp: str) -> Fix | None:
        """``fix`` with the standard deviations of the same moment, where they are known."""
        if fix is None or self._deviations is None or self._deviations[0] != stamp:
            return fix
        _, h_m, v_m = self._deviations
        return replace(fix, h_accuracy_m=h_m, v_accuracy_m=v_m or fix.v_accuracy_m)


def position(report: Mapping[str, Any]) -> Fix | None:
    """The fix in a TPV report; None when it holds none that satellites gave."""
    mode, status = _number(report, "mode"), _number(report, "status")
    lat_deg, lon_deg = _number(report, "lat"), _number(report, "lon")
    if mode not in (2, 3) or status in _NO_SATELLITES or lat_deg is None or lon_deg is None:
        return None
    kind = FixKind.FIX_2D if mode == 2 else _KINDS_3D.get(status, FixKind.FIX_3D)
    epx_m, epy_m = _number(report, "epx"), _number(report, "epy")
    both_m = None if epx_m is None or epy_m is None else math.hypot(epx_m, epy_m)
    eph_m = _number(report, "eph")
    return Fix(
        kind=kind,
        lat_deg=lat_deg,
        lon_deg=lon_deg,
        alt_amsl_m=_altitude(report) if mode == 3 else None,
        h_accuracy_m=eph_m if eph_m is not None else both_m,
        v_accuracy_m=_number(report, "epv") if mode == 3 else None,
        age_ms=0,
        alt_ellipsoid_m=_number(report, "altHAE") if mode == 3 else None,
    )


def _altitude(report: Mapping[str, Any]) -> float | None:
    """``altMSL``; gpsd before 3.20 called it ``alt``, which newer ones leave undefined."""
    if "altMSL" in report or "altHAE" in report:
        return _number(report, "altMSL")
    return _number(report, "alt")


def _number(report: Mapping[str, Any], key: str) -> float | None:
    value = report.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of a thousand digits
        return None
    return number if math.isfinite(number) else None


def _utc(stamp: str) -> datetime | None:
    try:
        utc = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ" if "." in stamp else "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return None
    return utc.replace(tzinfo=timezone.utc)
