"""The loop of a replay: every frame of a recording through the pipeline, in order, none dropped."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge import __version__, flights
from edge.frames import Camera, SkippedFrame, readable
from edge.masks import Segmenter
from edge.outcome import Flight, Outcome
from edge.pipeline import Pipeline
from edge.support.clock import ManualClock, stopwatch_ns
from edge.support.errors import TryAgainError
from edge.support.timings import percentiles
from edge.tools.replay.earlier import PREFIX


@dataclass(slots=True)
class Tally:
    """What a replay counted."""

    frames: int = 0
    frames_with_cracks: int = 0
    motion_unknown: int = 0
    """Frames with cracks whose motion during the exposure is not known: taken to have stood still."""
    dropped: int = 0
    detections: int = 0
    suppressed: Counter[str] = field(default_factory=Counter)
    """Findings that were not reported, by reason."""
    left_out: int = 0
    """Pieces and branches of masks that were not measured, because a frame held more than its cap."""
    second_looks: int = 0
    """Runs of the network that looked at a part of a frame again."""
    unplaced: Counter[str] = field(default_factory=Counter)
    """Detections whose place on the surface is not known, by reason."""
    skipped: tuple[SkippedFrame, ...] = ()
    wall_s: float = 0.0
    stage_ms: dict[str, array[float]] = field(default_factory=dict)
    """One column per stage, a value per frame."""


def fly(camera: Camera, pipeline: Pipeline, clock: ManualClock, see: Callable[[Outcome], None]) -> Tally:
    """Process every frame of ``camera``; ``see`` gets each outcome.

    Raises TryAgainError when detections cannot be written down, after the frame they belong to.
    """
    tally = Tally()
    begun = asked = stopwatch_ns()
    for frame in camera.frames():
        arrived = stopwatch_ns()
        clock.advance_to(frame.exposed_ns)
        outcome = pipeline.process(frame)
        if pipeline.storage_trouble is not None:
            raise TryAgainError(pipeline.storage_trouble)
        processed = stopwatch_ns()
        see(outcome)
        done = stopwatch_ns()
        _count(tally, outcome, {"read": arrived - asked, "write": done - processed, "total": done - asked})
        asked = done
    tally.skipped = camera.skipped
    # A file that cannot be read leaves a gap in seq, but nothing was dropped: it is counted as skipped.
    tally.dropped = max(0, tally.dropped - len(tally.skipped))
    tally.wall_s = (stopwatch_ns() - begun) / 1e9
    return tally


def _count(tally: Tally, outcome: Outcome, around_ns: Mapping[str, int]) -> None:
    tally.frames += 1
    tally.frames_with_cracks += bool(outcome.damage)
    tally.motion_unknown += bool(outcome.damage) and outcome.seen.smear_px is None
    tally.detections += len(outcome.features)
    tally.suppressed.update(outcome.suppressed)
    tally.left_out += outcome.left_out
    tally.second_looks += outcome.mask.second_looks
    tally.unplaced.update(place.reason for place in outcome.places if place.reason is not None)
    tally.dropped += outcome.dropped_before
    for stage, took_ms in {**outcome.stage_ms, **{stage: took / 1e6 for stage, took in around_ns.items()}}.items():
        tally.stage_ms.setdefault(stage, array("d")).append(took_ms)


def summary(tally: Tally, segmenter: Segmenter, flight: Flight, source: str) -> dict[str, Any]:
    """The content of summary.json."""
    runtime = segmenter.runtime
    return {
        "schema": flights.SCHEMA,
        "vehicle": flight.vehicle,
        "spanhawk": __version__,
        "source": source,
        "flight_id": flight.flight_id,
        "frames": tally.frames,
        "frames_with_cracks": tally.frames_with_cracks,
        "dropped": tally.dropped,
        "skipped": len(tally.skipped),
        "skipped_files": [{"name": bad.name, "reason": bad.reason} for bad in tally.skipped],
        "detections": tally.detections,
        "left_out": tally.left_out,
        "second_looks": tally.second_looks,
        "suppressed": dict(tally.suppressed),
        "unplaced": dict(tally.unplaced.most_common()),
        "stage_ms": percentiles(tally.stage_ms),
        "wall_s": round(tally.wall_s, 3),
        "frames_per_s": round(tally.frames / tally.wall_s, 2) if tally.wall_s > 0 else None,
        "bundle": segmenter.model,
        "bundle_sha256": segmenter.sha256,
        "score_thresholds": {kind.name: kind.threshold for kind in segmenter.classes},
        "backend": runtime.backend,
        "library": runtime.library,
        "accelerator": runtime.accelerator,
        "threads": runtime.threads,
    }


def flight_name(source: str, *ingredients: object) -> str:
    """A flight id that is the same whenever one version replays the same source with the same model and settings.

    Another version may trace other cracks: under the same id a receiver would take them for those that it has.
    """
    digest = hashlib.sha256("\n".join(map(repr, (__version__, *ingredients))).encode()).hexdigest()[:8]
    return f"{PREFIX}{readable(source)}-{digest}"


def by_state(cracks: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many of the flight's cracks (``spanhawk/crack/1``) are confirmed, tentative and withdrawn."""
    counted = Counter(crack["properties"]["state"] for crack in cracks)
    return {state: counted[state] for state in ("confirmed", "tentative", "withdrawn")}


def said_of(cracks: Sequence[Mapping[str, Any]]) -> str:
    """The same as words."""
    count = by_state(cracks)
    return f"{count['confirmed']} cracks confirmed, {count['tentative']} tentative, {count['withdrawn']} withdrawn"


def motion_said(tally: Tally) -> str:
    """That widths were read without knowing the motion, where that holds for most frames with cracks.

    A flight's first frame never knows it: only that is nothing to speak of.
    """
    if 2 * tally.motion_unknown <= tally.frames_with_cracks or tally.frames < 2:
        return ""
    return "; how the camera moved during the exposures is not known: widths are read as if it stood still"
