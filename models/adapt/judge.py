"""Before and after an adaptation: some of the kept photographs choose threshold and rule of reporting, others judge.

Few photographs cannot teach a rule of five signs anew. So the old card's rule is kept, and what they choose is how much
evidence it asks for; of a card without one, the limit of length. Either way the new card carries what was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.cracks.plausible import SURE_LENGTH_PX
from models import UNKNOWN, rendered, sites
from models.adapt.intake import Photo, UInt8
from models.metrics import RESAMPLES, interval
from models.report_rule import by_length
from models.scoring import Scorer

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)
EVIDENCE = (2.0, 1.0, 0.5, 0.0, -0.5, -1.0)
"""What may be added to the old rule's constant, natural logarithm of odds: above 0 more is reported."""
LIMITS_PX = (0.0, 340.0, 700.0, SURE_LENGTH_PX, 2000.0)
"""Where the old card has no rule."""
WORTH = 0.01
"""A new threshold or rule must be better by this: few photographs choose, and the old ones were chosen by many."""
LESS_ERROR = 0.05
"""A bundle is taken where at least this share of the error is gone, of the photographs that are reported."""
MAY_FORGET = 0.03
"""A bundle is refused where its score on rendered pictures, which it was not adapted to, falls by more."""
RENDERED, RENDERED_PX = 32, 384


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One bundle, before or after, with its own threshold and rule."""

    table: sites.Table
    kept: float
    """Score on rendered pictures: F1 at 2 px, less half the share of crack-free ones that fire."""

    @property
    def setting(self) -> sites.Setting:
        """Its own."""
        return self.table.settings[0]

    @property
    def f1(self) -> float:
        """F1 at 2 px of what is reported, all photographs pooled."""
        return float(_f1_2px(self.table.counts[:, 0].sum(0)))

    @property
    def score(self) -> float:
        """F1 at 2 px less half the share of crack-free photographs that fire, as `models.sites` weighs them."""
        fires, count = self.fires
        return self.f1 - sites.FIRES_COST * fires / max(count, 1)

    @property
    def fires(self) -> tuple[int, int]:
        """Crack-free photographs that fire, and how many there are."""
        clean = [i for i, tile in enumerate(self.table.tiles) if tile.clean]
        return int(sum(self.table.counts[i, 0, -1] for i in clean)), len(clean)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the page says first."""

    taken: bool
    sentence: str
    less_error: dict[str, float]
    """Share of the error that is gone, {value, low, high}: 95 % bootstrap interval over photographs."""


def tiles_of(photos: Sequence[Photo], part: str) -> list[sites.Tile]:
    """Photographs as `models.sites` measures them; crack-free ones are a site of their own."""
    return [
        sites.Tile(
            site="cracked" if photo.cracked else "sound", photo=photo.example.group, part=part,
            clean=not photo.cracked, image=photo.example.image, rgb=photo.rgb, truth=(photo.mask & 1) > 0,
            known=(photo.mask & UNKNOWN) == 0,
        )
        for photo in photos
    ]  # fmt: skip


def choose(scorer: Scorer, photos: Sequence[Photo], own: sites.Setting) -> sites.Setting:
    """Choose threshold and rule of reporting on photographs; `own` is the old bundle's.

    That one stays unless another scores better by `WORTH` (`models.sites.sweep`).
    """
    levels = sorted({*THRESHOLDS, own.threshold})
    if own.rule is None:
        limits, rules = [own.sure_length_px], [by_length(limit) for limit in LIMITS_PX if limit != own.sure_length_px]
    else:
        limits, rules = [], [replace(own.rule, constant=round(own.rule.constant + more, 4)) for more in EVIDENCE]
    table = sites.measure(scorer, tiles_of(photos, "choose"), levels, limits, rules)
    rows = sites.sweep(table, None)
    best, stays = sites.choose(rows), table.settings.index(own)
    return table.settings[best] if rows[best]["score"] >= rows[stays]["score"] + WORTH else own


def side(scorer: Scorer, photos: Sequence[Photo], setting: sites.Setting) -> Side:
    """Measure one bundle on the photographs that are reported, and on rendered pictures."""
    at = [setting.threshold]
    limits, rules = ([setting.sure_length_px], []) if setting.rule is None else ([], [setting.rule])
    table = sites.measure(scorer, tiles_of(photos, "report"), at, limits, rules)
    made = sites.sweep(sites.measure(scorer, _rendered(), at, limits, rules), None)[0]
    return Side(table=table, kept=made["f1_2px"]["rendered"] - sites.FIRES_COST * made["fires"]["rendered, sound"])


def verdict(before: Side, after: Side, seed: int = 0) -> Verdict:
    """Say whether the new bundle is better on photographs of the structure, and has not forgotten the rest."""
    gone = _less_error(before, after, seed)
    numbers = (
        f"F1 at 2 px of the {len(before.table.tiles)} photos kept apart goes from {before.f1:.3f} to {after.f1:.3f} "
        f"({100 * gone['value']:+.0f} % of the error gone, 95 % interval {100 * gone['low']:+.0f} to "
        f"{100 * gone['high']:+.0f})"
    )
    reasons = []
    if gone["value"] < LESS_ERROR:
        reasons.append(f"it is not better by the {100 * LESS_ERROR:.0f} % of the error that are asked for")
    if after.score <= before.score:
        reasons.append(
            f"{after.fires[0]} of {after.fires[1]} crack-free photos fire instead of {before.fires[0]}, which costs "
            "more than what is found is worth"
        )
    if after.kept < before.kept - MAY_FORGET:
        reasons.append(
            f"on rendered pictures, which nothing was to change, its score falls from {before.kept:.3f} to "
            f"{after.kept:.3f}: it would forget what it knew"
        )
    return Verdict(taken=not reasons, sentence="; ".join([numbers, *reasons]), less_error=gone)


def _less_error(before: Side, after: Side, seed: int) -> dict[str, float]:
    photos = sorted({tile.photo for tile in before.table.tiles})
    rows = [[i for i, tile in enumerate(before.table.tiles) if tile.photo == photo] for photo in photos]
    pair = np.stack([[side.table.counts[group, 0].sum(0) for group in rows] for side in (before, after)])
    again = np.random.default_rng(seed).integers(len(photos), size=(RESAMPLES, len(photos)))
    drawn = 1 - _f1_2px(pair[:, again].sum(2))
    whole = 1 - _f1_2px(pair.sum(1))

    def gone(error: Any) -> Any:
        return 1 - error[1] / np.maximum(error[0], 1e-6)

    return interval(float(gone(whole)), gone(drawn))


def _f1_2px(counts: Any) -> Any:
    predicted, near_predicted, _, truth, near_true = (counts[..., i].astype(np.float64) for i in range(5))
    precision = np.divide(near_predicted, predicted, out=np.zeros_like(predicted), where=predicted > 0)
    recall = np.divide(near_true, truth, out=np.zeros_like(truth), where=truth > 0)
    both = precision + recall
    return np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)


def crack_free(size_px: int, rng: np.random.Generator) -> UInt8:
    """Render a crack-free picture, uint8 RGB (size, size, 3)."""
    return rendered.picture(size_px, rng, cracked=False)[0]


def _rendered() -> list[sites.Tile]:
    """Pictures of the kind that replay keeps to, of a seed that it does not use; every second one holds a crack."""
    found = []
    for i in range(RENDERED):
        rgb, mask = rendered.picture(RENDERED_PX, np.random.default_rng([77, i]), cracked=i % 2 == 0)
        cracked = bool(mask.any())
        found.append(sites.Tile(
            site="rendered" if cracked else "rendered, sound", photo=str(i), part="report", clean=not cracked,
            image=Path(f"rendered-{i}"), rgb=rgb, truth=mask > 0, known=np.ones(mask.shape, np.bool_),
        ))  # fmt: skip
    return found
