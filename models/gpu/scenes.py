"""Make training batches on the device: crops of all sources, mosaics, made cracks, look-alikes, other light."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from models import DataError
from models.gpu import light
from models.gpu.bank import CRACK, IGNORE, RATIO, RATIO_SCALE, Bank
from models.gpu.crops import cut, draw_views, to_device
from models.gpu.joined import join
from models.gpu.recipe import Recipe
from models.gpu.rendered import FACTOR_SCALE, OFFSET, SIZE_PX, Rendered

LOOSE_WEIGHT = 0.3
"""Weight of labels at an edge that may be off."""
CLEAN_WEIGHT = 1.5
"""Weight of pixels of crack-free sources: what they teach is rarer and surer."""

NEAR_SOUND = 0.25
"""Share of the enlarged crops that are of crack-free sources."""

REAL, RENDERED, PASTED = 0, 1, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What a network sees and should answer."""

    rgb: Tensor
    """(n, 3, size, size), 0 to 1."""
    crack: Tensor
    """(n, 1, size, size), 0 or 1."""
    weight: Tensor
    """(n, 1, size, size): of each label; 0 where nobody knows."""
    sure: Tensor | None = None
    """(n, 1, 1, 1), 1 for crops whose labels are believed before a teacher; None: there are none."""

    def corrected(self, target: Tensor) -> Tensor:
        """A teacher's scores (n, 1, size, size); in `sure` crops the labels where these are known."""
        if self.sure is None:
            return target
        return torch.where((self.sure > 0) & (self.weight > 0), self.crack, target)


class Scenes:
    """An endless supply of batches; what comes depends on the seed alone."""

    def __init__(self, recipe: Recipe, bank: Bank, rendered: Rendered, seed: int) -> None:
        self._recipe, self._bank, self._rng = recipe, bank, np.random.default_rng(seed)
        self._device = bank.canvases.device
        self._cracks = torch.from_numpy(rendered.cracks).to(self._device)
        self._lookalikes = torch.from_numpy(rendered.lookalikes).to(self._device)
        self._clean = np.array([source.clean for source in recipe.sources])
        self._loose = np.array([source.looseness_px for source in recipe.sources])
        self._unlabelled = np.array([source.unlabelled for source in recipe.sources])
        self._weight = np.array([source.weight for source in recipe.sources])
        self.use(held=False)

    def use(self, *, held: bool) -> None:
        """Draw from the pictures of the unseen site too, or not; sources left without a picture are passed over."""
        free = np.ones(len(self._bank.source), np.bool_) if held else ~self._bank.held
        count = len(self._weight)
        self._pictures = [np.flatnonzero(free & (self._bank.source == i)) for i in range(count)]
        there = np.array([len(pictures) > 0 for pictures in self._pictures])
        self._cracked = there & ~self._clean & ~self._unlabelled
        self._chances = self._weight * there
        if self._recipe.mix.enlarged:
            self._find_exact()

    def _find_exact(self) -> None:
        """Find the pictures that may be enlarged, each with a chance as large as the area of its cracks."""
        exact = [self._pictures[i] for i in np.flatnonzero(self._cracked & (self._loose == 0) & (self._weight > 0))]
        self._exact = np.concatenate([*exact, np.zeros(0, np.int64)])
        area = np.array([float((self._bank.canvases[i, CRACK] > 0).sum()) for i in self._exact])
        if not area.sum():
            raise DataError("[mix] enlarged needs a source with masks and looseness_px = 0; name one, or leave it out.")
        self._area = area / area.sum()

    def batch(self, count: int, size: int) -> Batch:
        """Make one batch."""
        made, gentle = self.unlit(count, size)
        return replace(made, rgb=light.change(self._rng, made.rgb, gentle) / 255)

    def unlit(self, count: int, size: int) -> tuple[Batch, npt.NDArray[np.bool_]]:
        """Make one batch before its light is changed, `rgb` 0 to 255; and which crops are to be changed little."""
        rng, mix = self._rng, self._recipe.mix
        made = np.array([mix.rendered_cracks, mix.pasted_cracks])
        shares = np.array([self._chances.sum(), *made])
        mosaics, enlarged = round(mix.mosaics * count), round(mix.enlarged * count)
        plain = count - mosaics - enlarged
        kinds = np.concatenate([
            rng.choice(3, plain, p=shares / shares.sum()), np.full(mosaics + enlarged, REAL)
        ])  # fmt: skip
        gentle = rng.random(count) < mix.gentle
        planes, source = self._ground(kinds[:plain], gentle[:plain], size)
        if mosaics:
            planes = torch.cat([planes, self._mosaics(mosaics, size)])
            source = np.concatenate([source, np.full(mosaics, -1)])
        if enlarged:
            near, of = self._enlarged(enlarged, size)
            planes, source = torch.cat([planes, near]), np.concatenate([source, of])
        rgb, crack = planes[:, :3], planes[:, CRACK : CRACK + 1] / 255
        weight = self._trust(source, crack) * (planes[:, IGNORE : IGNORE + 1] < 1)
        if mix.joined:
            others = count - enlarged
            parts = join(rng, rgb[:others], crack[:others], weight[:others], mix.joined)
            rgb, crack, weight = (
                torch.cat([new, one[others:]]) for new, one in zip(parts, (rgb, crack, weight), strict=True)
            )
        sound = np.where(source < 0, False, self._clean[source]) | (kinds != REAL)
        chance = np.where(sound, mix.lookalikes_on_clean, mix.lookalikes_on_cracked)
        rgb, hidden = self._paint(rgb, rng.random(count) < chance, size)
        again = sound & (rng.random(count) < 0.5 * mix.lookalikes_on_clean)
        rgb, _ = self._paint(rgb, again, size)
        weight = weight * (1 - hidden * crack)
        rgb, crack = self._draw(rgb, crack, np.flatnonzero(kinds == RENDERED), size)
        rgb, crack = self._paste(rgb, crack, np.flatnonzero(kinds == PASTED), size)
        sure = None
        if enlarged:
            sure = to_device((np.arange(count) >= count - enlarged).astype(np.float32), self._device)
            sure = sure[:, None, None, None]
        return Batch(rgb=rgb, crack=crack, weight=weight, sure=sure), gentle

    def _pick(self, chances: npt.NDArray[np.floating[Any]], count: int) -> npt.NDArray[np.int64]:
        """Choose sources by weight and a picture of each."""
        sources = self._rng.choice(len(chances), count, p=chances / chances.sum())
        return np.array([self._rng.choice(self._pictures[i]) for i in sources], np.int64)

    def _ground(
        self, kinds: npt.NDArray[np.int64], gentle: npt.NDArray[np.bool_], size: int
    ) -> tuple[Tensor, npt.NDArray[np.int64]]:
        """Crops of sources, and of crack-free ones, or of rendered concrete, where a crack is to be laid on them."""
        chosen = np.where(
            kinds == REAL,
            self._pick(self._chances, len(kinds)),
            self._pick(self._chances * self._clean, len(kinds)),
        )
        planes = cut(self._bank, draw_views(self._rng, self._bank, chosen, size, gentle), size)
        plain = np.flatnonzero((kinds != REAL) & (self._rng.random(len(kinds)) < self._recipe.mix.rendered_ground))
        if len(plain):
            planes[to_device(plain, self._device), :3] = self._concrete(len(plain), size)
        return planes, self._bank.source[chosen]

    def _mosaics(self, count: int, size: int) -> Tensor:
        """Four shrunken crops beside each other, with weights of their own labels kept in the ignore channel."""
        half = size // 2
        chances = self._chances * np.where(self._unlabelled, 0, 1)
        chosen = self._pick(chances, 4 * count)
        views = draw_views(
            self._rng, self._bank, chosen, half, np.zeros(len(chosen), np.bool_), aim_chance=0.9, shrunken=True
        )
        tiles = cut(self._bank, views, half).reshape(count, 2, 2, -1, half, half)
        return tiles.permute(0, 3, 1, 4, 2, 5).reshape(count, -1, size, size)

    def _enlarged(self, count: int, size: int) -> tuple[Tensor, npt.NDArray[np.int64]]:
        """Crops from nearby, of pictures with exact labels and wide cracks.

        Only exact labels can be enlarged: a line that was drawn over a hairline would teach a broad band.
        """
        chosen = self._rng.choice(self._exact, count, p=self._area)
        clean = self._chances * self._clean
        if clean.any():
            chosen = np.where(self._rng.random(count) < NEAR_SOUND, self._pick(clean, count), chosen)
        views = draw_views(
            self._rng, self._bank, chosen, size, np.zeros(count, np.bool_), aim_chance=1.0, enlarged=True
        )
        return cut(self._bank, views, size), self._bank.source[chosen]

    def _concrete(self, count: int, size: int) -> Tensor:
        """Rendered ground: a tone, clouds of all sizes, grain."""
        rng = self._rng
        tone = rng.uniform(60, 215, (count, 1, 1, 1)) * (1 + rng.uniform(-0.06, 0.06, (count, 3, 1, 1)))
        total, gain, cells = to_device(tone.astype(np.float32), self._device), 1.0, 3
        strength = to_device(rng.uniform(3, 14, (count, 1, 1, 1)).astype(np.float32), self._device)
        while cells < size:
            noise = torch.randn((count, 1, cells, cells), device=self._device)
            total = total + strength * gain * functional.interpolate(noise, (size, size), mode="bicubic")
            gain, cells = gain * 0.62, cells * 2
        return total + torch.randn((count, 1, size, size), device=self._device) * strength * 0.4

    def _trust(self, source: npt.NDArray[np.int64], crack: Tensor) -> Tensor:
        """Weight of labels: less at edges that may be off, more in crack-free sources, none where nobody drew."""
        known = source >= 0
        base = np.where(known & self._clean[source], CLEAN_WEIGHT, 1.0)
        base = np.where(known & self._unlabelled[source], 0.0, base)
        weight = to_device(base.astype(np.float32), self._device)[:, None, None, None].expand_as(crack).clone()
        loose = np.where(known, self._loose[source], 1)
        for reach in np.unique(loose[loose > 0]):
            rows = to_device(np.flatnonzero(loose == reach), self._device)
            label = crack[rows]
            inner, outer = -_grow(-label, int(reach)), _grow(label, int(reach))
            thin = label - _grow(inner, int(reach))  # lines that the band would swallow keep their weight
            band = (outer - inner) * (1 - thin)
            weight[rows] *= 1 - (1 - LOOSE_WEIGHT) * band
        return weight

    def _paint(self, rgb: Tensor, wanted: npt.NDArray[np.bool_], size: int) -> tuple[Tensor, Tensor]:
        """Lay one look-alike on each picture that is `wanted`; returns also where it hides the surface (0 or 1)."""
        rows = np.flatnonzero(wanted)
        hidden = torch.zeros_like(rgb[:, :1])
        if not len(rows):
            return rgb, hidden
        chosen = self._rng.integers(len(self._lookalikes), size=len(rows))
        what = self._window(self._lookalikes, chosen, size)
        at = to_device(rows, self._device)
        out = rgb.clone()
        out[at] = (rgb[at] * what[:, :3] / FACTOR_SCALE + what[:, 3:6] - OFFSET).clamp(0, 255)
        hidden[at] = (what[:, 6:7] > 127).float()
        return out, hidden

    def _draw(self, rgb: Tensor, crack: Tensor, rows: npt.NDArray[np.int64], size: int) -> tuple[Tensor, Tensor]:
        """Lay rendered cracks on pictures."""
        if not len(rows):
            return rgb, crack
        what = self._window(self._cracks, self._rng.integers(len(self._cracks), size=len(rows)), size)
        strength = to_device(self._rng.uniform(0.5, 1.1, (len(rows), 1, 1, 1)).astype(np.float32), self._device)
        at = to_device(rows, self._device)
        rgb, crack = rgb.clone(), crack.clone()
        rgb[at] = rgb[at] * (1 - strength * (1 - what[:, :1] / FACTOR_SCALE)).clamp(min=0)
        crack[at] = torch.maximum(crack[at], (what[:, 1:2] > 127).float())
        return rgb, crack

    def _paste(self, rgb: Tensor, crack: Tensor, rows: npt.NDArray[np.int64], size: int) -> tuple[Tensor, Tensor]:
        """Lay real cracks on pictures, as `models.paste.crack` does."""
        if not len(rows):
            return rgb, crack
        chosen = self._pick(self._chances * self._cracked, len(rows))
        views = draw_views(self._rng, self._bank, chosen, size, self._rng.random(len(rows)) < 0.4, aim_chance=1.0)
        planes = cut(self._bank, views, size)
        label = planes[:, CRACK : CRACK + 1] / 255
        share = functional.avg_pool2d(_grow(label, 2), 3, 1, 1, count_include_pad=False)
        strength = to_device(self._rng.uniform(0.6, 1.15, (len(rows), 1, 1, 1)).astype(np.float32), self._device)
        change = 1 + share * strength * (planes[:, RATIO : RATIO + 1] / RATIO_SCALE - 1)
        seen = functional.avg_pool2d(change, 3, 1, 1, count_include_pad=False) < 0.96
        at = to_device(rows, self._device)
        rgb, crack = rgb.clone(), crack.clone()
        rgb[at] = rgb[at] * change.clamp(0.03, 1.6)
        crack[at] = torch.maximum(crack[at], label * seen)
        return rgb, crack

    def _window(self, pool: Tensor, chosen: npt.NDArray[np.int64], size: int) -> Tensor:
        """Crops of rendered things (n, SIZE, SIZE, c) as (n, c, size, size) float, all turned and flipped alike."""
        top, left = self._rng.integers(0, SIZE_PX - size + 1, 2)
        part = pool[:, top : top + size, left : left + size][to_device(chosen, self._device)].permute(0, 3, 1, 2)
        part = torch.rot90(part, int(self._rng.integers(4)), (2, 3))
        return (part.flip(3) if self._rng.random() < 0.5 else part).float()


def _grow(planes: Tensor, reach: int) -> Tensor:
    return functional.max_pool2d(planes, 2 * reach + 1, 1, reach)
