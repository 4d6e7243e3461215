"""What must not be forgotten, where no photograph of it may be shipped: made pictures, and the old answers to them.

A network forgets most where a structure says nothing: labels that are all hairlines teach it to leave wide cracks
out. So the made pictures are as different as cheap rendering allows: concrete and formwork, dark grain as of asphalt,
courses of bricks, cracks from hairlines to 40 px, everything also enlarged, and strange copies of the user's own
photographs. Nothing is labelled: the network keeps to what it said of them before.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models import augment, batches, render
from models.gpu.nets import FastUNet
from models.metrics import EDGE_TOLERANCE_PX, grow

UInt8 = npt.NDArray[np.uint8]

COUNT = 400
"""Crops made beforehand; each is used again in turns and mirrored."""
HELD = 60
"""Further ones that nothing is learned from: they say how much has changed."""
KINDS = 5
"""Of made pictures, in turn."""
ASKED = 8
"""Crops that the network is asked about at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """Crops without labels and what the network said of them before it learned anything."""

    images: UInt8
    """(N, crop, crop, 3)."""
    answers: UInt8
    """(N, crop, crop): scores, 255 for 1."""

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        """Draw crops (count, 3, crop, crop) 0..1 and scores (count, 1, crop, crop), turned or mirrored alike."""
        rows = rng.integers(len(self.images), size=count)
        turn, flip = int(rng.integers(4)), bool(rng.integers(2))
        images, answers = np.rot90(self.images[rows], turn, (1, 2)), np.rot90(self.answers[rows], turn, (1, 2))
        if flip:
            images, answers = images[:, :, ::-1], answers[:, :, ::-1]
        return to_tensor(images), torch.from_numpy(answers.copy()).float().div_(255)[:, None]


def make_replay(net: FastUNet, own: batches.Mix, seed: int, count: int | None = None, series: int = 0) -> Replay:
    """Make `count` crops (None: `COUNT`) of the size of `own`, a fifth of each kind, and ask `net` about all of them.

    Each `series` of a seed is other crops.
    """
    count = COUNT if count is None else count
    size = own.crop_px
    images = np.empty((count, size, size, 3), np.uint8)
    for i in range(count):
        rng = np.random.default_rng([seed, 2**31 + series, i])
        images[i] = _strange(own, rng) if i % KINDS == KINDS - 1 else _made(size, rng, kind=i % KINDS)
    return Replay(images=images, answers=_answers(net, images))


def agreement(net: FastUNet, held: Replay, threshold: float) -> float:
    """How far the masks of `net` are those of `held.answers`: F1 at 2 px, pooled over each kind, the kinds' mean."""
    new, old = (scores >= threshold * 255 for scores in (_answers(net, held.images), held.answers))
    found: list[float] = []
    for kind in range(KINDS):
        counts = np.zeros(4)
        for one, other in zip(new[kind::KINDS], old[kind::KINDS], strict=True):
            counts += [one.sum(), (one & _near(other)).sum(), other.sum(), (other & _near(one)).sum()]
        said, right, known, kept = counts
        if said or known:
            precision, recall = right / max(said, 1), kept / max(known, 1)
            found.append(float(2 * precision * recall / max(precision + recall, 1e-9)))
    return float(np.mean(found or [1.0]))


def _near(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return grow(mask, EDGE_TOLERANCE_PX) if mask.any() else mask


def _answers(net: FastUNet, images: UInt8) -> UInt8:
    net.eval()
    answers = np.empty(images.shape[:3], np.uint8)
    with torch.inference_mode():
        for first in range(0, len(images), ASKED):
            scores = torch.sigmoid(net(to_tensor(images[first : first + ASKED])))[:, 0]
            answers[first : first + ASKED] = torch.round(scores * 255).to(torch.uint8).numpy()
    return answers


def to_tensor(images: UInt8) -> Tensor:
    """Pictures (N, H, W, 3) as what a network takes, (N, 3, H, W) 0..1."""
    rgb = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(255)
    return rgb.contiguous(memory_format=torch.channels_last)


def _made(size: int, rng: np.random.Generator, kind: int) -> UInt8:
    """Kind 0: as training renders; 1: the same enlarged two to five times; 2: dark grain; 3: bricks."""
    if kind < 2:
        small = size if kind == 0 else int(size / rng.uniform(2, 5))
        mix = batches.Mix(
            sources=[], crop_px=small, shuffle=1, rendered_cracks=0.7, rendered_clean=0.3, lookalikes_on_cracked=0,
            lookalikes_on_clean=0,
        )  # fmt: skip
        rgb = batches.make_scene(mix, rng)[0]
    else:
        small = int(size / rng.uniform(1, 4))
        rgb = _grain(small, rng) if kind == 2 else _bricks(small, rng)
        if rng.random() < 0.75:
            rgb = render.draw_crack(rng, rgb)[0]
    if small != size:
        rgb = np.asarray(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)
    return augment.photometric(rng, rgb)


def _grain(size: int, rng: np.random.Generator) -> UInt8:
    """Stones in something dark, as asphalt or washed concrete."""
    noise = rng.standard_normal((size, size), np.float32)
    coarse = np.asarray(cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(0.6, 2.5))), np.float32)
    coarse = coarse / max(float(coarse.std()), 1e-6)
    grey = (
        rng.uniform(40, 150) + rng.uniform(6, 28) * coarse + rng.uniform(2, 10) * render.fractal_noise(rng, size, 2, 4)
    )
    tint = 1 + rng.uniform(-0.08, 0.08, 3).astype(np.float32)
    return np.asarray(np.clip(grey[..., None] * tint, 0, 255), np.uint8)


def _bricks(size: int, rng: np.random.Generator) -> UInt8:
    """Courses of stones of one hue with joints of another brightness."""
    rgb = render.concrete(rng, size).astype(np.float32) * rng.uniform(0.6, 1.3, 3).astype(np.float32)
    tall, joint = int(rng.integers(12, max(14, size // 3))), int(rng.integers(1, 6))
    wide = int(tall * rng.uniform(1.5, 4))
    other = rng.uniform(0.5, 1.6)
    for course, top in enumerate(range(-int(rng.integers(tall)), size, tall)):
        rgb[max(top, 0) : max(top + joint, 0)] *= other
        for left in range(-int(rng.integers(wide)) - (course % 2) * wide // 2, size, wide):
            part = np.s_[max(top + joint, 0) : max(top + tall, 0), max(left, 0) : max(left + wide, 0)]
            rgb[part] *= rng.uniform(0.8, 1.2)
            rgb[part[0], max(left, 0) : max(left + joint, 0)] *= other
    return np.asarray(np.clip(rgb, 0, 255), np.uint8)


def _strange(own: batches.Mix, rng: np.random.Generator) -> UInt8:
    """A crop of the photographs in a light and at a scale that they do not have."""
    rgb = batches.make_scene(own, rng, aim_chance=0.7)[0]
    side = int(len(rgb) / rng.uniform(1, 4))
    top, left = rng.integers(len(rgb) - side + 1, size=2)
    larger = cv2.resize(rgb[top : top + side, left : left + side], rgb.shape[:2], interpolation=cv2.INTER_CUBIC)
    return augment.photometric(rng, augment.photometric(rng, np.asarray(larger, np.uint8)))
