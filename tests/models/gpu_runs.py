"""What the tests of the GPU path share: a small recipe, its packs, and PyTorch or Keras in a process of its own.

Keras picks its backend once, and warnings of one are not the other's.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from models.gpu.pack import write_packs
from models.gpu.packed import Packed, read_packs
from models.gpu.recipe import Recipe, load_recipe
from tests.models.sets import ROOT

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch: pip install --group torch to train with it"
)

RECIPE = """
[run]
crop_px = 64
batch = 6
cracks = 2
lookalikes = 4
ema = 0.5
sound_peaks = 0.1
cl_dice = 0.1
[mix]
joined = 0.5
[[students]]
name = "small"
kind = "fast_unet_s"
[[sources]]
name = "cracked"
images = "cracked/images"
masks = "cracked/masks"
wide = "cracked/wide"
hold = 0.3
[[sources]]
name = "sound"
images = "sound"
hold = 0.3
[[sources]]
name = "guessed"
images = "guessed"
unlabelled = true
"""


def packed(data: Path) -> tuple[Recipe, list[Packed]]:
    recipe = load_recipe(data / "recipe.toml")
    write_packs([recipe], data, data / "packs", parts=2)
    return recipe, read_packs(sorted((data / "packs").iterdir()))


def run_python(code: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=ROOT, env={**os.environ, "KERAS_BACKEND": "tensorflow"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
