"""COCO's polygons have no holes, and cracks that close on themselves have one."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli import main
from tests.ground.report import made

SIZE = (200, 150)
WIDTH_PX = 4.0
TURN = np.linspace(0, 2 * np.pi, 120)
RING = np.column_stack([100 + 45 * np.cos(TURN), 75 + 45 * np.sin(TURN)])
HANDLE = np.column_stack([np.linspace(195, 145, 50), np.full(50, 75.0)])
EIGHT = np.column_stack([100 + 75 * np.sin(TURN), 75 + 50 * np.sin(2 * TURN)])
PATHS = {"ring": RING, "ring with a handle": np.vstack([HANDLE, RING]), "eight": EIGHT}


def distance_px(path: np.ndarray) -> np.ndarray:
    """(H, W): from each pixel's centre to the nearest point of the path, which is laid out finely."""
    at = np.linspace(0, len(path) - 1, 800)
    fine = np.column_stack([np.interp(at, np.arange(len(path)), path[:, axis]) for axis in (0, 1)])
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    nearest = np.full(SIZE[::-1], np.inf)
    for px, py in fine:
        np.minimum(nearest, (x - px) ** 2 + (y - py) ** 2, out=nearest)
    return np.sqrt(nearest)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("shape", PATHS)
def test_a_crack_that_closes_on_itself_does_not_become_what_it_surrounds(tmp_path: Path, shape: str) -> None:
    from models.cli import main as models

    flight = made.write(tmp_path / "flight", 1, size=SIZE)
    line = json.loads((flight / "detections.jsonl").read_text())
    line["properties"]["crack"] |= {"path_px": PATHS[shape].tolist(), "width_px": {"mean": WIDTH_PX, "p95": WIDTH_PX}}
    (flight / "detections.jsonl").write_text(json.dumps(line) + "\n")
    assert main(["export", str(flight), "--coco", "--out", str(tmp_path / "coco")]) == 0
    assert models(["import", str(tmp_path / "coco"), "--out", str(tmp_path / "back")]) == 0
    (path,) = (tmp_path / "back/masks/crack").iterdir()
    painted = {"models import": cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) > 0}
    coco = pytest.importorskip("pycocotools.coco")
    read = coco.COCO(str(tmp_path / "coco/annotations.json"))
    painted["pycocotools"] = read.annToMask(read.dataset["annotations"][0]) > 0
    away_px = distance_px(PATHS[shape])
    for name, mask in painted.items():
        assert mask[away_px < WIDTH_PX / 2 - 1].mean() > 0.99, name
        assert not mask[away_px > WIDTH_PX / 2 + 1.5].any(), name
