"""The network gives the golden answer, on what it was asked to run on, and fast enough to be what it seems."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.frames import Frame
from edge.masks import Segmenter
from edge.masks.bundle import Bundle
from edge.masks.segmenter import open_bundle
from edge.masks.traits import Device, traits_of
from edge.support import backends
from edge.support.clock import stopwatch_ns
from edge.support.errors import EXIT_CONFIG
from edge.tools.doctor import Bench, Result, fail, not_applicable, ok, warn

_RUNS = 3
# Seconds per billion multiply-adds. With XNNPACK's int8 kernels one core of a Raspberry Pi 4 takes under 0.2; without
# them (they are dropped in silence where /proc/cpuinfo cannot be read) a fast x86-64 core took 4.5. Between the two:
_NO_KERNELS_S_PER_GMAC = 1.0
# The watchdog of the service is 15 s, and a frame must be done within it.
_SLOW_FRAME_S = 7.5
# An accelerator that runs the network beats the CPU by far; at this share of the CPU's time the CPU does the work.
_NO_GAIN = 0.8
_ROOM, _OPENER = "edge.masks", "open_segmenter"
# What two backends of one bundle are told alike, so that both run the same network of the same maker.
_SHARED = ("bundle", "threads", "unsigned", "keys")


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
        return warn(f"{told}: a fake without a golden answer", 'set [masks] backend = "litert" to fly')
    told += f": golden answer right, {bench.tile_s * 1e3:.0f} ms a tile"
    told += "" if frame_s is None else f", {frame_s * 1e3:.0f} ms a frame of the camera"
    told += "" if bench.slower == 1 else f"; judged as on a computer that is {bench.slower:g} times slower than a board"
    if segmenter.degraded is not None:
        return warn(f"{told}; {segmenter.degraded}", "make the accelerator work, or ask for litert in [masks]")
    gmac = bundle.card.made.get("gmac")
    if (
        runtime.accelerator == "cpu"
        and isinstance(gmac, float)
        and bench.tile_s > bench.slower * _NO_KERNELS_S_PER_GMAC * gmac
    ):
        advice = "let it read /proc/cpuinfo (no ProcSubset=pid in the unit), and install ai-edge-litert"
        return fail(f"{told}: the optimised int8 kernels are not in use", advice, EXIT_CONFIG)
    if frame_s is not None and frame_s > bench.slower * _SLOW_FRAME_S:
        return fail(
            f"{told}: above {bench.slower * _SLOW_FRAME_S:g} s", "choose a smaller picture in [camera]", EXIT_CONFIG
        )
    return ok(told)


def accelerator(bench: Bench) -> Result:
    """The accelerator that [masks] asks for is there, and it, not the CPU, does the work."""
    backend = bench.settings.masks
    traits = traits_of(backend.module)
    device = traits.find_device(backend.options)  # raises DeviceError where it is absent
    if device is None:
        return not_applicable(f"[masks] asks for {backend.name}, which needs no accelerator here")
    if bench.runs_on in (None, "cpu") or bench.tile_s is None:
        return fail(f"{device.where}, but the network does not run on it", "do what the check of the model says")
    if traits.faster_than is None:
        return ok(f"{device.where}; {bench.tile_s * 1e3:.0f} ms a tile")
    with _open_rival(traits.faster_than, backend.options, bench) as rival:
        rival_s = _best_s(rival, _blank(open_bundle(backend.options)))
    return owned(device, bench.tile_s, traits.faster_than, rival_s)


def owned(device: Device, tile_s: float, rival: str, rival_s: float) -> Result:
    """Whether the accelerator does the work: its time for a tile against that of the backend ``rival``, seconds."""
    told = f"{device.where}; {tile_s * 1e3:.0f} ms a tile, {rival} takes {rival_s * 1e3:.0f}"
    if tile_s > _NO_GAIN * rival_s:
        advice = "make the model for it again, and read in its compiler's report what stays on the CPU"
        return fail(f"{told}: the accelerator does not do the work", advice, EXIT_CONFIG)
    return ok(told) if device.advice is None else warn(told, device.advice)


def _open_rival(name: str, options: Any, bench: Bench) -> Segmenter:
    """The backend ``name`` on the same bundle as ``options``."""
    module = backends.find(_ROOM, name, _OPENER, "masks.backend")
    alike = {key: getattr(options, key) for key in _SHARED}
    opened: Segmenter = module.open_segmenter(module.Options(**alike), bench.clock)
    return opened


def _bundle(bench: Bench) -> Bundle | None:
    """The configured bundle; None for a backend that has none."""
    backend = bench.settings.masks
    return None if traits_of(backend.module).artifact is None else open_bundle(backend.options)


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
