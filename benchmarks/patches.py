"""The patch classifier on the public set of concrete patches: trained on some photographs of it, scored on others.

    python benchmarks/patches.py --data DATA/patches --start models/weights/patch-classifier/model.keras --steps 200

DATA/patches holds `crack` and `no_crack` (Özgenel 2019, doi 10.17632/5y9wdsg2zt.2, 227 x 227 px; some or all of it).
The patches come from 458 photographs, and consecutive numbers from one of them: a split patch by patch puts neighbours
on both sides. Here each class is cut by number into `BLOCKS` runs; of every five runs three teach, one chooses the
steps and the threshold, and one is reported. What a patch is, its folder says; it is shrunk to the classifier's window.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models import augment, classifier, windows
from models.data import read_rgb
from models.unet import open_saved

BLOCKS = 20
PHOTO = 44
"""Numbers of one class that come from one photograph, about: 20,000 patches of 458 photographs."""
BATCH, EVERY = 32, 25
LEVELS = tuple(round(0.1 + 0.02 * i, 2) for i in range(41))
UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    images: UInt8
    labels: npt.NDArray[np.int32]
    photos: npt.NDArray[np.int32]

    def windows(self, name: str) -> windows.Windows:
        return windows.Windows(name=name, images=self.images, labels=self.labels, pictures=self.photos)


def read(folder: Path, side: int) -> tuple[Part, Part, Part]:
    """Patches to learn from, to choose on and to report."""
    found: list[tuple[UInt8, int, int, int]] = []
    for label, kind in enumerate(("no_crack", "crack")):
        paths = sorted((folder / kind).glob("*.jpg"))
        for i, path in enumerate(paths):
            rgb = cv2.resize(read_rgb(path), (side, side), interpolation=cv2.INTER_AREA)
            number = int("".join(filter(str.isdigit, path.stem)))
            found.append((np.asarray(rgb, np.uint8), label, i * BLOCKS // len(paths), number // PHOTO + 10_000 * label))
    parts = []
    for turns in ((0, 1, 2), (3,), (4,)):
        kept = [one for one in found if one[2] % 5 in turns]
        parts.append(Part(
            images=np.stack([one[0] for one in kept]), labels=np.array([one[1] for one in kept], np.int32),
            photos=np.array([one[3] for one in kept], np.int32),
        ))  # fmt: skip
    return parts[0], parts[1], parts[2]


def batch(part: Part, number: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    rng = np.random.default_rng([1, number])
    rows = rng.integers(len(part.labels), size=BATCH)
    turned = [np.rot90(part.images[i], int(rng.integers(4)))[:: int(rng.choice([-1, 1]))] for i in rows]
    images = [augment.photometric(rng, np.ascontiguousarray(one)) for one in turned]
    return np.stack(images).astype(np.float32) / np.float32(255), part.labels[rows]


def accuracy(scores: npt.NDArray[np.float32], part: Part, level: float) -> float:
    return float(((scores[:, 1] >= level) == (part.labels == 1)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="model.keras to go on from; default: random weights")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--out", type=Path, help="where the trained network goes, a .keras file")
    arguments = parser.parse_args()
    import keras

    keras.utils.set_random_seed(1)
    model = classifier.patch_classifier() if arguments.start is None else open_saved(arguments.start)
    learn, choose, report = read(arguments.data, int(model.input_shape[1]))
    before = windows.scores_of(model, report.images) if arguments.start else None
    model.compile(keras.optimizers.Adam(arguments.rate), "sparse_categorical_crossentropy", jit_compile=False)
    best: tuple[float, float, list[npt.NDArray[np.float32]]] = (-1.0, 0.5, [])
    for step in range(1, arguments.steps + 1):
        model.optimizer.learning_rate = arguments.rate * 0.5 * (1 + np.cos(np.pi * step / arguments.steps))
        model.train_on_batch(*batch(learn, step))
        if step % EVERY == 0:
            scores = windows.scores_of(model, choose.images)
            level = max(LEVELS, key=lambda one: (accuracy(scores, choose, one), -abs(one - 0.5)))
            if accuracy(scores, choose, level) >= best[0]:
                best = accuracy(scores, choose, level), level, model.get_weights()
            print(step, round(accuracy(scores, choose, level), 4), level, flush=True)
    model.set_weights(best[2])
    found = {
        "patches": {"learn": len(learn.labels), "choose": len(choose.labels), "report": len(report.labels)},
        "chosen": best[0], "report": windows.report_windows(report.windows("report"), windows.scores_of(
            model, report.images), best[1]),
    }  # fmt: skip
    if before is not None:
        found["report, before"] = windows.report_windows(report.windows("report"), before, 0.44)
    if arguments.out is not None:
        model.save(arguments.out)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
