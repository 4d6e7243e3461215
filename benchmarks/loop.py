"""What the host costs beside the network: a whole replay loop against the bare ``invoke``, in one interleaved run.

One thread; per frame the process's CPU time over five frames in a row, minimum over the rounds, so that other load does
not count.
Tracing and measuring alone, of the same mask, stand beside each loop, and so does the decoder's own time for the same
JPEG: no replay can do without it.
The bare time is that of all the tiles the frame takes, at their size; ``--largest-tile 4`` makes the frame one tile.

    python benchmarks/loop.py --rounds 20 --json out/loop.json
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np

from benchmarks import tables
from edge.frames import Camera, Frame, synthetic
from edge.frames.decode import decode
from edge.masks.bundle import default_bundle_path, load_bundle
from edge.masks.golden import Network
from edge.measurers import LineMeasurer, Measures
from edge.outcome import Flight, Outcome
from edge.pipeline import Pipeline
from edge.support import backends
from edge.support.clock import ManualClock
from edge.tools.benchmark import board
from edge.tools.replay.record import Recorder

HEIGHT_PX, WIDTH_PX = 720, 1280

# Seconds into the rendered flight: a frame with one crack of some 840 pixels, and one with some 2,700 in several.
ONE_CRACK, MANY_CRACKS = 3, 0

# Frames in a row per measurement: a picture decoded ahead is then paid for in the loop that uses it.
BATCH = 5


def main() -> None:
    """Measure and print a table."""
    arguments = _arguments()
    before = board.state()
    cv2.setNumThreads(1)
    bundle = load_bundle(arguments.bundle or default_bundle_path())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        loops = {
            name: stack.enter_context(_Loop(source, arguments, folder / name.replace(" ", "-").replace(",", "")))
            for name, source in _sources(arguments.picture, folder).items()
        }
        for loop in loops.values():
            loop.step()
        network, count = next(iter(loops.values())).network
        bare: list[float] = []
        photo = (folder / "photos" / "0.jpg").read_bytes()
        decoding: list[float] = []
        whole: dict[str, list[float]] = {name: [] for name in loops}
        tracing: dict[str, list[float]] = {name: [] for name in loops}
        for _ in range(arguments.rounds):
            bare.append(_cpu_ms(network.run, BATCH * count) * count)
            decoding.append(_cpu_ms(lambda: decode(photo, 1), BATCH))
            for name, loop in loops.items():
                whole[name].append(_cpu_ms(loop.step, BATCH))
                tracing[name].append(_cpu_ms(loop.trace, BATCH))
        found = {name: loop.detections for name, loop in loops.items()}
    result = _result(bundle.model, count, bare, decoding, whole, tracing, found)
    result |= {"before": asdict(before), "after": asdict(board.state()), "rounds": arguments.rounds}
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(tables.loop(result))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="default: the one that ships")
    parser.add_argument("--picture", type=Path, help="a 1280x720 photo to fly over; default: a rendered frame")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--largest-tile", type=float, default=2.0, help="as in the [masks] table (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


def _sources(picture: Path | None, folder: Path) -> dict[str, dict[str, object]]:
    """Frames without a crack and with many, in memory; one long crack in memory, as a video, and as JPEG files."""
    bgr = _rendered(ONE_CRACK) if picture is None else cv2.imread(str(picture))
    if bgr is None:
        sys.exit(f"{picture}: not a picture OpenCV can read")
    if bgr.shape[:2] != (HEIGHT_PX, WIDTH_PX):
        sys.exit(f"{picture}: {bgr.shape[1]} x {bgr.shape[0]}, needs {WIDTH_PX} x {HEIGHT_PX}")
    photos = folder / "photos"
    photos.mkdir()
    for i in range(8):
        cv2.imwrite(str(photos / f"{i}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 92])
    writer = cv2.VideoWriter(str(folder / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (WIDTH_PX, HEIGHT_PX))
    for _ in range(50):
        writer.write(bgr)
    writer.release()
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    return {
        "no crack, in memory": {"rgb": _clean()},
        "six cracks, in memory": {"rgb": np.ascontiguousarray(_rendered(MANY_CRACKS)[..., ::-1])},
        "one crack, in memory": {"rgb": rgb},
        "one crack, video": {"backend": "video", "source": str(folder / "v.mp4")},
        "one crack, JPEG": {"path": str(photos)},
    }


def _rendered(second: int) -> np.ndarray:
    options = synthetic.Options(width_px=WIDTH_PX, height_px=HEIGHT_PX, fps=1.0, seconds=20.0, live=False)
    with synthetic.open_camera(options, _clock()) as camera:
        return cv2.cvtColor(camera.render(second).rgb, cv2.COLOR_RGB2BGR)


def _clean() -> np.ndarray:
    grey = np.random.default_rng(1).normal(150, 4, (HEIGHT_PX, WIDTH_PX, 1))
    return np.ascontiguousarray(grey.clip(0, 255).astype(np.uint8).repeat(3, axis=2))


def _open(table: dict[str, object]) -> Camera:
    camera: Camera = backends.open_backend(
        "edge.frames", "open_camera", table, _clock(), where="camera", default="folder"
    )
    return camera


def _clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc))


class _Loop:
    """A replay without an end, one frame per ``step``: what ``spanhawk replay`` does for each."""

    def __init__(self, source: dict[str, object], arguments: argparse.Namespace, out: Path) -> None:
        self._source, self._arguments, self._out = source, arguments, out
        self.detections = 0
        self._measurer = LineMeasurer(Measures())

    def __enter__(self) -> _Loop:
        with ExitStack() as stack:
            clock = _clock()
            table = {
                "threads": 1,
                "unsigned": "allow",
                "largest_tile": self._arguments.largest_tile,
                **({} if self._arguments.bundle is None else {"bundle": str(self._arguments.bundle)}),
            }
            segmenter, navigator, outbox = (
                stack.enter_context(backends.open_backend(room, opener, settings, clock, where=room, default=default))
                for room, opener, settings, default in (
                    ("edge.masks", "open_segmenter", table, "litert"),
                    ("edge.navigation", "open_navigator", {}, "fixed"),
                    ("edge.outbox", "open_outbox", {}, "memory"),
                )
            )
            self._segmenter: Any = segmenter
            self._recorder = stack.enter_context(Recorder(self._out, None, masks=False, overlays=False))
            flight = Flight.of("bench", "replay-bench")
            self._pipeline = Pipeline(segmenter, navigator, outbox, flight, Measures(), clock)
            self._recorder.begin(clock, flight.flight_id, {})
            self._frames = self._endless()
            next(self._frames)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._frames.close()
        self._stack.close()

    def step(self) -> None:
        """Read, process and record one frame."""
        outcome: Outcome = self._pipeline.process(next(self._frames))
        self._recorder.write(outcome, self._pipeline)
        self.detections = len(outcome.features)
        self._mask = outcome.mask

    @property
    def network(self) -> tuple[Network, int]:
        """What runs one tile of the newest frame, and how many tiles that is."""
        return self._segmenter.network, len(self._segmenter.plan)

    def trace(self) -> None:
        """Trace and measure the last frame's mask once more: what that is of a ``step``."""
        for one in self._mask.classes:
            if one.kind.measure == "line":
                self._measurer.measure(one)

    def _endless(self) -> Generator[Frame, None, None]:
        rgb: Any = self._source.get("rgb")
        seq = 0
        while True:
            if rgb is not None:
                yield Frame(seq, seq, None, rgb)
                seq += 1
                continue
            with _open(self._source) as camera:
                yield from camera.frames()


def _cpu_ms(work: Callable[[], object], times: int) -> float:
    """CPU time of one of ``times`` calls in a row, milliseconds."""
    before = time.process_time_ns()
    for _ in range(times):
        work()
    return (time.process_time_ns() - before) / 1e6 / times


def _result(
    model: str,
    tiles_per_frame: int,
    bare: list[float],
    decoding: list[float],
    whole: dict[str, list[float]],
    tracing: dict[str, list[float]],
    found: dict[str, int],
) -> dict[str, Any]:
    rows = {"bare network": bare, "decoding the JPEG alone": decoding}
    rows |= {f"loop, {name}": times for name, times in whole.items()}
    # Each round's own ratio, so that a mood of the machine meets both sides of it.
    ratios = {name: sorted(np.divide(times, bare)) for name, times in rows.items()}
    return {
        "schema": "spanhawk/loop/1",
        "at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "board": asdict(board.board()),
        "bundle": model,
        "width_px": WIDTH_PX,
        "height_px": HEIGHT_PX,
        "tiles": tiles_per_frame,
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
        "rows": [
            {
                "name": name,
                "cpu_min_ms": round(min(times), 3),
                "ratio": round(min(times) / min(bare), 3),
                "smallest": round(float(ratios[name][0]), 3),
                "largest": round(float(ratios[name][-1]), 3),
                "detections": found.get(name.removeprefix("loop, ")),
                "tracing_ms": None if name[6:] not in tracing else round(min(tracing[name[6:]]), 3),
            }
            for name, times in rows.items()
        ],
    }


if __name__ == "__main__":
    main()
