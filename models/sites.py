"""Judge a bundle by sites that its training never saw, as the drone would report them, and choose its limits there.

The held-out photographs of a recipe (`hold`) are split in two by photograph: one half chooses, the other is reported.
What chooses is one number, fixed before any bundle was judged by it:

    score = mean F1 at 2 px over the cracked sites
            - 0.5 * mean share of tiles that fire over the crack-free sites
            + 0.25 * recall of hairlines, within 4 px, over all cracked sites together

F1 pools the pixels of a site; a tile fires with one reported crack; a hairline is a labelled line less than 3 px wide.
Everything is counted after the reporting filter, so that the threshold of the mask and the limit of the filter are
chosen together.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.plausible import SURE_LENGTH_PX, ReportOptions, sift, traced
from edge.frames import stills
from edge.masks import ReportRule, preprocess
from models import DataError
from models.data import read_example, read_mask
from models.gpu.pack import select
from models.gpu.recipe import Recipe
from models.metrics import EDGE_TOLERANCE_PX, LINE_TOLERANCE_PX, RESAMPLES, grow, interval
from models.scoring import Scorer, rule_of

log = logging.getLogger(__name__)

Bool = npt.NDArray[np.bool_]
UInt8 = npt.NDArray[np.uint8]

FIRES_COST = 0.5
HAIRLINES_GAIN = 0.25
HAIRLINE_PX = 3
TIE = 0.005
"""Scores this close are equal."""
PARTS = ("choose", "report")

COUNTS = ("predicted", "near_predicted", "hit", "truth", "near_true", "hairline", "near_hairline", "fires")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """One picture of a held-out site."""

    site: str
    photo: str
    part: str
    """One of `PARTS`."""
    clean: bool
    image: Path
    rgb: UInt8
    truth: Bool
    known: Bool
    """False where nobody knows: inside a wide band whose line is not drawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """A threshold of the mask and what is reported of it."""

    threshold: float
    sure_length_px: float = SURE_LENGTH_PX
    rule: ReportRule | None = None
    """Decides what is reported; None: the limit `sure_length_px` does."""
    stricter: float = 0.0
    """So much more evidence is asked for than rule or limit do, as `[report] stricter`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Counts of every tile under every setting."""

    tiles: Sequence[Tile]
    settings: Sequence[Setting]
    counts: npt.NDArray[np.int64]
    """(tiles, settings, len(COUNTS))."""


def held_tiles(recipe: Recipe, root: Path, most: int | None = None) -> Iterable[Tile]:
    """Read the held-out pictures of a recipe, at most about `most` of each source, evenly chosen; None: all.

    Photographs are shared out in turn by name; where a site is one photograph, its pictures are. Which half a picture
    is in does not depend on `most`. Raises DataError for files that cannot be used.
    """
    for source in recipe.sources:
        pairs = [example for example, held in select(source, root) if held]
        if not pairs or source.unlabelled:
            continue
        photos = sorted({example.group for example in pairs})
        names = photos if len(photos) > 1 else sorted(example.image.name for example in pairs)
        places = [names.index(one.group if len(photos) > 1 else one.image.name) for one in pairs]
        step = 1 if most is None else max(1, round(len(pairs) / most))
        if len({at % 2 for at in places[::step]}) == 1:  # every second picture of one half alone
            step += step > 1
        for example, at in zip(pairs[::step], places[::step], strict=True):
            rgb, mask = read_example(example)
            known = np.ones(mask.shape, np.bool_)
            if source.wide is not None and example.mask is not None:
                turned = stills.inspect(example.image).exif.orientation
                band = read_mask(root / source.wide / example.mask.name, mask.shape, turned=turned)
                known = (band == 0) | (mask > 0)
            yield Tile(
                site=source.name, photo=names[at], part=PARTS[at % 2], clean=source.clean, image=example.image, rgb=rgb,
                truth=mask > 0, known=known,
            )  # fmt: skip


def measure(
    scorer: Scorer,
    tiles: Sequence[Tile],
    thresholds: Sequence[float],
    limits_px: Sequence[float],
    rules: Sequence[ReportRule] = (),
    stricter: Sequence[float] = (0.0,),
) -> Table:
    """Score every tile once and count at every threshold under every limit and rule, `stricter` by each of these.

    No threshold: the scorer's own. Neither limits nor rules: the rule on the bundle's card, where it has none the limit
    of length that then holds.
    """
    from tqdm import tqdm

    levels = list(thresholds) or [scorer.threshold]
    ways: list[tuple[float | None, ReportRule | None]] = [(limit, None) for limit in limits_px]
    ways = [*ways, *((None, rule) for rule in rules)] or [(None, rule_of(scorer))]
    asked = [(limit, rule, more) for limit, rule in ways for more in stricter]
    settings = [
        Setting(threshold=level, sure_length_px=SURE_LENGTH_PX if limit is None else limit, rule=rule, stricter=more)
        for level in levels
        for limit, rule, more in asked
    ]
    counts = np.zeros((len(tiles), len(settings), len(COUNTS)), np.int64)
    for i, tile in enumerate(tqdm(tiles, unit="image", mininterval=5)):
        score = scorer.score(tile.rgb)
        near = grow(tile.truth, EDGE_TOLERANCE_PX) if not tile.clean else tile.truth
        hairline = hairlines(tile.truth)
        for j, level in enumerate(levels):
            found = traced(score, tile.rgb, preprocess.threshold_code(level))
            for k, (limit, rule, more) in enumerate(asked):
                kept = sift(found, ReportOptions(sure_length_px=limit, stricter=more), rule).traced
                counts[i, j * len(asked) + k] = counted(kept.reported(), len(kept.cracks), tile, near, hairline)
    return Table(tiles=tiles, settings=settings, counts=counts)


def sweep(table: Table, part: str | None) -> list[dict[str, Any]]:
    """Return `score` and what it is made of for every setting, on one part of the tiles or (None) all."""
    rows = [i for i, tile in enumerate(table.tiles) if part in (None, tile.part)]
    found = []
    for j, setting in enumerate(table.settings):
        sites = {name: table.counts[members, j].sum(0) for name, members in _sites(table.tiles, rows).items()}
        clean = {tile.site for tile in table.tiles if tile.clean}
        sizes = {name: len(members) for name, members in _sites(table.tiles, rows).items()}
        by = {} if setting.rule is None else {"by_rule": True}
        found.append({"threshold": setting.threshold, "sure_length_px": setting.sure_length_px, **by,
                      "stricter": setting.stricter, **_score(sites, clean, sizes)})  # fmt: skip
    return found


def choose(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return which row of a sweep is taken: within `TIE` of the best score, the one that finds most hairlines."""
    best = max(float(row["score"]) for row in rows)
    near = [i for i, row in enumerate(rows) if float(row["score"]) >= best - TIE]
    return max(near, key=lambda i: float(rows[i]["hairline_recall"]))


def report(table: Table, setting: int, part: str | None, seed: int = 0) -> dict[str, Any]:
    """Return per site the scores of one setting with 95 % intervals by bootstrap over photographs."""
    rows = [i for i, tile in enumerate(table.tiles) if part in (None, tile.part)]
    rng, found = np.random.default_rng(seed), {}
    for site, members in _sites(table.tiles, rows).items():
        photos: dict[str, list[int]] = {}
        for i in members:
            photos.setdefault(table.tiles[i].photo, []).append(i)
        groups = np.stack([
            np.append(table.counts[group, setting].sum(0), len(group)) for group in photos.values()
        ])  # fmt: skip
        drawn = groups[rng.integers(len(groups), size=(RESAMPLES, len(groups)))].sum(1)
        clean = table.tiles[members[0]].clean
        measures = {"fires": _fires} if clean else {"f1": _f1, "f1_2px": _f1_2px, "hairline_recall": _hairlines}
        found[site] = {"tiles": len(members), "photos": len(photos)} | {
            name: interval(float(of(groups.sum(0)[None])[0]), of(drawn)) for name, of in measures.items()
        }
    return found


def write(path: Path, table: Table, facts: Mapping[str, Any]) -> None:
    """Write the counts and what was made of them as JSON, for docs and for comparing bundles tile by tile."""
    tiles = [
        {"site": tile.site, "photo": tile.photo, "part": tile.part, "name": tile.image.name} for tile in table.tiles
    ]
    content = {**facts, "counts": COUNTS, "tiles": tiles, "values": table.counts.tolist()}
    try:
        path.write_text(json.dumps(content) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.") from error


def hairlines(truth: Bool) -> Bool:
    """The part of a label (H, W) that is less than `HAIRLINE_PX` wide."""
    return truth & ~_opened(truth)


def counted(reported: Bool, cracks: int, tile: Tile, near: Bool, hairline: Bool) -> npt.NDArray[np.int64]:
    """`COUNTS` of one tile: (8,), for what is `reported` (H, W) of it, which is so many `cracks`.

    `near`: within 2 px of the truth; `hairline`: as of `hairlines`.
    """
    reported = reported & tile.known
    if tile.clean:
        return np.array([int(reported.sum()), 0, 0, 0, 0, 0, 0, int(cracks > 0)], np.int64)
    values = (
        reported, reported & near, reported & tile.truth, tile.truth,
        tile.truth & grow(reported, EDGE_TOLERANCE_PX), hairline, hairline & grow(reported, LINE_TOLERANCE_PX),
    )  # fmt: skip
    return np.array([*(int(value.sum()) for value in values), int(cracks > 0)], np.int64)


def _opened(truth: Bool) -> Bool:
    kernel = np.ones((HAIRLINE_PX, HAIRLINE_PX), np.uint8)
    return np.asarray(cv2.morphologyEx(truth.astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0)


def _sites(tiles: Sequence[Tile], rows: Sequence[int]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for i in rows:
        found.setdefault(tiles[i].site, []).append(i)
    return found


def _score(sites: Mapping[str, Any], clean: set[str], sizes: Mapping[str, int]) -> dict[str, Any]:
    cracked = {name: counts[None] for name, counts in sites.items() if name not in clean}
    f1 = {name: float(_f1_2px(counts)[0]) for name, counts in cracked.items()}
    fires = {name: int(counts[-1]) / sizes[name] for name, counts in sites.items() if name in clean}
    recall = float(_hairlines(np.sum(list(cracked.values()), axis=0))[0]) if cracked else 0.0
    score = float(np.mean(list(f1.values()) or [0.0])) - FIRES_COST * float(np.mean(list(fires.values()) or [0.0]))
    return {
        "score": round(score + HAIRLINES_GAIN * recall, 4), "hairline_recall": round(recall, 4),
        "hairlines": {name: round(float(_hairlines(counts)[0]), 4) for name, counts in cracked.items()},
        "f1": {name: round(float(_f1(counts)[0]), 4) for name, counts in cracked.items()},
        "f1_2px": {name: round(value, 4) for name, value in f1.items()},
        "fires": {name: round(value, 4) for name, value in fires.items()},
    }  # fmt: skip


def _of(counts: Any, name: str) -> Any:
    return counts[..., COUNTS.index(name)].astype(np.float64)


def _ratio(part: Any, whole: Any) -> Any:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _f1(counts: Any) -> Any:
    return _ratio(2 * _of(counts, "hit"), _of(counts, "predicted") + _of(counts, "truth"))


def _f1_2px(counts: Any) -> Any:
    precision = _ratio(_of(counts, "near_predicted"), _of(counts, "predicted"))
    recall = _ratio(_of(counts, "near_true"), _of(counts, "truth"))
    return _ratio(2 * precision * recall, precision + recall)


def _hairlines(counts: Any) -> Any:
    return _ratio(_of(counts, "near_hairline"), _of(counts, "hairline"))


def _fires(counts: Any) -> Any:
    return _ratio(_of(counts, "fires"), counts[..., len(COUNTS)].astype(np.float64))
