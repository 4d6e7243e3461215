"""A folder of rendered pictures with exact masks: to try training and evaluation without any photo."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from models import DataError, batches


def write_set(out: Path, count: int, size: int, seed: int) -> None:
    """Write `count` square pictures of `size` px to `out`/images and masks 0/255 to `out`/masks, both PNG.

    Every second picture holds a crack, the others only look-alikes. Raises DataError where `out` already holds images.
    """
    images, masks = out / "images", out / "masks"
    if images.exists():
        raise DataError(f"{images} exists already; choose another folder or remove it.")
    images.mkdir(parents=True)
    masks.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        rgb, mask = picture(size, np.random.default_rng([seed, i]), cracked=i % 2 == 0)
        cv2.imwrite(str(images / f"rendered_{i:04d}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(masks / f"rendered_{i:04d}.png"), mask * 255)


def picture(size: int, rng: np.random.Generator, *, cracked: bool) -> tuple[batches.UInt8, batches.UInt8]:
    """Render one picture as training does: (uint8 RGB (size, size, 3), mask 0/1)."""
    mix = batches.Mix(
        sources=[], crop_px=size, shuffle=1, rendered_cracks=float(cracked), rendered_clean=float(not cracked),
        lookalikes_on_cracked=0, lookalikes_on_clean=0,
    )  # fmt: skip
    rgb, mask, _ = batches.make_crop(mix, rng)
    return rgb, mask
