"""Windows cut out of pictures and labelled by what their centre holds: how a patch classifier is taught and scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from models import Example, metrics
from models.data import plane, read_examples

if TYPE_CHECKING:
    import keras

UInt8 = npt.NDArray[np.uint8]
Int32 = npt.NDArray[np.int32]
Float = npt.NDArray[np.float32]

CENTRE_MIN_SHARE = 1 / 256
"""Share of the centre that damage must cover: 16 of its 64 x 64 px."""


def label_patch(mask: UInt8, classes: int) -> int | None:
    """Label a window by its mask (one bit per class): 0 sound, 1 + k class k, None where the answer is doubtful.

    The centre is the middle half in both directions. A class that covers at least 1/256 of it is the label (the one
    with most pixels, of several); a window without any damage or unknown pixel at all is sound; everything between,
    as a crack that only touches the rim, is used neither for training nor for scores.
    """
    side = mask.shape[0]
    centre = mask[side // 4 : side - side // 4, side // 4 : side - side // 4]
    counts = [int(plane(centre, index).sum()) for index in range(classes)]
    if max(counts) >= CENTRE_MIN_SHARE * centre.size:
        return 1 + int(np.argmax(counts))
    return 0 if not mask.any() else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """Labelled windows of one set, cut at native scale."""

    name: str
    images: UInt8
    """(N, size, size, 3) RGB."""
    labels: Int32
    """(N,): see `label_patch`."""
    pictures: Int32
    """(N,): which picture each one was cut from."""


def cut_windows(name: str, examples: Sequence[Example], size: int, classes: int, limit: int | None = None) -> Windows:
    """Cut windows side by side out of pictures; doubtful ones and pictures smaller than a window are passed over.

    `limit` is a number of windows, evenly spread over all that there are.
    """
    images, labels, pictures = [], [], []
    for number, (_, rgb, mask) in enumerate(read_examples(examples, must_show=False)):
        for top in range(0, mask.shape[0] - size + 1, size):
            for left in range(0, mask.shape[1] - size + 1, size):
                part = np.s_[top : top + size, left : left + size]
                label = label_patch(mask[part], classes)
                if label is not None:
                    images.append(rgb[part])
                    labels.append(label)
                    pictures.append(number)
    if limit is not None and len(images) > limit:
        chosen = np.linspace(0, len(images) - 1, limit).astype(int).tolist()
        images, labels, pictures = ([items[i] for i in chosen] for items in (images, labels, pictures))
    stacked = np.stack(images) if images else np.empty((0, size, size, 3), np.uint8)
    return Windows(name=name, images=stacked, labels=np.array(labels, np.int32), pictures=np.array(pictures, np.int32))


def scores_of(model: keras.Model, images: UInt8, batch: int = 64) -> Float:
    """Softmax scores (N, 1 + classes) of windows."""
    found = []
    for first in range(0, len(images), batch):
        part = np.zeros((batch, *images.shape[1:]), np.float32)
        count = len(images[first : first + batch])
        part[:count] = images[first : first + batch]
        found.append(np.asarray(model.predict_on_batch(part / 255), np.float32)[:count])
    return np.concatenate(found)


def report_windows(windows: Windows, scores: Float, threshold: float, index: int = 0) -> dict[str, Any]:
    """Score one class on windows: accuracy, precision, recall and F1, counted in windows.

    Each is {value, low, high}: bounds of the 95 % percentile interval of 1,000 bootstrap resamples of the *pictures*,
    since windows of one picture are alike. Also the share of sound windows that fire.
    """
    fires, true = scores[:, 1 + index] >= threshold, windows.labels == 1 + index
    kinds = [fires & true, fires & ~true, ~fires & true, ~fires & ~true]
    table = np.array(
        [[kind[windows.pictures == picture].sum() for kind in kinds] for picture in np.unique(windows.pictures)], float
    )
    again = np.random.default_rng(0).integers(len(table), size=(metrics.RESAMPLES, len(table)))
    drawn, whole = table[again].sum(axis=1), table.sum(axis=0)
    return {
        "windows": len(true), "windows_with_damage": int(true.sum()), "pictures": len(table), "threshold": threshold,
        **{name: metrics.interval(float(score(whole)), score(drawn)) for name, score in _WINDOW_SCORES.items()},
    }  # fmt: skip


def _share(part: Any, whole: Any) -> Any:
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=np.asarray(whole) > 0)


_WINDOW_SCORES: Mapping[str, Callable[[Any], Any]] = {
    "accuracy": lambda t: _share(t[..., 0] + t[..., 3], t.sum(axis=-1)),
    "precision": lambda t: _share(t[..., 0], t[..., 0] + t[..., 1]),
    "recall": lambda t: _share(t[..., 0], t[..., 0] + t[..., 2]),
    "f1": lambda t: _share(2 * t[..., 0], 2 * t[..., 0] + t[..., 1] + t[..., 2]),
    "sound_fire": lambda t: _share(t[..., 1], t[..., 1] + t[..., 3]),
}
