"""Small rendered sets and configurations that tests train on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.rendered import write_set

ROOT = Path(__file__).parents[2]

TINY = 'kind = "unet"\ndepth = 1\n'
"""The smallest network of all: building and compiling is what takes the time."""

BASE = """
[train]
steps = {steps}
batch = {batch}
crop_px = {crop_px}
warmup_steps = 2
ema = 0.9
validate_every = {every}
validate_pictures = 2
learning_rate = {rate}
{train}
[model]
base = {base}
{model}
[mix]
rendered_clean = 0.2
{mix}
[[sources]]
name = "set"
images = "images"
masks = "masks"
licence = "rendered"
holdout = 0.3
{rest}
"""


def configure(root: Path, name: str = "config.toml", **changes: object) -> Path:
    """Write a configuration beside a rendered set and return its path."""
    if not (root / "images").exists():
        write_set(root, 8, 160, seed=1)
    values = {
        "steps": 4, "batch": 2, "crop_px": 32, "every": 2, "rate": "1e-3", "base": 2,
        "train": "", "model": TINY, "mix": "rendered_cracks = 0.5", "rest": "",
    }  # fmt: skip
    path = root / name
    path.write_text(BASE.format(**{**values, **changes}))
    return path


def start(arguments: list[str], **environment: str) -> subprocess.Popen[str]:
    """Start `python ...` in a process of its own, with little talk."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *arguments], env={**os.environ, **quiet, **environment}, cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run(arguments: list[str], **environment: str) -> tuple[int, str, str]:
    """Run `python ...` to its end: exit code, stdout, stderr."""
    process = start(arguments, **environment)
    out, err = process.communicate(timeout=900)
    return process.returncode, out, err


class Darkness:
    """A scorer that needs no network: dark is crack."""

    threshold = 0.5

    def __init__(self, name: str = "darkness") -> None:
        self.name = name

    def score(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return 255 - rgb[..., 0]
