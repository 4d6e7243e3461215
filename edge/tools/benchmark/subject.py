"""One bundle on one backend, measured in a process of its own: its memory is its own, and so is its crash."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from edge.frames import RGB
from edge.masks import Segmenter
from edge.masks.artifacts import TFLITE
from edge.masks.bundle import Bundle, load_bundle
from edge.masks.traits import Traits, traits_of
from edge.support import backends
from edge.support.clock import SystemClock, stopwatch_ns
from edge.support.errors import BundleError, SpanhawkError
from edge.tools.benchmark import Loop, Measured, Refused
from edge.tools.benchmark.accuracy import card_accuracy
from edge.tools.benchmark.board import peak_mb
from edge.tools.benchmark.delegation import delegation, refusal
from edge.tools.benchmark.loops import FrameLoop, clean, cut
from edge.tools.benchmark.power import power_w
from edge.tools.benchmark.timing import interleaved

ROOM, OPENER, DEFAULT = "edge.masks", "open_segmenter", "litert"

# Power is asked for this often while measuring; the question itself takes milliseconds on a Raspberry Pi.
_POWER_EVERY_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is to be measured, and how often."""

    bundle: Path
    backend: str
    threads: int
    options: Mapping[str, Any]
    """More keys of the [masks] table, as a provider."""
    picture: Path
    """The camera's frame: a .npy file, uint8 (H, W, 3)."""
    runs: int
    warm_up: int


def measure(subject: Subject) -> Measured | Refused:
    """Measure in a new process; a backend that is absent, degraded, idle or that dies gives a refusal, never a number.

    Raises BundleError where the bundle itself must not fly.
    """
    bundle = load_bundle(subject.bundle)
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
            return pool.submit(measure_here, subject).result()
    except BrokenProcessPool:
        return Refused(bundle.model, subject.backend, "the process that measured it ended; see its output above")


def measure_here(subject: Subject) -> Measured | Refused:
    """Measure in this process: its memory counts what was there before."""
    cv2.setNumThreads(1)
    bundle = load_bundle(subject.bundle)
    traits = traits_of(module_of(subject.backend))
    begun_ns = stopwatch_ns()
    with ExitStack() as stack:
        try:
            segmenter = stack.enter_context(opened(subject.bundle, subject.backend, subject.threads, subject.options))
        except SpanhawkError as error:
            if isinstance(error, BundleError) and traits.artifact == TFLITE:
                raise  # the bundle itself must not fly; with another artefact that one alone is absent or wrong
            # A result does not show where this machine keeps its files.
            reason = str(error).replace(str(subject.bundle.resolve()), subject.bundle.name)
            return Refused(bundle.model, subject.backend, reason)
        open_ms = (stopwatch_ns() - begun_ns) / 1e6
        why = why_not(segmenter, traits)
        if why is not None:
            return Refused(bundle.model, subject.backend, why)
        return _timed(subject, bundle, traits, segmenter, open_ms)


def opened(bundle: Path, backend: str, threads: int, options: Mapping[str, Any]) -> Segmenter:
    """A segmenter on ``backend``. Raises SpanhawkError where it cannot be what was asked for."""
    table = masks_table(bundle, backend, threads, options)
    segmenter: Segmenter = backends.open_backend(ROOM, OPENER, table, SystemClock(), where="masks", default=DEFAULT)
    return segmenter


def masks_table(bundle: Path, backend: str, threads: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """The [masks] table that opens ``bundle`` for measuring; ``options`` has the last word. Raises ConfigError."""
    known = module_of(backend).Options.__dataclass_fields__
    # A bundle that is not signed may be measured; that does not let it fly.
    wanted = {"threads": threads, "unsigned": "allow"}
    fitting = {key: value for key, value in wanted.items() if key in known}
    return {"backend": backend, "bundle": str(bundle.resolve()), **fitting, **options}


def why_not(segmenter: Segmenter, traits: Traits) -> str | None:
    """Why this segmenter, of a backend with these traits, gives no number that could be quoted; None when it does."""
    if segmenter.degraded is not None:
        return segmenter.degraded
    network = getattr(segmenter, "network", None)
    if network is None:
        return f"{segmenter.runtime.backend} has no network of its own to measure"
    if getattr(network, "exclusive", False):
        return None  # a backend whose network cannot run anywhere else has proved it by opening
    return refusal(segmenter.runtime.accelerator, traits.operator, _operators(network))


def _operators(network: Any) -> Any:
    listing = getattr(network, "operators", None)
    return None if listing is None else listing()


def _timed(subject: Subject, bundle: Bundle, traits: Traits, segmenter: Any, open_ms: float) -> Measured:
    watts = _Watts()
    with ExitStack() as stack:
        loops = {
            name: stack.enter_context(FrameLoop(segmenter, rgb)) for name, rgb in _pictures(subject, bundle).items()
        }

        def after_round() -> None:
            watts.ask()
            for loop in loops.values():
                loop.empty()

        nodes, found, bare = _operators(segmenter.network), dict[str, Loop](), []
        # The network may be opened anew for the size of a frame: those of one size are measured side by side.
        for names in (("tile",), ("frame", "clean")):
            for name in names:
                loops[name].step()
            works: dict[str, Callable[[], object]] = {"invoke": segmenter.network.run}
            works |= {name: loops[name].step for name in names}
            taken = interleaved(works, subject.runs, subject.warm_up, after_round)
            bare.append(taken["invoke"])
            count = len(segmenter.plan)
            found |= {name: loops[name].result(taken[name], count, bare[-1].cpu_min_ms) for name in names}
    runtime = segmenter.runtime
    return Measured(
        bundle=bundle.model,
        backend=subject.backend,
        rival=traits.faster_than if runtime.accelerator != "cpu" else None,
        threads=runtime.threads,
        library=runtime.library,
        accelerator=runtime.accelerator,
        model_bytes=bundle.path(traits.artifact or TFLITE).stat().st_size,
        accuracy=card_accuracy(bundle.card.metrics, traits.scores),
        delegation=None if nodes is None else delegation(nodes),
        open_ms=round(open_ms, 1),
        invoke=bare[0],
        loops=found,
        peak_mb=peak_mb(),
        power_w=watts.mean(),
    )


def _pictures(subject: Subject, bundle: Bundle) -> dict[str, RGB]:
    source = bundle.card.input
    frame = np.load(subject.picture, allow_pickle=False)
    return {"tile": cut(frame, source.height, source.width), "frame": frame, "clean": clean(*frame.shape[:2])}


class _Watts:
    """Power, now and then."""

    def __init__(self) -> None:
        self._asked_ns = stopwatch_ns()
        self._readings: list[float] = []

    def ask(self) -> None:
        if stopwatch_ns() - self._asked_ns < _POWER_EVERY_NS:
            return
        self._asked_ns = stopwatch_ns()
        reading = power_w()
        if reading is not None:
            self._readings.append(reading)

    def mean(self) -> float | None:
        return sum(self._readings) / len(self._readings) if self._readings else None


def module_of(backend: str) -> ModuleType:
    """The module of a backend by its name in the configuration. Raises ConfigError."""
    return backends.find(ROOM, backend, OPENER, "masks.backend")


def known_backends() -> Iterator[str]:
    """Every backend of the room that runs a model file; the fakes have none."""
    return (name for name in backends.names(ROOM, OPENER) if traits_of(module_of(name)).artifact is not None)
