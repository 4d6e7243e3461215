"""What the vendor's compiler would do: the small network of the tests as an artefact for the NPU, put into a bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from convert.cli import main

PIXEL = Path(__file__).parents[1] / "masks" / "fixtures" / "pixel"
STRIDE_PX = 4


def compiled(folder: Path) -> tuple[Path, Path]:
    """Write the model (the logit of a pixel is 4 - 8 * red) and what its compiler says of it into ``folder``."""
    kernel = np.zeros((STRIDE_PX, STRIDE_PX, 3, STRIDE_PX**2), np.float32)
    for y in range(STRIDE_PX):
        for x in range(STRIDE_PX):
            kernel[y, x, 0, y * STRIDE_PX + x] = -8.0
    model, facts = folder / "model.npu.npz", folder / "report.npu.json"
    np.savez(model, weights=kernel.reshape(-1, STRIDE_PX**2), bias=np.full(STRIDE_PX**2, 4.0, np.float32))
    facts.write_text(json.dumps({"compiler": "npu-compiler 3"}), encoding="utf-8")
    return model, facts


def bundle_with_npu(folder: Path) -> Path:
    """A copy of the small bundle in ``folder`` with the artefact ``npu``, added by the command a user would type."""
    model, facts = compiled(folder)
    bundle = Path(shutil.copytree(PIXEL, folder / "pixel"))
    assert main(["add", str(bundle), "npu", str(model), "--facts", str(facts)]) == 0
    return bundle
