"""Where a report's facts come from: ``FlightOnDisk`` reads what the daemon, a replay or the demo leaves on disk.

The other source, a ground station's store, is ``stored``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.flights import CRACKS, PHOTOS, REVIEW, Problem
from edge.flights.reader import FlightFolder
from edge.ground.report import review
from edge.ground.report.coverage import features_of
from edge.ground.report.flight import Flight, Json
from edge.ground.report.gathered import Gathered
from edge.support.errors import UsageError


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
        gathered = Gathered(cracks)
        for line in folder.detections():
            gathered.take(line)
        cracks, views, more = gathered.findings()
        missing += more
        whole = folder.coverage() or {}
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
            views=views,
            coverage=features_of(whole),
            coverage_summary={key: value for key, value in whole.items() if key not in ("type", "features")},
            frames=frames,
            kept=folder.photos(),
            looked_in="the flight's folder" + ("" if self.photos is None else f" or in {self.photos}"),
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
