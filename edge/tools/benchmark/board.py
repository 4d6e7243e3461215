"""What the board is, and the state it is in: everything that makes two numbers of the same code differ."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from edge import __version__
from edge.support.board import temperature_deg_c
from edge.tools.benchmark.power import number_of, power_w, text_of

_SYS, _PROC = Path("/sys"), Path("/proc")

_PACKAGES = ("numpy", "opencv-python-headless", "ai-edge-litert", "tflite-runtime", "onnxruntime")

# Bits of the Raspberry Pi firmware's get_throttled; the same ones sixteen higher: it happened since the start.
_THROTTLED: Mapping[int, str] = {
    0: "under-voltage",
    1: "clock capped",
    2: "throttled",
    3: "soft temperature limit",
}


@dataclass(frozen=True, slots=True)
class Board:
    """What does not change during a measurement."""

    name: str
    """As people call it: ``Raspberry Pi 5 Model B Rev 1.0``, or the processor where the board has no name."""
    slug: str
    """``name`` as a file name, without the revision: which reference belongs to it."""
    processor: str
    cores: int
    memory_mb: int | None
    system: str
    """Kernel and architecture."""
    python: str
    versions: Mapping[str, str]
    """Of spanhawk and the libraries that compute."""


@dataclass(frozen=True, slots=True)
class State:
    """What does; None where the board does not say."""

    governor: str | None
    """How the kernel sets the clock; anything but ``performance`` makes short runs slower."""
    clock_mhz: float | None
    """Of the fastest core."""
    temperature_deg_c: float | None
    throttled: tuple[str, ...] | None
    """What a Raspberry Pi's firmware holds back now, in words; empty where nothing."""
    throttled_before: tuple[str, ...] | None
    """What it held back at any time since it started."""
    power_w: float | None
    load: float
    """Mean number of runnable threads of the last minute, our own included."""


def board(sys: Path = _SYS, proc: Path = _PROC) -> Board:
    """Ask the kernel what this is."""
    tree = text_of(proc / "device-tree/model") or text_of(sys / "firmware/devicetree/base/model")
    processor = _processor(proc)
    cores = len(os.sched_getaffinity(0))
    name = (tree or "").rstrip("\0") or f"{platform.machine()}, {processor}, {cores} cores"
    return Board(
        name=name,
        slug=slug(name),
        processor=processor,
        cores=cores,
        memory_mb=_memory_mb(proc),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        versions={"spanhawk": __version__, **_installed()},
    )


def state(sys: Path = _SYS) -> State:
    """Ask the kernel and the firmware how things stand now."""
    cores = sorted((sys / "devices/system/cpu").glob("cpu[0-9]*"))
    clocks = [number_of(core / "cpufreq/scaling_cur_freq") for core in cores]
    known = [clock / 1000 for clock in clocks if clock is not None]
    word = text_of(sys / "devices/platform/soc/soc:firmware/get_throttled")
    return State(
        governor=next(filter(None, (text_of(core / "cpufreq/scaling_governor") for core in cores)), None),
        clock_mhz=max(known, default=None),
        temperature_deg_c=temperature_deg_c(sys / "class/thermal"),
        throttled=_bits(word, 0),
        throttled_before=_bits(word, 16),
        power_w=power_w(sys / "class/hwmon"),
        load=os.getloadavg()[0],
    )


def slug(name: str) -> str:
    """A file name for a board: lower case, dashes, no revision."""
    plain = re.sub(r"\brev\b.*", "", name.lower())
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def peak_mb(status: Path = Path("/proc/self/status")) -> float | None:
    """Largest resident memory of this process so far, megabytes."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", text_of(status) or "", re.MULTILINE)
    return None if found is None else int(found[1]) * 1024 / 1e6


def _bits(word: str | None, shift: int) -> tuple[str, ...] | None:
    try:
        flags = int(word or "", 16) >> shift
    except ValueError:
        return None
    return tuple(text for bit, text in _THROTTLED.items() if flags >> bit & 1)


def _processor(proc: Path) -> str:
    """The processor's own name; an Arm kernel gives numbers only, which the device tree's name makes up for."""
    text = text_of(proc / "cpuinfo") or ""
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    if "model name" in fields:
        family = f" family {fields['cpu family']} model {fields['model']}" if "cpu family" in fields else ""
        return fields["model name"] + family
    if "CPU part" in fields:
        return f"Arm part {fields['CPU part']}"
    return platform.processor() or platform.machine()


def _memory_mb(proc: Path) -> int | None:
    found = re.search(r"^MemTotal:\s+(\d+) kB", text_of(proc / "meminfo") or "", re.MULTILINE)
    return None if found is None else round(int(found[1]) * 1024 / 1e6)


def _installed() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
