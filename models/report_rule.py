"""Fit the rule by which a bundle's pieces are reported, on sites that its training never saw.

The held-out pictures of a recipe (`models/sites.py`) are traced at each threshold, and every piece is true or false:
most of its centreline lies within 4 px of the truth, or not. On the `choose` half a logistic regression of the signs of
a piece (edge/cracks/plausible.py) gives the weights; a weight below 0 is left out, so that a sign only ever speaks for
a crack. Every site counts with the square root of its pieces.

How much evidence is asked for is chosen by the one score of `models/sites.py`, on evidence that is cross-validated by
photograph: a piece is judged by weights fitted without its photograph. That score takes of equal settings the one that
finds most hairlines. Who would rather have fewer false reports gives several `stricter`: the strictest is taken that
finds as many hairlines of the `choose` half as the rule of length. The `report` half takes no part in anything.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from edge.cracks.plausible import SURE_LENGTH_PX, evidence, long_enough, signs_of, traced
from edge.cracks.trace import Traced
from edge.masks import ReportRule, Term, preprocess
from models import DataError, sites
from models.logistic import logistic
from models.metrics import EDGE_TOLERANCE_PX, LINE_TOLERANCE_PX, grow
from models.scoring import Scorer
from models.sites import COUNTS, Setting, Table, Tile

Floats = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]

FOLDS = 5
CUTS = tuple(round(-3 + 0.1 * i, 1) for i in range(61))
"""Evidence that may be asked for, in natural logarithms of odds."""
LEAST_PIECES = 20
"""True ones, and false ones: fewer fit nothing."""
KNOWN_SHARE = 0.3
"""A piece of which less lies where the truth is known is neither true nor false."""


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """The traced pieces of one tile and what each would add to the tile's counts if it were reported."""

    signs: Floats
    """(N, 5), as of `signs_of`."""
    length_px: Floats
    score: Floats
    true: Bool
    judged: Bool
    """False where nobody knows what the piece is."""
    pixels: tuple[Index, ...]
    """Flat indices of each piece's pixels."""
    path: tuple[int, ...]
    """How many of them are cracks' branches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A rule for a threshold of the mask, and what both halves say of it."""

    threshold: float
    rule: ReportRule
    stricter: float
    """So much more evidence is asked for than was chosen, natural logarithm of odds."""
    chosen: Mapping[str, Any]
    """The row of the sweep that chose it, on cross-validated evidence."""
    halves: Mapping[str, Mapping[str, Any]]
    """`choose` and `report`: the rows of the rule of length and of this rule."""
    sites: Mapping[str, Any]
    """The `report` half by site, with intervals."""


def fit(
    scorer: Scorer, tiles: Sequence[Tile], thresholds: Sequence[float], stricter: Sequence[float] = (0.0,)
) -> list[Fitted]:
    """Fit a rule at each threshold, best first; an empty list takes the scorer's own.

    `stricter`: ask for so much more evidence than is chosen, natural logarithm of odds, below 0 for less; of several
    the strictest that finds the hairlines of the `choose` half as the rule of length does, within `sites.TIE`, and the
    least strict where none does. Raises DataError for too few pieces.
    """
    levels = list(thresholds) or [scorer.threshold]
    maps = [scorer.score(tile.rgb) for tile in tqdm(tiles, unit="image", mininterval=5)]
    fitted = [_fit(level, tiles, _study(tiles, maps, level), stricter) for level in levels]
    best = sites.choose([one.chosen for one in fitted])
    return [fitted[best], *(one for i, one in enumerate(fitted) if i != best)]


def record(path: Path, kind: str, fitted: Fitted) -> None:
    """Write rule and threshold of the class `kind` into the record beside weights, where `quantize` takes them.

    Raises DataError for a record that cannot be read or written.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content.setdefault("report_rules", {})[kind] = asdict(fitted.rule)
        first = content.get("classes", [kind])[0] == kind  # score_threshold is that of the first class
        if first:
            content["score_threshold"] = fitted.threshold
        if not first or "score_thresholds" in content:
            content.setdefault("score_thresholds", {})[kind] = fitted.threshold
        new = path.with_name(f".{path.name}.new")
        new.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        new.replace(path)
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is no record of a training that can be written ({error}).") from error


def by_length(limit_px: float) -> ReportRule:
    """The rule of length as a rule that a card can carry: the limit is that of `[report] sure_length_px`, px.

    length >= limit * doubt is ln length + sureness - ln limit >= 0; pieces of 300 px or more are reported where the
    limit of 1200 px reports them, as by every card.
    """
    one, none = Term(weight=1.0, typical=0.0), Term(weight=0.0, typical=0.0)
    return ReportRule(
        version=1, constant=round(-math.log(max(limit_px, 1e-3)), 4), length=one, sureness=one, bend=none, reach=none,
        company=none,
    )  # fmt: skip


def _fit(threshold: float, tiles: Sequence[Tile], studied: Sequence[Pieces], stricter: Sequence[float]) -> Fitted:
    rows = [i for i, tile in enumerate(tiles) if tile.part == "choose"]
    rule, chosen = _chosen(threshold, tiles, studied, rows)
    rules = [replace(rule, constant=round(rule.constant - more, 4)) for more in sorted(stricter)]
    kept = [
        [one.length_px >= SURE_LENGTH_PX * (1 - one.score)]
        + [(_evidence(one, rule) >= 0) | long_enough(one.signs) for rule in rules]
        for one in studied
    ]
    table = _table(threshold, tiles, studied, kept)
    halves = {part: sites.sweep(table, part) for part in sites.PARTS}
    by_length, *by_rule = (float(row["hairline_recall"]) for row in halves["choose"])
    taken = max((i for i, recall in enumerate(by_rule) if recall >= by_length - sites.TIE), default=0)
    return Fitted(
        threshold=threshold,
        rule=rules[taken],
        stricter=sorted(stricter)[taken],
        chosen=chosen,
        halves={
            part: {"by_length": _plain(found[0]), "by_rule": _plain(found[1 + taken])} for part, found in halves.items()
        },
        sites=sites.report(table, 1 + taken, "report"),
    )


def _chosen(
    threshold: float, tiles: Sequence[Tile], studied: Sequence[Pieces], rows: Sequence[int]
) -> tuple[ReportRule, dict[str, Any]]:
    """Fit the rule on the tiles `rows`, with its constant by the one score on cross-validated evidence, and say why."""
    rule = _rule(tiles, studied, rows)
    without_own: list[Floats] = [np.zeros(0)] * len(tiles)
    photos = sorted({tiles[i].photo for i in rows})
    for fold in range(FOLDS):
        held = set(photos[fold::FOLDS])
        rest = [i for i in rows if tiles[i].photo not in held]
        without = _rule(tiles, studied, rest) if held else rule
        for i in rows:
            if tiles[i].photo in held:
                without_own[i] = _evidence(studied[i], without)
    kept = [[(without_own[i] >= cut) | long_enough(studied[i].signs) for cut in CUTS] for i in rows]
    swept = sites.sweep(_table(threshold, [tiles[i] for i in rows], [studied[i] for i in rows], kept), None)
    best = sites.choose(swept)
    return replace(rule, constant=round(rule.constant - CUTS[best], 4)), _plain(swept[best])


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("threshold", "sure_length_px")}


def _rule(tiles: Sequence[Tile], studied: Sequence[Pieces], rows: Sequence[int]) -> ReportRule:
    count = Counter[str]()
    for i in rows:
        count[tiles[i].site] += int(studied[i].judged.sum())
    signs = np.concatenate([studied[i].signs[studied[i].judged] for i in rows])
    true = np.concatenate([studied[i].true[studied[i].judged] for i in rows])
    if min(int(true.sum()), int((~true).sum())) < LEAST_PIECES:
        raise DataError(
            f"A rule needs {LEAST_PIECES} true and {LEAST_PIECES} false pieces to be fitted on; the held-out pictures "
            f"show {int(true.sum())} and {int((~true).sum())}: hold more photographs out."
        )
    weight = np.concatenate([np.full(int(studied[i].judged.sum()), max(1, count[tiles[i].site]) ** -0.5) for i in rows])
    constant, weights, typical = logistic(signs, true, weight)
    terms = {
        name: Term(weight=round(float(w), 4), typical=round(float(t), 4))
        for name, w, t in zip(ReportRule.signs(), weights, typical, strict=True)
    }
    return ReportRule(version=1, constant=round(constant, 4), **terms)


def _evidence(pieces: Pieces, rule: ReportRule) -> Floats:
    return np.asarray(rule.constant + evidence(pieces.signs, rule).sum(axis=1))


def _study(tiles: Sequence[Tile], maps: Sequence[sites.UInt8], threshold: float) -> list[Pieces]:
    code = preprocess.threshold_code(threshold)
    pairs = zip(tiles, maps, strict=True)
    return [_pieces(tile, traced(score, tile.rgb, code)) for tile, score in tqdm(pairs, unit="image", mininterval=5)]


def _pieces(tile: Tile, found: Traced) -> Pieces:
    listed = [
        [crack for crack in found.cracks if crack.component == number]
        for number in range(1 + max((crack.component for crack in found.cracks), default=-1))
    ]
    near = grow(tile.truth, LINE_TOLERANCE_PX) if not tile.clean else tile.truth
    most = np.array(tile.truth.shape)[::-1] - 1
    true, judged = [], []
    for branches in listed:
        x, y = np.clip(np.rint(np.concatenate([crack.path_px for crack in branches])).astype(np.intp), 0, most).T
        true.append(bool(near[y, x].mean() > 0.5))
        judged.append(bool(tile.known[y, x].mean() >= KNOWN_SHARE))
    length = np.array([sum(crack.length_px for crack in branches) for branches in listed])
    score = [sum(crack.length_px * crack.score for crack in branches) for branches in listed] / length
    return Pieces(
        signs=signs_of(listed), length_px=length, score=np.asarray(score), true=np.array(true, np.bool_),
        judged=np.array(judged, np.bool_),
        pixels=tuple(found.pixels[found.component == number] for number in range(len(listed))),
        path=tuple(len(branches) for branches in listed),
    )  # fmt: skip


def _table(threshold: float, tiles: Sequence[Tile], studied: Sequence[Pieces], kept: Sequence[Sequence[Bool]]) -> Table:
    """Counts of every tile under every selection of its pieces; equal selections are counted once."""
    settings = [Setting(threshold=threshold)] * len(kept[0])
    counts = np.zeros((len(tiles), len(settings), len(COUNTS)), np.int64)
    for row, tile, pieces, selections in zip(counts, tiles, studied, kept, strict=True):
        known: dict[bytes, npt.NDArray[np.int64]] = {}
        near = grow(tile.truth, EDGE_TOLERANCE_PX) if not tile.clean else tile.truth
        hairline = sites.hairlines(tile.truth)
        for j, selection in enumerate(selections):
            key = selection.tobytes()
            if key not in known:
                drawn = np.zeros(tile.truth.size, np.bool_)
                for pixels, taken in zip(pieces.pixels, selection.tolist(), strict=True):
                    drawn[pixels] |= taken
                cracks = sum(n for n, taken in zip(pieces.path, selection.tolist(), strict=True) if taken)
                known[key] = sites.counted(drawn.reshape(tile.truth.shape), cracks, tile, near, hairline)
            row[j] = known[key]
    return Table(tiles=tiles, settings=settings, counts=counts)
