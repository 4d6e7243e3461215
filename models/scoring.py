"""Score whole pictures of any size.

A bundle goes through the drone's own segmenter, a float U-Net through the same tiling, and a patch classifier slides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from edge.frames import Frame
from edge.masks import Measure, ReportRule, Segmenter, preprocess, tiles
from edge.masks.card import default_measure, read_card
from edge.masks.options import Half
from edge.masks.segmenter import DEFAULT_OVERLAP_PX
from edge.support.clock import SystemClock
from models import DataError, Example, classifier, windows
from models.classifier import STRIDE_PX

if TYPE_CHECKING:
    import keras

UInt8 = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]

RECORD = "run.json"
CODE_SCALE = 1 / 16
"""Float logits are joined as 8-bit codes like the drone's, in steps of this many logits: -8 to 8 (0.0003 to 0.9997)."""


class Scorer(Protocol):
    """Turns a picture into a score map."""

    @property
    def name(self) -> str:
        """What is being scored, for the report."""

    @property
    def threshold(self) -> float:
        """0..1, fixed with the weights."""

    def score(self, rgb: UInt8) -> UInt8:
        """Score uint8 RGB (H, W, 3): returns uint8 (H, W), 255 for a sigmoid of 1."""


def rule_of(scorer: Scorer) -> ReportRule | None:
    """Which traced pieces its bundle's card reports; None where the card does not say, and for what is no bundle."""
    return scorer.rule if isinstance(scorer, _Bundle) else None


def measure_of(scorer: Scorer) -> Measure:
    """How a drone measures the class that is scored: by its bundle's card, of a float network by the default."""
    return scorer.measure if isinstance(scorer, (_Bundle, FloatScorer, _Windows)) else "line"


def line_class(path: Path) -> str | None:
    """The first class that a drone measures as lines, of a bundle by its card, of a `.keras` file by its name.

    None where it knows areas alone. Raises BundleError for a card that cannot be read.
    """
    if path.is_dir():
        kinds = [(kind.name, kind.measure) for kind in read_card(path).damage]
    else:
        kinds = [(name, default_measure(name)) for name in _record_beside(path).get("classes", ["crack"])]
    return next((name for name, measure in kinds if measure == "line"), None)


def second_looks_of(scorer: Scorer) -> int:
    """How many runs of the network looked again at a part of the pictures scored so far."""
    return scorer.second_looks if isinstance(scorer, _Bundle) else 0


def open_scorer(
    path: Path,
    size: tuple[int, int] = (512, 512),
    threshold: float | None = None,
    name: str | None = None,
    stride_px: int = STRIDE_PX,
    second_look: int = 0,
    half_look: Half = "off",
) -> Scorer:
    """Open a bundle folder, or a `.keras` file.

    `second_look` and `half_look`: how a bundle looks again at a picture, as in `[masks]`.

    A U-Net works in tiles of `size` = (height, width) px, the windows of a patch classifier slide by `stride_px`.

    `name` is the class that is scored, None the first one. A `.keras` file takes its threshold from `run.json` beside
    it unless one is given; a bundle always has its own. Raises DataError where the path is neither, the class or the
    threshold is unknown, BundleError for a bundle that must not fly.
    """
    if path.is_dir():
        if threshold is not None:
            raise DataError(f"{path} is a bundle: its threshold stands on its card; --threshold is for .keras files.")
        return _Bundle(path, name, second_look, half_look)
    if second_look or half_look != "off":
        raise DataError(f"{path} is no bundle folder: --second-look and --half-look are for bundles.")
    if path.suffix == ".keras" and path.is_file():
        return _open_keras(path, size, threshold, name, stride_px)
    raise DataError(f"{path} is neither a bundle folder (with card.json) nor a .keras file.")


def report_windows(scorer: Scorer, examples: Sequence[Example]) -> dict[str, Any]:
    """Score a patch classifier on windows instead of pixels. Raises DataError for any other scorer."""
    if not isinstance(scorer, _Windows):
        raise DataError(f"{scorer.name} is no patch classifier; only that one answers window by window.")
    return scorer.windows(examples)


def _record_beside(path: Path) -> dict[str, Any]:
    record = path.parent / RECORD
    return dict(json.loads(record.read_text(encoding="utf-8"))) if record.is_file() else {}


def _open_keras(path: Path, size: tuple[int, int], threshold: float | None, name: str | None, stride_px: int) -> Scorer:
    from models.unet import open_saved

    facts = _record_beside(path)
    classes = facts.get("classes", ["crack"])
    if name is not None and name not in classes:
        raise DataError(f"{path} knows the classes {', '.join(classes)}, not {name!r}.")
    index = 0 if name is None else classes.index(name)
    if threshold is None:
        first = facts.get("score_threshold") if index == 0 else None
        threshold = facts.get("score_thresholds", {}).get(classes[index], first)
    if threshold is None:
        raise DataError(
            f"{path.parent / RECORD} gives no score_threshold for the model; finish the training or give --threshold."
        )
    saved = open_saved(path)
    if saved.name == classifier.NAME:
        if not 1 <= stride_px <= saved.input_shape[1]:
            raise DataError(f"--stride is 1 to {saved.input_shape[1]} px, the size of a window, not {stride_px}.")
        return _Windows(str(path), saved, float(threshold), index, stride_px, default_measure(classes[index]))
    return _tiled(str(path), saved, float(threshold), index, size, default_measure(classes[index]))


class FloatScorer:
    """A float network of one class, given as a function; logits are joined as 8-bit codes like the drone's."""

    def __init__(
        self,
        name: str,
        size: tuple[int, int],
        threshold: float,
        logits: Callable[[Float], Float],
        measure: Measure = "line",
    ) -> None:
        """`size` is (height, width) of a tile; `logits` takes float32 (1, H, W, 3) in 0..1, gives (1, h, w, r * r)."""
        self.name, self.threshold, self.measure = name, threshold, measure
        self._size, self._logits = size, logits
        self._table = preprocess.score_table(CODE_SCALE, 0)

    def score(self, rgb: UInt8) -> UInt8:
        """uint8 RGB (H, W, 3) to uint8 (H, W), 255 for a sigmoid of 1."""
        overlap_px = min(DEFAULT_OVERLAP_PX, min(self._size) // tiles.MAX_OVERLAP_PART)
        mosaic = tiles.Mosaic(tiles.plan(rgb.shape[0], rgb.shape[1], *self._size, overlap_px))
        codes = np.empty((mosaic.height_px, mosaic.width_px), np.uint8)
        for tile in mosaic.tiles:
            mosaic.add(tile, self._codes(rgb, tile), codes)
        return self._table[codes]

    def _codes(self, rgb: UInt8, tile: tiles.Tile) -> UInt8:
        rows, columns = tile.rows, tile.columns
        window = np.zeros((*self._size, 3), np.int8)
        seen = rgb[rows.start_px :, columns.start_px :][: rows.size_px, : columns.size_px]
        preprocess.to_input(seen, window[: rows.size_px, : columns.size_px])
        tiles.fill_reflected(window, rows.size_px, columns.size_px)
        picture = preprocess.dequantise(window, preprocess.INPUT_SCALE, preprocess.INPUT_ZERO_POINT)
        raw = self._logits(picture[None])[0]
        logits = preprocess.pixel_shuffle(raw, round(raw.shape[-1] ** 0.5))
        codes = np.clip(np.rint(logits / CODE_SCALE) + 128, 0, 255).astype(np.uint8)
        return preprocess.upsample(codes, *self._size)


def _tiled(
    name: str, saved: keras.Model, threshold: float, index: int, size: tuple[int, int], measure: Measure
) -> Scorer:
    from models.unet import resized

    model = resized(saved, *size, batch_size=1, head=index)
    return FloatScorer(
        name, size, threshold, lambda picture: np.asarray(model.predict_on_batch(picture), np.float32), measure
    )


class _Windows:
    def __init__(
        self, name: str, model: keras.Model, threshold: float, index: int, stride_px: int, measure: Measure
    ) -> None:
        self.name, self.threshold, self.measure = name, threshold, measure
        self._index, self._stride_px, self._model = index, stride_px, model

    def windows(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Score windows cut side by side out of pictures: see `models.windows.report_windows`."""
        size, classes = int(self._model.input_shape[1]), int(self._model.output_shape[-1]) - 1
        cut = windows.cut_windows("", examples, size, classes)
        if not len(cut.labels):
            raise DataError(
                "No window of these pictures has a clear label: they are smaller than one, or all doubtful."
            )
        return windows.report_windows(cut, windows.scores_of(self._model, cut.images), self.threshold, self._index)

    def score(self, rgb: UInt8) -> UInt8:
        found = classifier.heat_map(self._model, rgb, self._index, self._stride_px)
        return np.asarray(np.rint(found * 255), np.uint8)


class _Bundle:
    def __init__(self, path: Path, name: str | None, second_look: int, half_look: Half) -> None:
        from edge.masks import litert

        # One's own work is scored before it is signed; in tiles of its own size, as its float rivals are, so that what
        # differs is the network. Tiles that fit the frame move F1 by at most 0.002 (docs/benchmarks.md).
        options = litert.Options(
            bundle=path, unsigned="allow", second_look=second_look, half_look=half_look, largest_tile=0
        )
        self._segmenter: Segmenter = litert.open_segmenter(options, SystemClock())
        names = [kind.name for kind in self._segmenter.classes]
        if name is not None and name not in names:
            raise DataError(f"{path} knows the classes {', '.join(names)}, not {name!r}.")
        self._index = 0 if name is None else names.index(name)
        kind = self._segmenter.classes[self._index]
        self.name, self.threshold = self._segmenter.model, kind.threshold
        self.rule, self.measure = kind.rule, kind.measure
        self.second_looks = 0

    def score(self, rgb: UInt8) -> UInt8:
        mask = self._segmenter.segment(Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=rgb))
        self.second_looks += mask.second_looks
        return mask.classes[self._index].score
