"""A 12-megapixel still of sound concrete, and one with three cracks, against as many bare tiles of 512x512 as it takes.

Each by the network that ships with tiles as they fit, of its own size, and larger; by the small one; and by the one
that ships at half of the picture's size (``spanhawk replay --reduce 2``); decoding is left out. One thread, smallest
CPU time, in turns.

    python benchmarks/stills.py --rounds 3 --json out/stills.json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np

from benchmarks import tables
from edge.frames import RGB
from edge.masks import tiles
from edge.masks.artifacts import TFLITE
from edge.masks.bundle import default_bundle_path, load_bundle
from edge.masks.interpreter import open_network
from edge.masks.segmenter import DEFAULT_OVERLAP_PX
from edge.tools.benchmark import board
from edge.tools.benchmark.loops import FrameLoop, clean
from edge.tools.benchmark.subject import opened

HEIGHT_PX, WIDTH_PX = 3000, 4000
WAYS: tuple[tuple[str, str, int, dict[str, float]], ...] = (
    ("ships", "fast-unet", 1, {}),
    ("ships, tiles of its own size", "fast-unet", 1, {"largest_tile": 0.0}),
    ("ships, tiles of up to six times that", "fast-unet", 1, {"largest_tile": 6.0}),
    ("small", "fast-unet-s", 1, {}),
    ("ships, half the size", "fast-unet", 2, {}),
)
"""In words, the bundle beside the one that ships, the part of the picture's size, and keys of the [masks] table."""


def main() -> None:
    """Measure and print a table."""
    arguments = _arguments()
    cv2.setNumThreads(1)
    before = board.state()
    bundle = load_bundle(default_bundle_path())
    count = _tiles(HEIGHT_PX, WIDTH_PX, bundle.card.input.height, bundle.card.input.width)
    with ExitStack() as stack:
        loops, rows = {}, []
        segmenters: dict[str, Any] = {}
        for scene, rgb in _scenes().items():
            for words, name, part, options in WAYS:
                if words not in segmenters:  # one for each size of picture: a network is opened anew for another
                    folder = default_bundle_path().with_name(name)
                    segmenters[words] = stack.enter_context(opened(folder, "litert", 1, options))
                size = WIDTH_PX // part, HEIGHT_PX // part
                seen = rgb if part == 1 else np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
                loop = stack.enter_context(FrameLoop(segmenters[words], seen))
                loops[scene, words] = loop
                loop.step()
                rows.append({"scene": scene, "network": words, "tiles": len(segmenters[words].plan)})
        bare = open_network(bundle, TFLITE, 1).run
        bare_ms, best = float("inf"), dict.fromkeys(loops, float("inf"))
        for _ in range(arguments.rounds):
            bare_ms = min(bare_ms, _cpu_ms(bare, count) * count)
            for key, loop in loops.items():
                best[key] = min(best[key], _cpu_ms(loop.step, 1))
                loop.empty()
        for row, (key, loop) in zip(rows, loops.items(), strict=True):
            row |= {"cpu_min_ms": round(best[key], 1), "ratio": round(best[key] / bare_ms, 3)}
            row |= {"detections": loop.detections}
    result = {
        "schema": "spanhawk/stills/1",
        "at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "board": asdict(board.board()), "before": asdict(before), "after": asdict(board.state()),
        "bundle": bundle.model, "width_px": WIDTH_PX, "height_px": HEIGHT_PX, "rounds": arguments.rounds,
        "tiles": count, "bare_ms": round(bare_ms, 1), "rows": rows,
    }  # fmt: skip
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(tables.stills(result))


def _scenes() -> dict[str, RGB]:
    """Concrete with the joints of its forms, tie holes and stains; the same with three cracks."""
    rng = np.random.default_rng(5)
    stains = cv2.resize(rng.normal(0, 14, (12, 16)).astype(np.float32), (WIDTH_PX, HEIGHT_PX))
    grey = np.clip(clean(HEIGHT_PX, WIDTH_PX)[..., 0] + stains, 0, 255).astype(np.uint8)
    for x in range(500, WIDTH_PX, 1000):
        cv2.line(grey, (x, 0), (x, HEIGHT_PX), 118, 5, cv2.LINE_AA)
        for y in range(400, HEIGHT_PX, 800):
            cv2.circle(grey, (x + 350, y), 14, 90, -1, cv2.LINE_AA)
    cracked = grey.copy()
    for top in (400, 1300, 2300):
        steps = np.cumsum(rng.normal(0, 9, 260))
        path = np.column_stack([np.linspace(300, 3700, 260), top + steps]).astype(np.int32)
        cv2.polylines(cracked, [path.reshape(-1, 1, 2)], False, 55, 5, cv2.LINE_AA)
    pictures = {"sound, with joints and stains": grey, "the same with three cracks": cracked}
    return {
        name: np.asarray(cv2.GaussianBlur(one, (0, 0), 0.9))[..., None].repeat(3, 2) for name, one in pictures.items()
    }


def _tiles(height_px: int, width_px: int, tile_h_px: int, tile_w_px: int) -> int:
    return len(tiles.plan(height_px, width_px, tile_h_px, tile_w_px, DEFAULT_OVERLAP_PX))


def _cpu_ms(work: Callable[[], object], times: int) -> float:
    begun = time.process_time_ns()
    for _ in range(times):
        work()
    return (time.process_time_ns() - begun) / 1e6 / times


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds is 1 or more")
    return arguments


if __name__ == "__main__":
    main()
