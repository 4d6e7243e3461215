"""One 12-megapixel photo by both methods: windows slid by a patch classifier, and tiles of the bundle that flies.

CPU time of one thread, so that other load does not count: the minimum over the rounds. The sliding window is run in
full at --stride; at finer strides its time is that per window times the number of windows.

    python benchmarks/photo.py --stride 32
    python benchmarks/photo.py --picture photo.jpg --rounds 5 --json
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

HEIGHT_PX, WIDTH_PX = 3000, 4000
STRIDES_PX = (64, 32, 16, 8, 4, 2)
CLASSIFIER = Path(__file__).parents[1] / "models/weights/patch-classifier/model.keras"


def main() -> None:
    """Measure and print a table, or one JSON object with --json."""
    arguments = _arguments()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    cv2.setNumThreads(1)
    rgb = _picture(arguments.picture)
    slid_s = _slide(arguments.classifier, rgb, arguments.stride, arguments.rounds)
    tiled_s = _tile(arguments.bundle, rgb, arguments.rounds)
    windows = {stride: _count(rgb, stride) for stride in sorted({*STRIDES_PX, arguments.stride}, reverse=True)}
    each_s = slid_s / windows[arguments.stride]
    found = {
        "height_px": rgb.shape[0], "width_px": rgb.shape[1], "rounds": arguments.rounds, "tiled_s": round(tiled_s, 3),
        "window_ms": round(1000 * each_s, 4), "measured_stride_px": arguments.stride, "measured_s": round(slid_s, 2),
        "slid_s": {stride: round(each_s * count, 1) for stride, count in windows.items()},
    }  # fmt: skip
    if arguments.json:
        print(json.dumps(found))
        return
    print(f"{rgb.shape[1]} x {rgb.shape[0]} px, CPU time of one thread, minimum of {arguments.rounds}")
    print(f"tiles of the bundle           {tiled_s:10.2f} s")
    for stride, count in windows.items():
        how = "measured" if stride == arguments.stride else f"{1000 * each_s:.3f} ms a window"
        print(f"windows slid by {stride:3d} px {count:10,d} x {each_s * count:10.1f} s   {how}")


def _count(rgb: np.ndarray, stride: int) -> int:
    height, width = int(rgb.shape[0]), int(rgb.shape[1])
    return math.ceil(height / stride) * math.ceil(width / stride)


def _slide(path: Path, rgb: np.ndarray, stride: int, rounds: int) -> float:
    import keras

    from models.classifier import heat_map

    model = keras.models.load_model(path, compile=False)
    heat_map(model, rgb[:256, :256], stride_px=stride)  # compiles the graph
    return _seconds(lambda: heat_map(model, rgb, stride_px=stride), rounds)


def _tile(bundle: Path | None, rgb: np.ndarray, rounds: int) -> float:
    from edge.frames import Frame
    from edge.masks import litert
    from edge.support.clock import SystemClock

    options = litert.Options(bundle=bundle, threads=1, unsigned="allow")
    segmenter = litert.open_segmenter(options, SystemClock())
    frame = Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=rgb)
    return _seconds(lambda: segmenter.segment(frame), rounds)


def _seconds(work: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken)


def _picture(path: Path | None) -> np.ndarray:
    if path is None:
        return np.random.default_rng(0).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3)).astype(np.uint8)
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        sys.exit(f"error: {path} is not a picture that can be read")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, help="photo to work on (default: noise, 4000 x 3000 px)")
    parser.add_argument("--classifier", type=Path, default=CLASSIFIER, help="model.keras of a patch classifier")
    parser.add_argument("--bundle", type=Path, help="bundle (default: the one that ships)")
    parser.add_argument("--stride", type=int, default=32, help="step of the windows that is run in full, px")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
