"""Train the fast U-Net from a configuration. Resumes by itself from `checkpoint.npz` in the output folder.

Left in the output folder: `model.keras` (averaged weights of the best validation), `start.weights.h5` (the same in half
precision, to start another training from), `history.csv`, `curve.png`, `checkpoint.npz`, `run.json` (configuration,
seed, versions, data hashes, what was held out).
"""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models import DataError, Example, batches, checkpoint, data, monitor, record, rendered
from models.config import Config, load_config
from models.losses import crack_loss
from models.unet import fast_unet

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

AVERAGE_EVERY = 5
"""Steps between updates of the averaged weights; every step would copy all weights for nothing."""

RENDERED_PICTURES = 24
"""Rendered pictures in validation, at most: as many with a crack as without."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSplit:
    """What is learned from and what is held out."""

    train: dict[str, list[Example]]
    held: dict[str, list[Example]]
    """Validation examples by set name; held-out parts of sources end in `/held`."""


def train(config_path: Path, root: Path, out: Path) -> dict[str, float]:
    """Train and return the validation scores of the best weights.

    `root` is the folder that the configuration's image folders are relative to. Raises DataError for unusable data and
    for a loss that is not finite (the last good weights stay in `out`).
    """
    import keras

    config = load_config(config_path)
    keras.utils.set_random_seed(config.train.seed)
    parts = split_sources(config, root)
    mix, panels = _load(config, parts)
    out.mkdir(parents=True, exist_ok=True)
    model = _build(config, config_path.parent)
    run = _Run(config, model, mix, panels, out)
    command = f"python -m models train {config_path.name}"
    record.write_run(out / "run.json", config, command, parts.train, parts.held, model)
    run.go()
    record.add(out / "run.json", steps=run.step, minutes=round(run.seconds / 60, 1))
    return finish(config, panels, out)


def finish(config: Config, panels: Sequence[monitor.Panel], out: Path) -> dict[str, float]:
    """Choose the threshold of the best weights on validation and add it to `run.json`; write the final weights.

    `model.keras` is what is quantised; `start.weights.h5` is the same in half precision, for `[model] start_from`.
    """
    canvas = monitor.CANVAS_PX
    model = fast_unet(canvas, canvas, base=config.model.base, shuffle=config.model.shuffle)
    model.load_weights(out / "best.weights.h5")
    threshold, scores = monitor.choose_threshold(model, panels, config.model.shuffle)
    model.save(out / "model.keras")
    small = fast_unet(canvas, canvas, base=config.model.base, shuffle=config.model.shuffle, dtype="float16")
    small.set_weights(model.get_weights())
    small.save_weights(out / "start.weights.h5")
    record.add(out / "run.json", score_threshold=threshold, validation=scores)
    return {"score_threshold": threshold, **scores}


def _rendered_panels(config: Config, count: int) -> list[monitor.Panel]:
    """Rendered validation pictures, with cracks and crack-free; always there, so that a threshold sees clean ones."""
    panels = []
    for name, cracked in (("rendered", True), ("rendered_clean", False)):
        rng = np.random.default_rng([config.train.seed, 2**31])
        pairs = [rendered.picture(monitor.CANVAS_PX, rng, cracked=cracked) for _ in range(count)]
        images, masks = np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])
        panels.append(monitor.Panel(name=name, images=images, masks=masks))
    return panels


def split_sources(config: Config, root: Path) -> DataSplit:
    """List all examples and hold out part of the sources by photograph, the same for the same seed."""
    if not config.sources and not config.mix.rendered_cracks:
        raise DataError("The configuration names no [[sources]] and renders no cracks: there is nothing to learn from.")
    learned: dict[str, list[Example]] = {}
    held: dict[str, list[Example]] = {}
    for source in config.sources:
        masks = root / source.masks if source.masks is not None else None
        examples = data.find_examples(root / source.images, masks, root)
        learned[source.name], kept_out = data.split(examples, source.holdout, config.train.seed)
        if kept_out:
            held[f"{source.name}/held"] = kept_out
    for item in config.validation:
        masks = root / item.masks if item.masks is not None else None
        held[item.name] = data.find_examples(root / item.images, masks, root)
    return DataSplit(train=learned, held=held)


def _load(config: Config, parts: DataSplit) -> tuple[batches.Mix, list[monitor.Panel]]:
    rng = np.random.default_rng(config.train.seed)
    sources = [
        batches.load_source(item.name, parts.train[item.name], item.weight, item.looseness_px, rng)
        for item in config.sources
    ]
    mix = batches.Mix(
        sources=sources, crop_px=config.train.crop_px, shuffle=config.model.shuffle,
        rendered_cracks=config.mix.rendered_cracks, rendered_clean=config.mix.rendered_clean,
        lookalikes_on_cracked=config.mix.lookalikes_on_cracked, lookalikes_on_clean=config.mix.lookalikes_on_clean,
    )  # fmt: skip
    limit = config.train.validate_pictures
    panels = [monitor.load_panel(name, examples, limit) for name, examples in parts.held.items()]
    return mix, [*panels, *_rendered_panels(config, min(limit, RENDERED_PICTURES))]


def _build(config: Config, folder: Path) -> keras.Model:
    import keras

    size, settings = config.train.crop_px, config.train
    model = fast_unet(size, size, base=config.model.base, shuffle=config.model.shuffle)
    if config.model.start_from is not None:
        start = folder / config.model.start_from
        if not start.is_file():
            raise DataError(f"[model] start_from names {start}, which does not exist.")
        model.load_weights(start)
    optimizer = keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["beta", "gamma", "bias"])
    model.compile(optimizer, crack_loss(settings.bce_weight), jit_compile=False)  # XLA measured 25 % slower on CPU
    return model


def learning_rate(step: int, progress: float, peak: float, warmup_steps: int) -> float:
    """Linear warm-up over `warmup_steps`, times a half cosine over `progress` (0 at the start, 1 at the end)."""
    warm = min(1.0, (step + 1) / max(warmup_steps, 1))
    return peak * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


class _Run:
    """One training: the state that moves on with each step."""

    def __init__(
        self, config: Config, model: keras.Model, mix: batches.Mix, panels: Sequence[monitor.Panel], out: Path
    ) -> None:
        self.config, self.model, self.mix, self.panels, self.out = config, model, mix, panels, out
        canvas = monitor.CANVAS_PX
        self.judge = fast_unet(canvas, canvas, base=config.model.base, shuffle=config.model.shuffle)
        self.average = checkpoint.Average(model.get_weights(), config.train.ema, AVERAGE_EVERY)
        self.step, self.seconds, self.best = 0, 0.0, -math.inf
        self.scores: dict[str, float] = {}
        self.history: list[dict[str, float]] = []
        self._resume()

    def go(self) -> None:
        """Train until the schedule ends; validate and save on the way."""
        from tqdm import tqdm

        settings = self.config.train
        feed = batches.stream(self.mix, settings.seed, self.step, settings.batch, settings.threads)
        bar = tqdm(total=settings.steps, initial=self.step, unit="step", mininterval=5)
        try:
            begun = time.perf_counter() - self.seconds
            losses: list[float] = []
            while self.progress() < 1:
                losses.append(self._one_step(*next(feed)))
                self.seconds = time.perf_counter() - begun
                bar.update()
                if self.step % settings.validate_every == 0 or self.progress() >= 1:
                    self._validate(float(np.mean(losses)))
                    bar.set_postfix(loss=f"{np.mean(losses):.3f}", score=f"{self.scores['score']:.3f}")
                    losses.clear()
        finally:
            feed.close()
            bar.close()

    def progress(self) -> float:
        """Share of the schedule done, by steps or by time, whichever is further."""
        settings = self.config.train
        by_time = self.seconds / (settings.minutes * 60) if settings.minutes else 0.0
        return max(self.step / settings.steps, by_time)

    def _one_step(self, images: Any, targets: Any) -> float:
        settings = self.config.train
        rate = learning_rate(self.step, self.progress(), settings.learning_rate, settings.warmup_steps)
        self.model.optimizer.learning_rate = rate
        loss = float(self.model.train_on_batch(images, targets))
        if not math.isfinite(loss):
            raise DataError(
                f"The loss became {loss} at step {self.step}; the last good weights are in {self.out}. "
                "Lower learning_rate, or look for damaged pictures."
            )
        self.step += 1
        if self.step % AVERAGE_EVERY == 0:
            self.average.update(self.model.get_weights(), self.step)
        return loss

    def _validate(self, loss: float) -> None:
        self.judge.set_weights(self.average.values)
        found = monitor.score(self.judge, self.panels, self.config.model.shuffle)
        self.history.append({"step": self.step, "minutes": self.seconds / 60, "loss": loss, **found})
        log.info("step %d loss %.4f %s", self.step, loss, {key: round(value, 3) for key, value in found.items()})
        if found["score"] >= self.best:
            self.best, self.scores = found["score"], found
            self.judge.save_weights(self.out / "best.weights.h5")
        self.judge.save_weights(self.out / "last.weights.h5")
        self._save()
        record.write_history(self.out, self.history)

    def _save(self) -> None:
        state = checkpoint.Checkpoint(
            step=self.step, seconds=self.seconds, best=self.best, weights=self.model.get_weights(),
            ema=self.average.values, optimizer=[np.asarray(item) for item in self.model.optimizer.variables],
        )  # fmt: skip
        checkpoint.save(self.out / "checkpoint.npz", state)

    def _resume(self) -> None:
        path = self.out / "checkpoint.npz"
        if not path.is_file():
            return
        state = checkpoint.load(path)
        self.model.set_weights(state.weights)
        self.model.optimizer.build(self.model.trainable_variables)
        for variable, value in zip(self.model.optimizer.variables, state.optimizer, strict=True):
            variable.assign(value)
        self.average.values = [np.array(value, np.float32) for value in state.ema]
        self.step, self.seconds, self.best = state.step, state.seconds, state.best
        self.history = _read_history(self.out / "history.csv")
        self.scores = max(self.history, key=lambda row: row["score"], default={})
        log.info("resumed at step %d after %.1f minutes", self.step, self.seconds / 60)


def _read_history(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(stream)]
    return [{**row, "step": int(row["step"])} for row in rows]
