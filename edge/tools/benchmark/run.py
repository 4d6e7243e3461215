"""``spanhawk benchmark``: what is measured in which order, and what the command ends with."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.detections.wire import rfc3339
from edge.masks.artifacts import TFLITE
from edge.masks.bundle import default_bundle_path, load_bundle
from edge.masks.traits import Instrument, traits_of
from edge.support import backends
from edge.support.clock import SystemClock
from edge.support.errors import EXIT_DONE, ConfigError, DeviceError, UsageError
from edge.tools.benchmark import Measured, Refused, reference
from edge.tools.benchmark.board import board, state
from edge.tools.benchmark.crosscheck import litert_benchmark
from edge.tools.benchmark.endtoend import end_to_end
from edge.tools.benchmark.loops import FrameLoop, rendered
from edge.tools.benchmark.report import Report
from edge.tools.benchmark.roofline import roofline
from edge.tools.benchmark.subject import (
    DEFAULT,
    OPENER,
    ROOM,
    Subject,
    known_backends,
    masks_table,
    measure,
    module_of,
    opened,
    why_not,
)
from edge.tools.benchmark.sustain import Sustained, sustain

EXIT_OFF_REFERENCE = 1
"""``--check`` found a number outside its limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the command line asked for."""

    bundles: Sequence[Path] = ()
    """Empty: the one that ships."""
    backends: Sequence[str] = ()
    """Empty: every one there is, absent ones named; one that is asked for by name must give a number."""
    options: Sequence[str] = ()
    """``key=value`` for the [masks] table."""
    threads: Sequence[int] = ()
    """Empty: 1, 2, 4 ... up to the cores."""
    size: str = "1280x720"
    runs: int = 200
    warm_up: int = 10
    json_path: Path | None = None
    roofline: bool = False
    cross_check: bool = False
    sustained_min: int = 0
    end_to_end_s: float = 0.0
    fps: float = 10.0
    check: bool = False
    write_reference: bool = False
    reference: Path | None = None
    """A reference file; None: the one of this board in the checkout."""
    width_px: int = field(init=False)
    height_px: int = field(init=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be measured. Raises UsageError."""
        for name, value, least in (("--runs", self.runs, 20), ("--warm-up", self.warm_up, 1), ("--fps", self.fps, 0.1)):
            if not least <= value <= 1_000_000:
                raise UsageError(f"{name}: got {value}, needs {least} or more")
        if min(self.threads, default=1) < 1 or self.sustained_min < 0 or self.sustained_min == 1:
            raise UsageError("--threads takes 1 or more, --sustained 2 minutes or more")
        if self.end_to_end_s and not 5 <= self.end_to_end_s <= 3600:
            raise UsageError(f"--end-to-end: got {self.end_to_end_s}, needs 5 to 3600 seconds")
        width, _, height = self.size.lower().partition("x")
        if not (width.isdigit() and height.isdigit() and 32 <= int(width) <= 16384 and 32 <= int(height) <= 16384):
            raise UsageError(f"--size: got {self.size!r}, needs WIDTHxHEIGHT in pixels, as 1280x720")
        object.__setattr__(self, "width_px", int(width))
        object.__setattr__(self, "height_px", int(height))


def benchmark(job: Job) -> Report:
    """Measure, and write the JSON. Raises SpanhawkError; DeviceError where what was asked for gave no number."""
    _check_backends(job)
    bundles = list(job.bundles) or [default_bundle_path()]
    report = Report(rfc3339(SystemClock().utc()), board(), state())
    for bundle in bundles:
        load_bundle(bundle)  # before anything is measured: one that must not fly ends the command
    with tempfile.TemporaryDirectory(prefix="spanhawk-benchmark-") as folder:
        # Rendered here, so that what rendering takes is no part of the memory a backend needs.
        picture = Path(folder) / "picture.npy"
        np.save(picture, rendered(job.height_px, job.width_px))
        subjects = [subject for bundle in bundles for subject in _subjects(job, bundle, picture)]
        for subject in _with_bar(subjects):
            _add(report, measure(subject), asked=bool(job.backends))
    for bundle in bundles:
        _extras(job, report, bundle)
    if job.json_path is not None:
        _write(job.json_path, report)  # what follows takes longest and needs more: where it fails, the rest is kept
    _last(job, report, bundles[0])
    report.after = state()
    if job.json_path is not None:
        _write(job.json_path, report)
    return report


def _check_backends(job: Job) -> None:
    """Refuse backends and options nobody knows before anything is measured. Raises UsageError."""
    table = _options(job)
    if table and not job.backends:
        raise UsageError("--option belongs to a backend; name it with --backend")
    for name in job.backends:
        try:
            module, _ = backends.options(ROOM, OPENER, {"backend": name, **table}, "masks", DEFAULT)
            traits = traits_of(module)
        except ConfigError as error:
            raise UsageError(f"--backend {name}: {error}") from error
        if traits.artifact is None:
            raise UsageError(f"--backend {name}: it runs no model file, so there is nothing to measure")

    wanted: dict[str, tuple[bool, Instrument]] = {
        "--roofline": (job.roofline, "roofline"), "--cross-check": (job.cross_check, "litert-benchmark"),
    }  # fmt: skip
    for flag, (asked, instrument) in wanted.items():
        if asked and not _fitting(job, instrument):
            raise UsageError(
                f"{flag}: it cannot run the model of {' or '.join(_backends(job))}; measure {DEFAULT} as well"
            )


def _subjects(job: Job, bundle: Path, picture: Path) -> Iterator[Subject]:
    for backend in _backends(job):
        for threads in _threads(job) if _on_threads(job, backend) else [1]:
            yield Subject(
                bundle=bundle, backend=backend, threads=threads, options=_options(job),
                picture=picture, runs=job.runs, warm_up=job.warm_up,
            )  # fmt: skip


def _backends(job: Job) -> Sequence[str]:
    return job.backends or list(known_backends())


def _on_threads(job: Job, backend: str) -> bool:
    """Whether the number of CPU threads changes how fast ``backend`` is with the job's options."""
    module, options = backends.options(ROOM, OPENER, {"backend": backend, **_options(job)}, "masks", DEFAULT)
    return traits_of(module).on_threads(options)


def _threads(job: Job) -> Sequence[int]:
    if job.threads:
        return job.threads
    cores = len(os.sched_getaffinity(0))
    return sorted({1, *(n for n in (2, 4) if n <= cores), min(cores, 4)})


def _options(job: Job) -> dict[str, Any]:
    """``key=value`` as TOML values; a bare word is a text. Raises UsageError."""
    from edge.support import config

    table: dict[str, Any] = {}
    for word in job.options:
        key, equals, value = word.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError(f"--option: got {word!r}, needs KEY=VALUE, as device=usb:0")
        try:
            table |= config.loads(f"{key} = {value}", "--option")
        except ConfigError:
            table[key] = value
    return table


def _add(report: Report, found: Measured | Refused, *, asked: bool) -> None:
    if isinstance(found, Measured):
        report.measured.append(found)
        return
    if asked:
        raise DeviceError(f"no number for {found.backend}: {found.reason}")
    if found not in report.refused:  # once, not for each number of threads
        report.refused.append(found)


def _with_bar(subjects: Sequence[Subject]) -> Iterator[Subject]:
    from tqdm import tqdm

    # disable=None: a bar for a person at a terminal, none in a log file.
    with tqdm(subjects, unit="row", file=sys.stderr, disable=None) as bar:
        for subject in bar:
            bar.set_postfix_str(f"{subject.bundle.name} on {subject.backend}, {subject.threads} threads")
            yield subject


def _extras(job: Job, report: Report, bundle: Path) -> None:
    """What else can run the artefact of a backend that was measured, beside it."""
    loaded = load_bundle(bundle)
    if job.roofline:
        (backend, *_) = _fitting(job, "roofline")
        report.rooflines[loaded.model] = roofline(loaded.path(_artifact(backend)).read_bytes())
    if job.cross_check:
        for one in report.measured:
            alone = (one.bundle, one.accelerator, one.threads) == (loaded.model, "cpu", 1)
            if alone and one.backend in _fitting(job, "litert-benchmark"):
                found = litert_benchmark(loaded.path(_artifact(one.backend)), job.runs, one.invoke.p50_ms)
                report.cross_checks[loaded.model] = found


def _fitting(job: Job, instrument: Instrument) -> list[str]:
    """The backends to be measured whose artefact the instrument can run."""
    return [name for name in _backends(job) if instrument in traits_of(module_of(name)).instruments]


def _artifact(backend: str) -> str:
    return traits_of(module_of(backend)).artifact or TFLITE


def _last(job: Job, report: Report, bundle: Path) -> None:
    backend = job.backends[0] if job.backends else DEFAULT
    threads = max(_threads(job))
    if job.sustained_min:
        report.sustained = _sustained(job, bundle, backend, threads)
    if job.end_to_end_s:
        masks = masks_table(bundle, backend, threads, _options(job))
        size = (job.height_px, job.width_px)
        report.end_to_end = end_to_end(masks, threads, size, job.fps, job.end_to_end_s)


def _sustained(job: Job, bundle: Path, backend: str, threads: int) -> Sustained:
    from tqdm import tqdm

    segmenter_of = (bundle, backend, threads, _options(job))
    with opened(*segmenter_of) as segmenter, FrameLoop(segmenter, rendered(job.height_px, job.width_px)) as loop:
        why = why_not(segmenter, traits_of(module_of(backend)))
        if why is not None:
            raise DeviceError(f"no number for {backend}: {why}")
        with tqdm(total=60 * job.sustained_min, unit="s", file=sys.stderr, disable=None) as bar:

            def after_step(elapsed_s: float) -> None:
                loop.empty()
                bar.update(int(elapsed_s) - bar.n)

            return sustain(loop.step, job.sustained_min, SystemClock(), state, after_step)


def _write(path: Path, report: Report) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report.document(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--json {path}: cannot write there ({error.strerror}); name another file") from error


def against_reference(job: Job, report: Report) -> tuple[str, int]:
    """What ``--check`` or ``--write-reference`` has to say, and the exit code. Raises UsageError, ConfigError."""
    if not report.measured:
        raise DeviceError("nothing could be measured; the reasons are listed above")
    if not (job.check or job.write_reference):
        return "", EXIT_DONE
    path = job.reference
    if path is None:
        folder = reference.folder()
        if folder is None:
            raise UsageError("an installed spanhawk brings no references; name a file with --reference FILE.csv")
        path = folder / f"{report.board.slug}.csv"
    if job.write_reference:
        reference.write(path, reference.rows(report.measured))
        return f"written: {path}", EXIT_DONE
    verdicts = reference.check(report.measured, reference.read(path))
    if not verdicts:
        raise ConfigError(f"{path}: holds no row about what was measured; measure it with --write-reference")
    passed = all(verdict.passed for verdict in verdicts)
    lines = [("ok      " if verdict.passed else "FAILED  ") + verdict.sentence() for verdict in verdicts]
    return "\n".join(lines), EXIT_DONE if passed else EXIT_OFF_REFERENCE
