"""The network gives the golden answer, on what it was asked to run on, and fast enough to be what it seems."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.frames import Frame
from edge.masks import Segmenter, litert
from edge.masks.bundle import Bundle
from edge.masks.segmenter import NetworkOptions, open_bundle
from edge.support.clock import stopwatch_ns
from edge.support.errors import EXIT_CONFIG
from edge.tools.doctor import Bench, Result, fail, not_applicable, ok, warn

_RUNS = 3
# Seconds per billion multiply-adds. With XNNPACK's int8 kernels one core of a Raspberry Pi 4 takes under 0.2; without
# them (they are dropped in silence where /proc/cpuinfo cannot be read) a fast x86-64 core took 4.5. Between the two:
_NO_KERNELS_S_PER_GMAC = 1.0
# The watchdog of the service is 15 s, and a frame must be done within it.
_SLOW_FRAME_S = 7.5
# An Edge TPU that owns the operators beats the CPU by far; at this share of the CPU's time the CPU does the work.
_NO_GAIN = 0.8
_USB = Path("/sys/bus/usb/devices")
_APEX = Path("/sys/class/apex")
# Before and after its firmware is loaded.
_EDGETPU_IDS = (("1a6e", "089a"), ("18d1", "9302"))
_USB3_MBIT_S = 5000


def model(bench: Bench) -> Result:
    """Open the bundle (hashes and golden answer are checked there) and time it on one network input and one frame."""
    backend = bench.settings.masks
    bundle = _bundle(bench)
    with backend.module.open_segmenter(backend.options, bench.clock) as segmenter:
        runtime = segmenter.runtime
        bench.runs_on = runtime.accelerator
        bench.tile_s = None if bundle is None else _best_s(segmenter, _blank(bundle))
        frame_s = None if bench.frame is None else _best_s(segmenter, bench.frame)
    told = f"{segmenter.model} on {runtime.accelerator} ({runtime.library})"
    if bundle is None or bench.tile_s is None:
        return warn(f"{told}: a fake without a golden answer", 'set [masks] backend = "litert" or "edgetpu" to fly')
    told += f": golden answer right, {bench.tile_s * 1e3:.0f} ms a tile"
    told += "" if frame_s is None else f", {frame_s * 1e3:.0f} ms a frame of the camera"
    if segmenter.degraded is not None:
        return warn(f"{told}; {segmenter.degraded}", "make the accelerator work, or ask for litert in [masks]")
    gmac = bundle.card.made.get("gmac")
    if runtime.accelerator == "cpu" and isinstance(gmac, float) and bench.tile_s > _NO_KERNELS_S_PER_GMAC * gmac:
        advice = "let it read /proc/cpuinfo (no ProcSubset=pid in the unit), and install ai-edge-litert"
        return fail(f"{told}: the optimised int8 kernels are not in use", advice, EXIT_CONFIG)
    if frame_s is not None and frame_s > _SLOW_FRAME_S:
        return fail(f"{told}: above {_SLOW_FRAME_S} s", "choose a smaller picture in [camera]", EXIT_CONFIG)
    return ok(told)


def accelerator(bench: Bench) -> Result:
    """The Edge TPU is on USB 3 or PCIe, and it, not the CPU, does the work."""
    backend = bench.settings.masks
    if backend.name != "edgetpu":
        return not_applicable(f"[masks] asks for {backend.name}, not for an Edge TPU")
    where = edgetpu_bus()
    if where is None:
        return fail("no Edge TPU on USB or PCIe", "plug it into a blue USB 3 port and look for it with lsusb")
    if bench.runs_on != "edgetpu" or bench.tile_s is None:
        return fail(f"{where}, but the network does not run on it", "do what the check of the model says")
    asked = backend.options
    options = litert.Options(bundle=asked.bundle, threads=asked.threads, unsigned=asked.unsigned, keys=asked.keys)
    with litert.open_segmenter(options, bench.clock) as on_cpu:
        cpu_s = _best_s(on_cpu, _blank(open_bundle(options)))
    return owned(where, bench.tile_s, cpu_s)


def owned(where: str, tile_s: float, cpu_s: float) -> Result:
    """Whether the accelerator does the work: its time for a tile against the CPU's, seconds."""
    told = f"{where}; {tile_s * 1e3:.0f} ms a tile, the CPU takes {cpu_s * 1e3:.0f}"
    if tile_s > _NO_GAIN * cpu_s:
        advice = "compile the model again and read in the compiler's report which operators stay on the CPU"
        return fail(f"{told}: the Edge TPU does not do the work", advice, EXIT_CONFIG)
    if "USB 2" in where:
        return warn(told, "plug it into a blue USB 3 port with its own cable: USB 2 is several times slower")
    return ok(told)


def edgetpu_bus(usb: Path = _USB, apex: Path = _APEX) -> str | None:
    """Where the Edge TPU hangs: on PCIe, on USB 3 or on USB 2 (with its speed); None when there is none."""
    if any(apex.glob("apex_*")):
        return "Edge TPU on PCIe"
    for device in sorted(usb.glob("*")):
        if (_text(device / "idVendor"), _text(device / "idProduct")) in _EDGETPU_IDS:
            speed = _text(device / "speed")
            fast = speed.isdigit() and int(speed) >= _USB3_MBIT_S
            return f"Edge TPU on USB {3 if fast else 2} ({speed or '?'} Mbit/s)"
    return None


def _bundle(bench: Bench) -> Bundle | None:
    """The configured bundle; None for a backend that has none."""
    options = bench.settings.masks.options
    return open_bundle(options) if isinstance(options, NetworkOptions) else None


def _blank(bundle: Bundle) -> Frame:
    """A grey frame of the network's input size: one tile."""
    rgb = np.full((bundle.card.input.height, bundle.card.input.width, 3), 128, np.uint8)
    return Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=rgb, lores=rgb)


def _best_s(segmenter: Segmenter, frame: Frame) -> float:
    """The fastest of a few runs, seconds; the first one also warms up."""
    took = []
    for _ in range(_RUNS):
        begun_ns = stopwatch_ns()
        segmenter.segment(frame)
        took.append(stopwatch_ns() - begun_ns)
    return min(took) / 1e9


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
