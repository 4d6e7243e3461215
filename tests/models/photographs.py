"""Photographs that an adaptation can learn from, and what is made of a folder of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from models import render
from models.adapt import intake

SIDE_PX = 192


def photo(seed: int, *, cracked: bool) -> tuple[np.ndarray, np.ndarray]:
    """A surface whose cracks are limed white, which no bundle has learned; (RGB, mask 0/1)."""
    rng = np.random.default_rng([9, seed])
    ground = np.clip(render.concrete(rng, SIDE_PX).astype(int) // 2 + 30, 0, 255).astype(np.uint8)
    if not cracked:
        return ground, np.zeros(ground.shape[:2], np.uint8)
    dark, mask = render.draw_crack(rng, ground)
    return np.where(mask[..., None] > 0, 235, dark).astype(np.uint8), mask


def write(folder: Path, count: int, cracked: int, first: int = 0) -> Path:
    """`count` photographs with masks, every one of the first `cracked` with a crack; another `first`, other ones."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for i in range(count):
        rgb, mask = photo(first + i, cracked=i < cracked)
        cv2.imwrite(str(folder / f"images/{i:02d}.png"), rgb[..., ::-1])
        cv2.imwrite(str(folder / f"masks/{i:02d}.png"), mask * 255)
    return folder


def handed(folder: Path) -> intake.Handed:
    return intake.read(folder, intake.find(folder, folder / "work"))


def parts(folder: Path, held: Path | None = None) -> intake.Parts:
    return intake.share_out(handed(folder), None if held is None else handed(held))


def names(photos) -> list[str]:
    return [one.example.image.stem for one in photos]
