"""A folder of rendered pictures with exact masks: to try training and evaluation without any photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models import DataError, batches
from models.spalling import draw_spalling
from models.written import whole_set, write_png

KINDS = ("crack", "spalling")


def write_set(out: Path, count: int, size: int, seed: int, *, spalling: bool = False) -> None:
    """Write `count` square pictures of `size` px to `out`/images and masks 0/255 to `out`/masks, both PNG.

    Every second picture holds a crack, the others only look-alikes. With `spalling`, two of three also hold spalling,
    and there is a folder of masks per class: `out`/masks/crack and `out`/masks/spalling. Raises DataError where `out`
    already holds images or cannot be written, TryAgainError for a full disk: nothing is written then.
    """
    if (out / "images").exists():
        raise DataError(f"{out / 'images'} exists already; choose another folder or remove it.")
    with whole_set(out) as part:
        images, masks = part / "images", part / "masks"
        folders = {name: masks / name for name in KINDS} if spalling else {KINDS[0]: masks}
        for folder in (images, *folders.values()):
            folder.mkdir(parents=True, exist_ok=True)
        for i in range(count):
            rng = np.random.default_rng([seed, i])
            rgb, mask = picture(size, rng, cracked=i % 2 == 0)
            drawn: dict[str, batches.UInt8] = {"crack": mask}
            if spalling:
                rgb, drawn["spalling"] = draw_spalling(rng, rgb) if i % 3 else (rgb, np.zeros_like(mask))
                # where a surface broke away its crack went with it
                drawn["crack"] = np.where(drawn["spalling"] > 0, 0, mask).astype(np.uint8)
            write_png(images / f"rendered_{i:04d}.png", rgb)
            for name, folder in folders.items():
                write_png(folder / f"rendered_{i:04d}.png", np.asarray(drawn[name] * 255, np.uint8))


def picture(size: int, rng: np.random.Generator, *, cracked: bool) -> tuple[batches.UInt8, batches.UInt8]:
    """Render one picture as training does: (uint8 RGB (size, size, 3), mask 0/1)."""
    mix = batches.Mix(
        sources=[], crop_px=size, shuffle=1, rendered_cracks=float(cracked), rendered_clean=float(not cracked),
        lookalikes_on_cracked=0, lookalikes_on_clean=0,
    )  # fmt: skip
    rgb, mask, _ = batches.make_crop(mix, rng)
    return rgb, mask
