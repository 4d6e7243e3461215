"""Everything the comparison measures, built once and measured pass by pass: networks, loops, threads, a large photo."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import contestants
from edge.frames import Frame
from edge.masks import preprocess
from edge.masks.bundle import Bundle, default_bundle_path, load_bundle
from edge.masks.interpreter import open_model
from edge.tools.benchmark.accuracy import card_accuracy
from edge.tools.benchmark.loops import FrameLoop, clean, cut, rendered
from edge.tools.benchmark.subject import opened

CAMERA_PX = (720, 1280)
ONE_TILE_PX = (736, 1280)  # the network takes multiples of 32
PHOTO_PX = (3000, 4000)
STRIDE_PX = 16  # of the sliding window: the finest grid at which a crack is still told from its neighbour
OURS = "fast U-Net int8 512x512"
SMALL = "fast U-Net S int8 512x512"


@dataclass
class Contestant:
    """One network, ready to run."""

    name: str
    run: Callable[[], object]
    size_bytes: int
    accuracy: str


class Stage:
    """Everything that is measured, built once."""

    def __init__(self, cache: Path, yolo: Path | None, stack: ExitStack) -> None:
        self.bundle = load_bundle(default_bundle_path())
        self._frame = rendered(*CAMERA_PX)
        self.networks = self._networks(cache, yolo)
        self.loops = self._loops(cache, stack)
        self._whole = stack.enter_context(opened(default_bundle_path(), "litert", 1, {}))
        self._photo = np.tile(self._frame, (5, 4, 1))[: PHOTO_PX[0], : PHOTO_PX[1]].copy()
        make = lambda: contestants.to_float(contestants.window_classifier())  # noqa: E731
        self._window = open_model(contestants.cached("window.tflite", make, cache).read_bytes(), 1)
        steps = [len(range(0, extent - contestants.WINDOW_PX + 1, STRIDE_PX)) for extent in PHOTO_PX]
        self.windows = steps[0] * steps[1]
        content = self.bundle.model_path.read_bytes()
        with _first_in_line() as self.real_time:  # an interpreter's threads take their priority from who opens it
            self._threads = {"one thread, wall": open_model(content, 1), "two threads, wall": open_model(content, 2)}

    def _networks(self, cache: Path, yolo: Path | None) -> list[Contestant]:
        classic, small = load_bundle(contestants.CLASSIC), load_bundle(default_bundle_path().with_name("fast-unet-s"))
        found = [
            _tflite(OURS, self.bundle.model_path, _from_card(self.bundle, "int8")),
            _tflite(SMALL, small.model_path, _from_card(small, "int8")),
            _tflite("classic U-Net base 16 int8, trained", classic.model_path, _from_card(classic, "int8")),
        ]
        makes = {
            "MobileNetV2-1.0-224 int8": lambda: contestants.to_int8(contestants.mobilenet()),
            "DeepLabV3-MobileNetV2-0.5 look-alike int8": lambda: contestants.to_int8(contestants.deeplab()),
            "classic U-Net base 16 int8": lambda: contestants.to_int8(contestants.classic_unet()),
            "fast U-Net float32": lambda: contestants.to_float(contestants.fast_unet()),
        }
        weights = contestants.WEIGHTS.read_bytes()
        for name, make in tqdm(makes.items(), desc="building", unit="net", disable=None):
            ingredients = (weights,) if name.startswith("fast") else ()
            path = contestants.cached(f"{name.replace(' ', '-').replace('.', '_')}.tflite", make, cache, *ingredients)
            accuracy = _from_card(self.bundle, "float") if name.startswith("fast") else "random weights"
            found.append(_tflite(name, path, accuracy))
        found.append(self._onnx(cache, weights))
        if yolo is not None:
            found.append(_onnx(f"{yolo.stem} (its own tool's ONNX)", yolo, "accuracy not measured")[0])
        return found

    def _onnx(self, cache: Path, weights: bytes) -> Contestant:
        size = contestants.SIZE_PX
        pictures = [cut(np.roll(self._frame, shift, 1), size, size) for shift in (0, 300, 600, 900)]

        def make() -> bytes:
            floats = [picture[None].astype(np.float32) / 255 for picture in pictures]
            return contestants.to_onnx_int8(contestants.fast_unet(), floats)

        path = contestants.cached("fast-unet-int8.onnx", make, cache, weights)
        found, session = _onnx("fast U-Net int8 in ONNX Runtime", path, "")
        quantisation = contestants.output_quantisation(path)
        found.accuracy = f"agrees with ours: mask IoU {self._agreement(session, quantisation, pictures):.3f}"
        return found

    def _agreement(self, session: Any, quantisation: tuple[float, int], pictures: list[Any]) -> float:
        """Mask IoU of ONNX Runtime's answer and our bundle's on pictures with cracks."""
        network = open_model(self.bundle.model_path.read_bytes(), 1)
        card = self.bundle.card.output
        scale, zero = quantisation
        limit = self.bundle.card.damage[0].threshold
        both = either = 0
        for picture in pictures:
            preprocess.to_input(picture, network.input())
            network.run()
            ours = preprocess.dequantise(network.output(), card.scale, card.zero_point)
            name = session.get_inputs()[0].name
            answer = session.run(None, {name: picture.transpose(2, 0, 1)[None]})[0][0].transpose(1, 2, 0)
            theirs = (answer.astype(np.float32) - zero) * scale
            a, b = (1 / (1 + np.exp(-logits)) >= limit for logits in (ours, theirs))
            both, either = both + int((a & b).sum()), either + int((a | b).sum())
        return both / either

    def _loops(self, cache: Path, stack: ExitStack) -> dict[str, Callable[[], object]]:
        frames = [_padded(np.roll(self._frame, shift, 1)) for shift in (0, 320, 640, 960)] + [_ramp()]
        digest = contestants.cached("one-tile.txt", lambda: b"built", cache, contestants.WEIGHTS.read_bytes())
        folder = digest.with_suffix("")
        if not (folder / "card.json").exists():
            contestants.one_tile_bundle(folder, default_bundle_path(), *ONE_TILE_PX, frames)
        segmenter: Any = stack.enter_context(opened(folder, "litert", 1, {}))
        self.flying = {
            "loop, no crack": stack.enter_context(FrameLoop(segmenter, clean(*CAMERA_PX))),
            "loop, one crack": stack.enter_context(FrameLoop(segmenter, self._frame)),
        }
        return {"bare, one tile": segmenter.network.run, **{name: loop.step for name, loop in self.flying.items()}}

    def measure(self, rounds: int, number: int) -> dict[str, float]:
        """One pass: milliseconds by name."""
        times = _fastest({one.name: one.run for one in self.networks}, rounds, f"pass {number + 1}, networks")
        times |= _fastest(self.loops, rounds, "whole loop")
        with _first_in_line():
            runs = {name: network.run for name, network in self._threads.items()}
            times |= _fastest(runs, 2 * rounds, "threads", wall=True)
        photo = Frame(0, 0, None, self._photo)
        found = _fastest(
            {"ours, whole photo": lambda: self._whole.segment(photo), "one window": self._slide}, 3, "photo", batch=200
        )
        times |= {"ours, whole photo": found["ours, whole photo"], "one window": found["one window"]}
        times["sliding window"] = found["one window"] * self.windows
        return times

    def _slide(self) -> None:
        """The next window of the photo: cut out, scaled to 0..1, classified."""
        at = getattr(self, "_at", 0)
        columns = (PHOTO_PX[1] - contestants.WINDOW_PX) // STRIDE_PX + 1
        top, left = (at // columns) * STRIDE_PX, (at % columns) * STRIDE_PX
        view: Any = self._window.input()
        np.multiply(self._photo[top : top + 128, left : left + 128], np.float32(1 / 255), out=view)
        del view
        self._window.run()
        self._at = (at + 1) % self.windows


def _from_card(bundle: Bundle, kind: str) -> str:
    name = "deepcrack/test"
    sets = bundle.card.metrics
    if kind == "int8":
        f1 = card_accuracy(sets, "int8").get(name)
    else:
        f1 = sets[name][kind]["pooled"]["f1"]["value"] if name in sets and kind in sets[name] else None
    return "not on the card" if f1 is None else f"F1 {f1:.3f} ({name})"


@contextmanager
def _first_in_line() -> Iterator[bool]:
    """Before every other program for a moment, where that is allowed (root): two threads are timed by the wall clock.

    True where it is; elsewhere other load counts.
    """
    before, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, before, priority)


def _fastest(
    works: Mapping[str, Callable[[], object]], rounds: int, title: str, *, wall: bool = False, batch: int = 1
) -> dict[str, float]:
    """Smallest CPU (or wall) time by name; the second of two runs counts. ``one window`` is the mean of ``batch``."""
    watch = time.perf_counter_ns if wall else time.process_time_ns
    best = dict.fromkeys(works, float("inf"))
    for _ in tqdm(range(rounds), desc=title, disable=None, leave=False):
        for name, work in works.items():
            times = batch if name == "one window" else 1
            work()
            before = watch()
            for _ in range(times):
                work()
            best[name] = min(best[name], (watch() - before) / 1e6 / times)
    return best


def _tflite(name: str, path: Path, accuracy: str) -> Contestant:
    content = path.read_bytes()
    return Contestant(name, open_model(content, 1).run, len(content), accuracy)


def _onnx(name: str, path: Path, accuracy: str) -> tuple[Contestant, Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    kind = np.uint8 if source.type == "tensor(uint8)" else np.float32
    noise = np.random.default_rng(0).integers(0, 256, source.shape).astype(kind)
    picture = noise / np.float32(255) if kind == np.float32 else noise
    return Contestant(name, lambda: session.run(None, {source.name: picture}), path.stat().st_size, accuracy), session


def _padded(rgb: Any) -> Any:
    return np.pad(rgb, ((0, ONE_TILE_PX[0] - rgb.shape[0]), (0, ONE_TILE_PX[1] - rgb.shape[1]), (0, 0)), "reflect")


def _ramp() -> Any:
    """From black to white: it pins the input's range."""
    row = np.linspace(0, 255, ONE_TILE_PX[1]).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (*ONE_TILE_PX, 3)))
