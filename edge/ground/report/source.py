"""Where a report's facts come from: one flight, with everything that is missing named.

``FlightOnDisk`` reads what the daemon, a replay or the demo leaves on disk. Another source (a ground station's store)
implements ``Source`` and may fill ``Flight.history``, which a folder cannot know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from edge.flights import CRACKS, PHOTOS, REVIEW, Problem
from edge.flights.reader import FlightFolder
from edge.ground.report import review
from edge.ground.report.review import Review
from edge.support.errors import UsageError

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """The picture that shows a crack best, and the crack in it."""

    frame_seq: int
    frame_name: str | None
    seen_at: str | None
    size_px: tuple[int, int]
    """Width and height of the frame."""
    paths_px: Sequence[Sequence[Sequence[float]]]
    """Centrelines [x, y] of the crack in this frame; of area damage its outline, closed."""
    width_p95_mm: float | None
    """95th percentile of the width along it; None where it was not measured in millimetres."""
    gsd_mm_px: float | None
    pos_method: str | None
    """``surface``, ``camera`` or ``none``, as on the wire; None where no detection tells."""
    h_acc_m: float | None
    """1-sigma horizontal accuracy of the fix."""
    model_sha256: str | None
    file: str | None
    """Name of its evidence picture; None when none was kept."""
    sha256: str | None
    yaw_deg: float | None
    """Heading of the camera, clockwise from true north."""


@dataclass(frozen=True, slots=True)
class Past:
    """What an earlier flight measured at the same place."""

    flight_id: str
    seen_at: str
    width_mm: Json | None
    at_most_mm: float | None
    """Upper bound where the width was too small to be measured."""
    length_mm: Json | None
    apart_m: float
    """How far its course lay from this one's."""
    sure: bool
    """False: other findings lie as near as that, so that nobody can tell which is which."""


@dataclass(slots=True)
class Flight:
    """All that a report tells of one flight. Empty lists mean that nothing is known, and ``missing`` says why."""

    name: str
    flight_id: str | None
    vehicle: str | None
    summary: Json
    cracks: list[Json]
    """Features of ``spanhawk/crack/1``, last revision of each; of a flight without them, one per detection or name."""
    views: dict[str, View]
    """By crack_id."""
    coverage: list[Json]
    """Features of ``spanhawk/coverage/1``."""
    coverage_summary: Json
    """What stands beside the features of coverage.geojson; empty without one."""
    frames: list[Json]
    """Lines of frames.jsonl."""
    photos: dict[str, Path]
    """By name and by stem: the pictures that lie in the folder."""
    kept: Sequence[Path]
    """The pictures of the flight folder itself, whose SHA-256 cracks name."""
    detections: int
    missing: list[str] = field(default_factory=list)
    """One sentence for each file that is absent, cut or not read whole."""
    reviews: Mapping[str, Review] = field(default_factory=dict)
    """By crack_id: what people said of it where the flight is kept."""
    place_sigma_m: float | None = None
    """Standard uncertainty of the findings' places, metres: the median; None where nobody states it."""
    history: Mapping[str, Sequence[Past]] = field(default_factory=dict)
    """By crack_id: what earlier flights found at that place, oldest first."""


class Source(Protocol):
    """Gives the flight that is reported."""

    def flight(self) -> Flight:
        """Read it. Raises UsageError where there is no flight at all."""


@dataclass(frozen=True, slots=True)
class FlightOnDisk:
    """A flight folder; ``photos`` is a further folder in which its pictures may lie (the source of a replay)."""

    folder: Path
    photos: Path | None = None

    def flight(self) -> Flight:
        """Read what is there, name what is not. Raises UsageError when the folder holds no flight."""
        # Asked first: of a large flight everything else takes a while.
        photos = pictures_in(self.folder / PHOTOS, *([] if self.photos is None else [named_folder(self.photos)]))
        folder = FlightFolder(self.folder)
        told = folder.cracks()
        cracks: list[Json] = [one for one in told if isinstance(one["properties"].get("crack_id"), str)]
        missing = [f"{CRACKS}: {len(told) - len(cracks)} cracks without a name are left out"] if told != cracks else []
        gathered = Gathered(best_frames(cracks), merged(cracks), invent=not cracks)
        for line in folder.detections():
            gathered.take(line)
        if not cracks and gathered.count:
            cracks = gathered.invented()
            missing.append(f"{CRACKS} lists no crack: views of one crack may stand here as several findings")
        whole = folder.coverage() or {}
        coverage = whole.get("features")
        frames: list[Json] = list(folder.frames())
        kept = folder.reviews().values()
        reviews = [one for entry in kept if (one := review.one_of(entry)) is not None]
        if len(reviews) < len(kept):
            missing.append(f"{REVIEW}: {len(kept) - len(reviews)} entries without a verdict are left out")
        return Flight(
            name=self.folder.resolve().name,
            flight_id=folder.flight_id,
            vehicle=folder.vehicle,
            summary=folder.summary,
            cracks=cracks,
            views=gathered.views(),
            coverage=[one for one in coverage if _is_feature(one)] if isinstance(coverage, list) else [],
            coverage_summary={key: value for key, value in whole.items() if key not in ("type", "features")},
            frames=frames,
            kept=folder.photos(),
            photos=photos,
            detections=gathered.count,
            missing=[*map(_in_words, folder.problems), *missing],
            reviews={one.crack_id: one for one in reviews},
            place_sigma_m=gathered.place_sigma_m,
        )


def _in_words(problem: Problem) -> str:
    without = _WITHOUT.get(problem.file) if problem.what == "is missing" else None
    return f"{problem}: {without}" if without else str(problem)


_WITHOUT = {
    "summary.json": "which settings and how many frames were flown is unknown",
    "cracks.geojson": "findings are taken from single views",
    "detections.jsonl": "the views of a crack, and where it lies in its photo, are unknown",
    "coverage.geojson": "what was seen, and what was not, is unknown",
    "frames.jsonl": "the track and the cameras' places are unknown",
}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _is_feature(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("properties"), dict)


def merged(cracks: Sequence[Json]) -> dict[str, str]:
    """By the name of a crack that was merged into another: the name of the one that stands for it now."""
    into = {str(one["properties"]["crack_id"]): one["properties"].get("merged_into") for one in cracks}
    found = {}
    for name in into:
        last, seen = name, {name}
        while isinstance(after := into.get(last), str) and after not in seen:
            seen.add(after)
            last = after
        if last != name:
            found[name] = last
    return found


def best_frames(cracks: Sequence[Json]) -> dict[str, int | None]:
    """By crack_id the seq of the frame that shows the crack best; None where none is named."""
    return {str(one["properties"]["crack_id"]): _best_seq(one) for one in cracks}


def _best_seq(crack: Json) -> int | None:
    best = crack["properties"].get("best")
    seq = best.get("frame_seq") if isinstance(best, dict) else None
    return seq if isinstance(seq, int) else None


class Gathered:
    """Goes through the detections once and keeps only the best view of each crack."""

    def __init__(self, wanted: Mapping[str, int | None], merged: Mapping[str, str], *, invent: bool) -> None:
        """``wanted``: the best frame of each crack; ``merged``: what a crack proved to be a part of."""
        self._wanted = wanted
        self._merged = merged
        self._invent = invent
        self._kept: dict[str, list[Json]] = {}
        self._views: dict[str, set[int]] = {}
        self._times: dict[str, tuple[str, str]] = {}
        self._sigmas_m: list[float] = []
        self.count = 0

    def take(self, feature: Json) -> None:
        """Look at one ``spanhawk/detection/2`` Feature."""
        found = feature.get("properties")
        if not isinstance(found, dict):
            return
        self.count += 1
        if (sigma_m := place_sigma_m(feature)) is not None:
            self._sigmas_m.append(sigma_m)
        name = found.get("crack_id") or (found.get("id") if self._invent else None)
        name = self._merged.get(name, name) if isinstance(name, str) else None
        seq = found.get("frame_seq")
        if not isinstance(name, str) or not isinstance(seq, int) or not (self._invent or name in self._wanted):
            return
        kept = self._kept.get(name)
        if self._invent:
            self._views.setdefault(name, set()).add(seq)
            seen = str(found.get("seen_at") or "")
            first, last = self._times.get(name, (seen, seen))
            self._times[name] = (min(first, seen), max(last, seen))
        if kept is None:
            self._kept[name] = [feature]
        elif kept[0]["properties"]["frame_seq"] == seq:
            kept.append(feature)
        elif self._better(name, feature, kept[0]):
            self._kept[name] = [feature]

    def _better(self, name: str, new: Json, old: Json) -> bool:
        best = self._wanted.get(name)
        if best is not None and best in (new["properties"]["frame_seq"], old["properties"]["frame_seq"]):
            return bool(new["properties"]["frame_seq"] == best)
        kept = [one["properties"].get("evidence") is not None for one in (new, old)]
        return kept[0] if kept[0] != kept[1] else _length_px(new) > _length_px(old)

    @property
    def place_sigma_m(self) -> float | None:
        """See ``Flight.place_sigma_m``."""
        return median(self._sigmas_m) if self._sigmas_m else None

    def views(self) -> dict[str, View]:
        """The best view of each, by crack_id."""
        return {name: _view(kept) for name, kept in self._kept.items()}

    def invented(self) -> list[Json]:
        """Features shaped like ``spanhawk/crack/1`` for a flight that has only detections."""
        return [self._invented(number, name) for number, name in enumerate(self._kept, 1)]

    def _invented(self, number: int, name: str) -> Json:
        feature = max(self._kept[name], key=_length_px)
        found = feature["properties"]
        size = found.get("size") or {}
        width, sigma = size.get("width_mm"), size.get("width_sigma_mm")
        low, high = (
            (None, None) if width is None or sigma is None else (max(0.0, width - 1.96 * sigma), width + 1.96 * sigma)
        )
        return {
            "type": "Feature",
            "id": name,
            "geometry": feature.get("geometry"),
            "properties": {
                "crack_id": name,
                "number": number,
                "state": "single view" if len(self._views[name]) == 1 else "tentative",
                "flight_id": found.get("flight_id"),
                "vehicle": found.get("vehicle"),
                "kind": found.get("kind"),
                "views": len(self._views[name]),
                "missed": None,
                "first_seen": self._times[name][0] or None,
                "last_seen": self._times[name][1] or None,
                "score": found.get("score"),
                "length_mm": None if size.get("length_mm") is None else {"value": size["length_mm"]},
                "width_mm": None if width is None else {"value": width, "sigma": sigma, "low": low, "high": high},
                "width_at_most_mm": size.get("width_at_most_mm"),
                "best": {
                    "frame_seq": found.get("frame_seq"),
                    "evidence_sha256": (found.get("evidence") or {}).get("sha256"),
                },
            },
        }


def place_sigma_m(detection: Json) -> float | None:
    """The largest of ``place.sigma_m`` of a damage that is placed on the surface; None where one is not stated."""
    place = detection["properties"].get("place")
    if not isinstance(place, dict) or place.get("method") != "surface":
        return None
    sigma = place.get("sigma_m")
    if not isinstance(sigma, list) or len(sigma) != 3 or not all(isinstance(one, (int, float)) for one in sigma):
        return None
    return max(map(float, sigma))


def _length_px(feature: Json) -> float:
    crack = feature["properties"].get("crack") or feature["properties"].get("area") or {}
    return float(crack.get("length_px") or crack.get("extent_px") or 0.0)


def _view(features: Sequence[Json]) -> View:
    main = max(features, key=_length_px)["properties"]
    size, crack, area = main.get("size") or {}, main.get("crack") or {}, main.get("area") or {}
    gsd = size.get("gsd_mm_per_px") or area.get("gsd_mm_per_px")
    p95 = (crack.get("width_px") or {}).get("p95")
    measured = size.get("width_mm") is not None
    evidence, nav = main.get("evidence") or {}, main.get("nav") or {}
    return View(
        frame_seq=main["frame_seq"],
        frame_name=_text(main.get("frame_name")),
        seen_at=_text(main.get("seen_at")),
        size_px=(int(main.get("frame_width_px") or 0), int(main.get("frame_height_px") or 0)),
        paths_px=[path for one in features if (path := _path_px(one["properties"]))],
        width_p95_mm=round(p95 * gsd, 2) if measured and gsd and p95 is not None else None,
        gsd_mm_px=gsd,
        pos_method=_text((main.get("place") or {}).get("method")),
        h_acc_m=nav.get("h_accuracy_m"),
        model_sha256=_text((main.get("model") or {}).get("sha256")),
        file=_text(evidence.get("file")),
        sha256=_text(evidence.get("sha256")),
        yaw_deg=(nav.get("attitude") or {}).get("yaw_deg"),
    )


def _path_px(found: Json) -> list[list[float]]:
    crack, area = found.get("crack"), found.get("area")
    if isinstance(crack, dict):
        return list(crack.get("path_px") or [])
    outline = list(area.get("outline_px") or []) if isinstance(area, dict) else []
    return [*outline, outline[0]] if outline else []


def named_folder(photos: Path) -> Path:
    """The folder of ``--photos``. Raises UsageError where there is none."""
    if not photos.is_dir():
        raise UsageError(f"--photos {photos}: there is no such folder; name the one that holds the flown pictures")
    return photos


def pictures_in(*folders: Path) -> dict[str, Path]:
    """Pictures by name and by stem; those of the first folder come before those of the next."""
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            continue
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in (".jpg", ".jpeg", ".png", ".tif", ".tiff") and path.is_file():
                found.setdefault(path.name, path)
                found.setdefault(path.stem, path)
    return found
