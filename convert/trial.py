"""Try what rounding costs before a bundle is written, on frames that did not set the ranges."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from convert import ConversionError, finetune
from convert.frames import Float, UInt8, doubts, to_float
from convert.pixels import check_statistics
from convert.quantize import Quantized, open_interpreter, quantize, run
from convert.source import CLASSIFIER, SEGMENTER, Source
from edge.masks import preprocess

log = logging.getLogger(__name__)

FRAMES = 24
"""Frames set aside, beside those that set the ranges."""
SAME_LOGITS = 0.01
"""A class whose logits for all pictures lie this close together answers none of them: a third of the smallest step that
int8 has for logits of -4 to 4."""


def set_aside(pictures: Sequence[UInt8]) -> tuple[list[UInt8], list[UInt8]]:
    """Split frames into those that set the ranges and about `FRAMES` others; the first, the ramp, is kept."""
    chosen = range(1, len(pictures), max(2, len(pictures) // FRAMES))
    return [one for i, one in enumerate(pictures) if i not in chosen], [pictures[i] for i in chosen]


def warn(source: Source, pictures: Sequence[UInt8]) -> None:
    """Warn about frames that will not set sound ranges; which hold a crack, the float network says itself.

    Raises ConversionError where the network was plainly trained on other pixels (`convert.pixels`), and where what it
    answers does not depend on the picture.
    """
    check_statistics(source.path, source.model, pictures)
    edge, cracked = _edges(source), 0
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for one in tqdm(pictures, desc="looking at the frames", unit="frame", mininterval=1):
        answer = np.asarray(source.model.predict_on_batch(to_float(one)))[0]
        cracked += source.kind == SEGMENTER and bool((answer >= edge).any())
        if source.kind == CLASSIFIER:
            answer = answer[1:] - answer[0]  # sound comes first, and what decides is how far a class is above it
        low, high = np.minimum(low, answer), np.maximum(high, answer)
    if len(pictures) > 1:
        _check_answers(source, np.asarray(high - low), np.asarray(high))
    for doubt in doubts(len(pictures), cracked if source.kind == SEGMENTER else None):
        log.warning("calibration: %s", doubt)


def _check_answers(source: Source, spread: Float, highest: Float) -> None:
    """Refuse a network that answers the same for a kind of damage whatever it sees.

    `spread`: highest less lowest logit over all pictures, for each output that is damage, (h, w, c) or (c,); `highest`
    likewise.
    """
    count = len(source.damage)
    # From picture to picture, not from pixel to pixel: zeros around a picture make even a dead network's rim differ.
    most = spread.reshape(-1, count, spread.shape[-1] // count).max(axis=(0, 2))
    same = [name for name, logits in zip(source.damage, most, strict=True) if logits <= SAME_LOGITS]
    if same:
        raise ConversionError(
            f"{source.path}: the answer for {', '.join(same)} is the same for every picture (logits up to "
            f"{float(highest.max()):.3g}, whatever is shown), so it finds nothing; "
            "give weights that were trained."
        )


def round_weights(
    source: Source, kept: Sequence[UInt8], others: Sequence[UInt8], limit: float, steps: int | None
) -> Quantized:
    """Quantise on the frames `kept`; fine-tune where that is asked for, or where rounding alone costs too much.

    Too much is a larger share than `limit` of the answers for the frames in `others`. `steps` None decides by that, 0
    never fine-tunes.
    """
    if steps:
        return quantize(finetune.finetune(source.model, kept, steps), kept, progress=True)
    found = quantize(source.model, kept, progress=True)
    share = changed(source, found, others)
    log.info("rounding changes %.3f %% of %d other frames", 100 * share, len(others))
    if share <= limit or steps == 0:
        return found
    log.warning("that is more than %.3f %%: fine-tuning the weights for int8", 100 * limit)
    tuned = quantize(finetune.finetune(source.model, kept, finetune.STEPS), kept, progress=True)
    again = changed(source, tuned, others)
    log.info("fine-tuned, it changes %.3f %%", 100 * again)
    return tuned if again < share else found


def changed(source: Source, quantized: Quantized, frames: Sequence[UInt8]) -> float:
    """Share of the answers (pixels, or pictures of a classifier) that int8 and float decide differently."""
    interpreter = open_interpreter(quantized.content)
    edge = _edges(source)
    shares = []
    for frame in frames:
        raw = run(interpreter, (frame ^ 0x80).view(np.int8)[None])
        found = preprocess.dequantise(raw, quantized.output_scale, quantized.output_zero_point)
        wanted = np.asarray(source.model.predict_on_batch(to_float(frame)))
        if source.kind == CLASSIFIER:
            shares.append(float(found.argmax() != wanted.argmax()))
        else:
            shares.append(float(((found >= edge) != (wanted >= edge)).mean()))
    return float(np.mean(shares)) if shares else 0.0


def _edges(source: Source) -> Float:
    """The logit at which its class's score threshold stands, for each channel of a segmenter's output: (c,)."""
    levels = [source.thresholds[name] for name in source.damage]
    edges = [math.log(level / (1 - level)) if level < 1 else math.inf for level in levels]
    channels = source.model.output_shape[-1] // len(edges) if source.kind == SEGMENTER else 1
    return np.repeat(np.array(edges, np.float32), channels)
