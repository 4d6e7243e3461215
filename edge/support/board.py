"""What the board says of itself: temperature, throttling, resident memory."""

from __future__ import annotations

import os
from pathlib import Path

_THERMAL = Path("/sys/class/thermal")
_THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
_UNDER_VOLTAGE, _UNDER_VOLTAGE_SINCE_BOOT = 1 << 0, 1 << 16


def temperature_deg_c(thermal: Path = _THERMAL) -> float | None:
    """The hottest thermal zone, degrees Celsius; None when the board has none (never 0)."""
    hottest: float | None = None
    for zone in sorted(thermal.glob("thermal_zone*/temp")):
        value = _number(zone)
        if value is not None and (hottest is None or value / 1000 > hottest):
            hottest = value / 1000
    return hottest


def under_voltage(throttled: Path = _THROTTLED) -> bool | None:
    """True while a Raspberry Pi's supply is below 4.63 V (bit 0 of get_throttled); None on other boards."""
    return _flag(throttled, _UNDER_VOLTAGE)


def under_voltage_since_boot(throttled: Path = _THROTTLED) -> bool | None:
    """True when it was below at any time since the board was switched on (bit 16); None on other boards."""
    return _flag(throttled, _UNDER_VOLTAGE_SINCE_BOOT)


def resident_bytes(status: Path = Path("/proc/self/statm")) -> int | None:
    """Resident memory of this process; None where /proc does not say."""
    try:
        return int(status.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _flag(throttled: Path, bit: int) -> bool | None:
    try:
        return bool(int(throttled.read_text(encoding="ascii").strip(), 16) & bit)
    except (OSError, ValueError):
        return None


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
