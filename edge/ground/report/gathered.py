"""From a flight's detections, read once, to the best view of each finding."""

from __future__ import annotations

from collections.abc import Container, Sequence
from statistics import median
from typing import Any

from edge.ground.report.damage import Areas
from edge.ground.report.flight import Json, View


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


def is_loose_area(found: Json, named: Container[str]) -> bool:
    """Whether a detection's properties show an area that is none of the flight's ``named`` findings (``Areas``)."""
    return isinstance(found.get("area"), dict) and found.get("crack_id") not in named


def _best_seq(crack: Json) -> int | None:
    best = crack["properties"].get("best")
    seq = best.get("frame_seq") if isinstance(best, dict) else None
    return seq if isinstance(seq, int) else None


_NAMED = 4


class Gathered:
    """Goes through the detections once and keeps only the best view of each crack."""

    def __init__(self, cracks: Sequence[Json]) -> None:
        """``cracks``: those of the flight, by name; without any, each view or name becomes a finding of its own."""
        self._cracks = cracks
        self._wanted = {str(one["properties"]["crack_id"]): _best_seq(one) for one in cracks}
        self._merged = merged(cracks)
        self._invent = not cracks
        self._areas = Areas()
        self._kept: dict[str, list[Json]] = {}
        self._views: dict[str, set[int]] = {}
        self._times: dict[str, tuple[str, str]] = {}
        self._sigmas_m: list[float] = []
        self._flights: dict[str, None] = {}
        self.count = 0

    def take(self, feature: Json) -> None:
        """Look at one ``spanhawk/detection/2`` Feature."""
        found = feature.get("properties")
        if not isinstance(found, dict):
            return
        self.count += 1
        self._flights.setdefault(str(found.get("flight_id")))
        if (sigma_m := place_sigma_m(feature)) is not None:
            self._sigmas_m.append(sigma_m)
        if is_loose_area(found, self._wanted):
            self._areas.take(feature)
            return
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

    def findings(self) -> tuple[list[Json], dict[str, View], list[str]]:
        """Cracks and damaged areas, the best view of each by crack_id, and what is to be said of them."""
        found, told = list(self._cracks), []
        if self._invent and self._kept:
            found = [self._invented(number, name) for number, name in enumerate(self._kept, 1)]
            told.append(
                "no list of cracks is here: each finding is what its best view says, and one crack may stand as several"
            )
        if len(self._flights) > 1:
            names = ", ".join(one[:60] for one in list(self._flights)[:_NAMED])
            told.append(f"detections of {len(self._flights)} flights lie in one folder ({names}); all are shown as one")
        views = {name: _view(kept) for name, kept in self._kept.items()}
        last = max((number for one in found if isinstance(number := one["properties"].get("number"), int)), default=0)
        for area, best in self._areas.found(last + 1):
            found.append(area)
            views[area["properties"]["crack_id"]] = _view([best])
        if self._areas.left_out:
            told.append(
                f"{self._areas.left_out} more views of damaged areas have no place on the surface, so that nobody can "
                "tell how many areas they are; the largest views are shown"
            )
        return found, views, told

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
        clock_set=main.get("clock_synced"),
        size_px=(int(main.get("frame_width_px") or 0), int(main.get("frame_height_px") or 0)),
        paths_px=[path for one in features if (path := _path_px(one["properties"]))],
        width_p95_mm=round(p95 * gsd, 2) if measured and gsd and p95 is not None else None,
        at_most_px=_at_most_px(features),
        gsd_mm_px=gsd,
        pos_method=_text((main.get("place") or {}).get("method")),
        h_acc_m=nav.get("h_accuracy_m"),
        model_sha256=_text((main.get("model") or {}).get("sha256")),
        file=_text(evidence.get("file")),
        sha256=_text(evidence.get("sha256")),
        yaw_deg=(nav.get("attitude") or {}).get("yaw_deg"),
    )


def _at_most_px(features: Sequence[Json]) -> float | None:
    """A bound that holds for each of a crack's pieces: of one that is resolved, its mean."""
    widths = [(one["properties"].get("crack") or {}).get("width_px") or {} for one in features]
    bounds = [one["mean"] if one.get("at_most") is None else one["at_most"] for one in widths if "mean" in one]
    bounded = any(one.get("at_most") is not None for one in widths)
    return max(map(float, bounds)) if bounded and len(bounds) == len(widths) else None


def _path_px(found: Json) -> list[list[float]]:
    crack, area = found.get("crack"), found.get("area")
    if isinstance(crack, dict):
        return list(crack.get("path_px") or [])
    outline = list(area.get("outline_px") or []) if isinstance(area, dict) else []
    return [*outline, outline[0]] if outline else []


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
