"""``spanhawk export``: a flight's pictures and findings in the formats of programs that correct labels or play it."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from edge.flights import EXPORTS, PHOTOS, in_words
from edge.flights.reader import Feature, FlightFolder
from edge.flights.writer import keep_out
from edge.ground.report.reviewed import Names
from edge.support.errors import UsageError

Format = Literal["labelme", "coco", "cvat", "masks", "mcap"]
Verdict = Literal["confirmed", "rejected", "unreviewed"]
Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shape:
    """One finding in the pixels of its picture."""

    kind: str
    """The class of damage."""
    points_px: Points
    """float64 (N, 2): x right, y down; 0, 0 is the centre of the top-left pixel."""
    closed: bool
    """True: the outline of an area; False: the middle of a crack."""
    width_px: float
    """Mean width of a crack; 0 for an area."""
    crack_id: str | None
    score: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture with what was found in it."""

    path: Path
    width_px: int
    height_px: int
    shapes: tuple[Shape, ...]
    seen_at: str | None = None
    """RFC 3339; None where its detections do not say."""

    @property
    def kept(self) -> tuple[Shape, ...]:
        """What nobody rejected."""
        return tuple(shape for shape in self.shapes if shape.verdict != "rejected")

    def mask(self, kind: str) -> npt.NDArray[np.uint8]:
        """uint8 (H, W): 255 where damage of that class was found and not rejected."""
        drawn = np.zeros((self.height_px, self.width_px), np.uint8)
        for shape in self.kept:
            if shape.kind == kind:
                draw(drawn, shape.points_px, closed=shape.closed, width_px=shape.width_px)
        return drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the command line asked for."""

    flight: Path
    out: Path
    format: Format
    unreviewed: bool = False
    """With masks: what nobody reviewed counts as confirmed."""
    overwrite: bool = False


def export(job: Job) -> str:
    """Write ``job.out``; returns what came of it, in one sentence. Raises SpanhawkError."""
    from edge.tools.export import coco, cvat, labelme, masks

    if job.format == "mcap" and importlib.util.find_spec("mcap") is None:
        raise UsageError("--mcap needs mcap, which is not installed; pip install 'spanhawk[mcap]'")
    flight = FlightFolder(job.flight)
    keep_out(job.flight, job.out, EXPORTS)
    prepare(job.out, overwrite=job.overwrite)
    found = pictures(flight)
    try:
        if job.format == "labelme":
            told = labelme.write(found, job.out)
        elif job.format == "coco":
            told = coco.write(found, job.out)
        elif job.format == "cvat":
            told = cvat.write(found, job.out, flight.flight_id or "flight")
        elif job.format == "mcap":
            from edge.tools.export import mcap

            told = mcap.write(found, flight, job.out)
        else:
            told = masks.write(found, job.out, unreviewed=job.unreviewed)
    except OSError as error:
        raise UsageError(f"{job.out}: cannot write there ({error.strerror or error}); name another folder") from error
    problems = f"; not read: {in_words(flight.problems)}" if flight.problems else ""
    return f"{job.out}: {told}{problems}"


def check_free(out: Path, *, overwrite: bool, but: str | None = None) -> None:
    """Raise UsageError where the folder ``out`` holds something, other than ``but``, and that was not allowed for."""
    try:
        free = not out.exists() or (out.is_dir() and all(path.name == but for path in out.iterdir()))
    except OSError as error:
        raise UsageError(f"--out {out}: cannot look there ({error.strerror or error}); name another folder") from error
    if not free and not overwrite:
        raise UsageError(f"--out {out}: it is not empty; name another folder, or say --overwrite")


def prepare(out: Path, *, overwrite: bool) -> None:
    """Make the folder ``out``. Raises UsageError where it holds something and that was not allowed for."""
    check_free(out, overwrite=overwrite)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot write there ({error.strerror or error}); name another folder") from error


def pictures(flight: FlightFolder) -> Iterator[Picture]:
    """The pictures of a flight with the findings of their frames, one at a time, in order of flight."""
    verdict = _verdicts(flight)
    frame: int | None = None
    waiting: list[Feature] = []
    for feature in flight.detections():
        seq = feature["properties"].get("frame_seq")
        if seq != frame:
            yield from _picture(flight, waiting, verdict)
            frame, waiting = seq, []
        waiting.append(feature)
    yield from _picture(flight, waiting, verdict)


def draw(mask: npt.NDArray[np.uint8], points_px: Points, *, closed: bool, width_px: float) -> None:
    """Set 255 in ``mask`` where a line of ``width_px`` runs, or within an outline."""
    fixed = np.round(points_px * 16).astype(np.int32)
    if closed:
        cv2.fillPoly(mask, [fixed], 255, shift=4)
    else:
        cv2.polylines(mask, [fixed], False, 255, max(1, round(width_px)), shift=4)


def copy(picture: Path, folder: Path) -> Path:
    """Copy a picture into ``folder`` under its own name, whole or not at all; returns the copy. Raises OSError."""
    folder.mkdir(exist_ok=True)
    whole = folder / picture.name
    part = whole.with_name(f".{whole.name}.part")
    try:
        shutil.copyfile(picture, part)
        part.replace(whole)
    finally:
        part.unlink(missing_ok=True)
    return whole


def _verdicts(flight: FlightFolder) -> Callable[[Feature], Verdict]:
    """What a person said of what a detection shows."""
    said = {name: review.get("verdict") for name, review in flight.reviews().items()}
    if not said:
        return lambda feature: "unreviewed"
    names = Names(flight.cracks(), flight.detections())

    def verdict(feature: Feature) -> Verdict:
        found = next((said[name] for name in names.of(feature["properties"]) if name in said), None)
        return found if found in ("confirmed", "rejected") else "unreviewed"

    return verdict


def _picture(
    flight: FlightFolder, features: Sequence[Feature], verdict: Callable[[Feature], Verdict]
) -> Iterator[Picture]:
    named = [one["properties"]["evidence"] for one in features if one["properties"].get("evidence")]
    if not named:
        return
    name = Path(str(named[0].get("file"))).name
    path = flight.folder / PHOTOS / name
    try:
        whole = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    except (OSError, cv2.error):
        whole = None
    if whole is None:
        flight.report(f"{PHOTOS}/{name}", "is missing or damaged; its findings are left out")
        return
    first = features[0]["properties"]
    shapes = []
    for feature in features:
        try:
            shapes.append(_shape(feature["properties"], verdict(feature)))
        except (KeyError, TypeError, ValueError):
            flight.report("detections.jsonl", f"a finding in frame {first.get('frame_seq')} has no shape; left out")
    yield Picture(
        path, int(first["frame_width_px"]), int(first["frame_height_px"]), tuple(shapes), first.get("seen_at")
    )


def _shape(properties: dict[str, Any], verdict: Verdict) -> Shape:
    crack, area = properties["crack"], properties["area"]
    points = np.asarray(crack["path_px"] if crack is not None else area["outline_px"], np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("no list of points")
    width = 0.0 if crack is None else float(crack["width_px"]["mean"])
    return Shape(
        str(properties["kind"]), points, crack is None, width, properties["crack_id"], properties["score"], verdict
    )
