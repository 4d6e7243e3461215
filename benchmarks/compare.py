"""The fast U-Net beside what the field uses, in one interleaved run on this processor.

Everything is built from code, with random weights where only speed is asked. One thread; per turn each network runs
twice and the second run counts; smallest CPU time over the turns, so that other load does not count. The whole is done
several times over, and a ratio is the median of these passes with the smallest and the largest beside it.

    python benchmarks/compare.py --json out/compare.json --plot out/compare.png

Needs the extras workstation and bench. ``--yolo FILE.onnx`` adds a model that its own tool exported.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from benchmarks import contestants, tables  # noqa: E402
from benchmarks.stage import OURS, SMALL, STRIDE_PX, Stage  # noqa: E402
from edge.tools.benchmark import board  # noqa: E402

NOISE = 0.05  # what a measured ratio may be off by


@dataclass
class Goal:
    """A ratio, what the field has, and what is wanted."""

    name: str
    of: str
    over: str
    field: str
    bound: float
    at_least: bool = False


GOALS = (
    Goal("ours / MobileNetV2-1.0-224 int8", OURS, "MobileNetV2-1.0-224 int8", "7.5 DeepLab-0.5, 22 classic U-Net", 2.5),
    Goal("ours / DeepLabV3-0.5 look-alike", OURS, "DeepLabV3-MobileNetV2-0.5 look-alike int8", "1", 0.35),
    Goal("ours / classic U-Net base 16", OURS, "classic U-Net base 16 int8", "1", 0.12),
    Goal("ours S / ours", SMALL, OURS, "-", 0.40),
    Goal("ours S / MobileNetV2-1.0-224 int8", SMALL, "MobileNetV2-1.0-224 int8", "-", 1.0),
    Goal("ours S / DeepLabV3-0.5 look-alike", SMALL, "DeepLabV3-MobileNetV2-0.5 look-alike int8", "-", 0.25),
    Goal("int8 / float32, same runtime", OURS, "fast U-Net float32", "0.29 to 0.35", 0.33),
    Goal("LiteRT int8 / ONNX Runtime int8", OURS, "fast U-Net int8 in ONNX Runtime", "-", 1.0),
    Goal("whole loop / bare, 1280x720, one tile, no crack", "loop, no crack", "bare, one tile", "2.5 naive", 1.15),
    Goal("whole loop / bare, 1280x720, one tile, one crack", "loop, one crack", "bare, one tile", "2.5 naive", 1.15),
    Goal(
        "sliding window / ours, 12-megapixel photo",
        "sliding window",
        "ours, whole photo",
        '"an hour to seconds"',
        200,
        True,
    ),
    Goal("one thread / two threads, wall", "one thread, wall", "two threads, wall", "-", 1.7, True),
)


def main() -> int:
    arguments = _arguments()
    cv2.setNumThreads(1)
    begun = time.monotonic()
    before = board.state()
    with ExitStack() as stack:
        stage = Stage(arguments.cache, arguments.yolo, stack)
        passes = [stage.measure(arguments.rounds, number) for number in range(arguments.passes)]
        result = _result(stage, passes, before)
    result["took_s"] = round(time.monotonic() - begun, 1)
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(tables.comparison(result))
    if arguments.plot is not None:
        from benchmarks import plots

        plots.compare(result, arguments.plot)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="turns of each pass (%(default)s)")
    parser.add_argument("--passes", type=int, default=3, help="how often the whole is repeated (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    parser.add_argument("--yolo", type=Path, metavar="FILE.onnx", help="a segmentation model exported by its own tool")
    parser.add_argument(
        "--cache", type=Path, default=ROOT / ".cache" / "benchmarks", metavar="DIR", help="built models (%(default)s)"
    )
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.passes) < 1:
        parser.error("--rounds and --passes are 1 or more")
    if arguments.yolo is not None and not arguments.yolo.is_file():
        parser.error(f"--yolo {arguments.yolo}: no such file")
    return arguments


def _result(stage: Stage, passes: list[dict[str, float]], before: board.State) -> dict[str, Any]:
    best = {name: min(one[name] for one in passes) for name in passes[0]}
    detections = {name: loop.detections for name, loop in stage.flying.items()}
    return {
        "schema": "spanhawk/comparison/1",
        "at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "board": asdict(board.board()),
        "before": asdict(before),
        "after": asdict(board.state()),
        "bundle": stage.bundle.model,
        "real_time": stage.real_time,
        "passes": len(passes),
        "networks": [
            {
                "name": one.name,
                "cpu_min_ms": round(best[one.name], 3),
                "against_ours": round(best[one.name] / best[OURS], 3),
                "bytes": one.size_bytes,
                "accuracy": one.accuracy,
            }
            for one in stage.networks
        ],
        "times_ms": {name: round(ms, 3) for name, ms in best.items()},
        "detections": detections,
        "windows": {"pixels": contestants.WINDOW_PX, "stride_px": STRIDE_PX, "per_photo": stage.windows},
        "ratios": [_ratio(goal, passes) for goal in GOALS],
    }


def _ratio(goal: Goal, passes: list[dict[str, float]]) -> dict[str, Any]:
    ratios = sorted(one[goal.of] / one[goal.over] for one in passes)
    middle = float(np.median(ratios))
    off = goal.bound / middle if goal.at_least else middle / goal.bound
    verdict = "met" if off <= 1 else "within noise" if off <= 1 + NOISE else "missed"
    return {
        "name": goal.name,
        "field": goal.field,
        "goal": ("at least " if goal.at_least else "at most ") + f"{goal.bound:g}",
        "ratio": round(middle, 3),
        "smallest": round(ratios[0], 3),
        "largest": round(ratios[-1], 3),
        "verdict": verdict,
    }


if __name__ == "__main__":
    sys.exit(main())
