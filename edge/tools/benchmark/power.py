"""Electrical power as far as a board measures itself; what it cannot measure is None, never 0.

* Raspberry Pi 5: the power chip's rails through ``vcgencmd pmic_read_adc``. Their sum leaves out what hangs on USB and
  the losses before the chip; older Pis have no sensors.
* Jetson: INA3221 sensors under /sys/class/hwmon (JetPack 5 and later); the module's input, without the carrier board.
  Where hwmon has none, a line of ``tegrastats``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

_HWMON = Path("/sys/class/hwmon")
# The rails that carry everything a Jetson module takes; the other rails are parts of it and must not be added.
_INPUT_RAILS = ("VDD_IN", "POM_5V_IN", "VIN_SYS_5V0", "VIN")

_PMIC = re.compile(r"^\s*(\w+)_([AV])\s+(?:current|volt)\(\d+\)=([\d.]+)[AV]\s*$", re.MULTILINE)
_TEGRASTATS = re.compile(r"\b(?:VDD_IN|POM_5V_IN)\s+(\d+)(?:mW)?/\d+(?:mW)?")


def power_w(hwmon: Path = _HWMON) -> float | None:
    """What the board says it takes now, watts; None where it does not say."""
    sensors = jetson_w(hwmon)
    if sensors is not None:
        return sensors
    rails = _said_by("vcgencmd", "pmic_read_adc")
    if rails is not None:
        return pmic_w(rails)
    # tegrastats does not end by itself and is root's on some boards: hwmon comes first, and one line is enough.
    line = _first_line("tegrastats", "--interval", "200")
    return None if line is None else tegrastats_w(line)


def pmic_w(text: str) -> float | None:
    """Sum over the rails of ``vcgencmd pmic_read_adc`` that give both a current and a voltage; None without one."""
    rails: dict[str, dict[str, float]] = {}
    for rail, kind, value in _PMIC.findall(text):
        rails.setdefault(rail, {})[kind] = float(value)
    whole = [values["A"] * values["V"] for values in rails.values() if len(values) == 2]
    return sum(whole) if whole else None


def tegrastats_w(line: str) -> float | None:
    """The input rail of one line of tegrastats, ``VDD_IN 4856mW/4800mW`` or ``POM_5V_IN 2532/2532`` (milliwatts)."""
    found = _TEGRASTATS.search(line)
    return None if found is None else int(found[1]) / 1000


def jetson_w(hwmon: Path = _HWMON) -> float | None:
    """The input rail of an INA3221: its bus voltage (mV) times its current (mA)."""
    for device in sorted(hwmon.glob("hwmon*")):
        if text_of(device / "name") != "ina3221":
            continue
        for label in sorted(device.glob("in*_label")):
            channel = label.name.removeprefix("in").removesuffix("_label")
            volts, amps = number_of(device / f"in{channel}_input"), number_of(device / f"curr{channel}_input")
            if text_of(label) in _INPUT_RAILS and volts is not None and amps is not None:
                return volts * amps / 1e6
    return None


def _said_by(*command: str) -> str | None:
    """What a program prints; None where it is not installed, fails, or takes longer than two seconds."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _first_line(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None, "it was asked for"
            line = process.stdout.readline()
            process.terminate()
    except OSError:
        return None
    return line or None


def text_of(path: Path) -> str | None:
    """What a file of the kernel holds; None where it is not there."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None


def number_of(path: Path) -> float | None:
    """The number a file of the kernel holds; None where it is not there or holds none."""
    text = text_of(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
