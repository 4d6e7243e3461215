"""Under which name people review what a detection shows: that of the report, which is not always the detection's own.

A crack may have been merged into another one since. Areas have no name while flying: there it is the best view's id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge.ground.report.damage import Area, Areas
from edge.ground.report.flight import Json
from edge.ground.report.gathered import is_loose_area, merged


class Names:
    """Goes through the detections once; memory goes with the views of areas."""

    def __init__(self, cracks: Iterable[Json], detections: Iterable[Json]) -> None:
        """``cracks``: Features of ``spanhawk/crack/1``; ``detections``: those of ``spanhawk/detection/2``, in order."""
        named = [one for one in cracks if isinstance(one["properties"].get("crack_id"), str)]
        self._merged = merged(named)
        self._areas: dict[str, Area] = {}
        wanted, areas = {str(one["properties"]["crack_id"]) for one in named}, Areas()
        for feature in detections:
            found = feature["properties"]
            try:
                area = areas.take(feature) if is_loose_area(found, wanted) else None
                if area is not None:
                    self._areas[str(found.get("id"))] = area
            except (KeyError, TypeError, ValueError):  # damaged, and whoever draws it says so
                continue

    def of(self, found: Json) -> Sequence[str]:
        """The names under which a review of a detection may stand, the one that counts most first.

        Its own comes last: it may have been reviewed before it was put together with others.
        """
        own, id = found.get("crack_id"), found.get("id")
        area = self._areas.get(str(id))
        first = area.name if area is not None else self._merged.get(own) if isinstance(own, str) else None
        return [one for one in (first, own, id) if isinstance(one, str)]
