"""The three forms of one network, scoring whole pictures through the drone's own tiling."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.frames import Float, UInt8
from convert.quantize import open_interpreter, run
from edge.masks import preprocess, tiles
from edge.masks.bundle import Bundle
from edge.masks.segmenter import DEFAULT_OVERLAP_PX
from models.scoring import CODE_SCALE, Scorer, open_scorer

if TYPE_CHECKING:
    import keras

THREADS = 2


class FloatScorer:
    """A float network given as a function; logits are joined as 8-bit codes like the drone's."""

    def __init__(self, name: str, size: tuple[int, int], threshold: float, logits: Callable[[Float], Float]) -> None:
        """`size` is (height, width) of a tile; `logits` takes float32 (1, H, W, 3) in 0..1, gives (1, h, w, r * r).

        The logits are those of one class.
        """
        self.name, self.threshold = name, threshold
        self._size, self._logits = size, logits
        self._table = preprocess.score_table(CODE_SCALE, 0)

    def score(self, rgb: UInt8) -> UInt8:
        """uint8 RGB (H, W, 3) to uint8 (H, W), 255 for a sigmoid of 1."""
        overlap_px = min(DEFAULT_OVERLAP_PX, min(self._size) // tiles.MAX_OVERLAP_PART)
        mosaic = tiles.Mosaic(tiles.plan(rgb.shape[0], rgb.shape[1], *self._size, overlap_px))
        joined = np.empty((mosaic.height_px, mosaic.width_px), np.uint8)
        for tile in mosaic.tiles:
            mosaic.add(tile, self._codes(rgb, tile), joined)
        return self._table[joined]

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


def open_rivals(bundle: Bundle, model: keras.Model, float_tflite: bytes, index: int = 0) -> dict[str, Scorer]:
    """Open the three forms: ``float`` (Keras), ``float_tflite``, ``int8`` (the bundle, by the drone's segmenter).

    They score the class number ``index`` of the card.
    """
    size = int(model.input_shape[1]), int(model.input_shape[2])
    interpreter = open_interpreter(float_tflite, threads=THREADS)
    kind, channels = bundle.card.damage[index], bundle.card.output.pixel_shuffle**2
    own = np.s_[..., index * channels : (index + 1) * channels]

    def by_keras(picture: Float) -> Float:
        return np.asarray(model.predict_on_batch(picture), np.float32)[own]

    def by_tflite(picture: Float) -> Float:
        answer: Any = run(interpreter, picture)
        return np.asarray(answer, np.float32)[own]

    return {
        "float": FloatScorer("float Keras", size, kind.threshold, by_keras),
        "float_tflite": FloatScorer("float TFLite", size, kind.threshold, by_tflite),
        "int8": open_scorer(bundle.folder, name=kind.name),
    }
