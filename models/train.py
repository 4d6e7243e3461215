"""Train a network from a configuration. Resumes by itself from `checkpoint.npz` in the output folder.

Left in the output folder: `model.keras` (averaged weights of the best validation), `start.weights.h5` (the same in half
precision, to start another training from), `history.csv`, `curve.png`, `examples.png` (held-out pictures with the
network's answer), `checkpoint.npz`, `run.json` (configuration, seed, versions, data hashes, what was held out).
"""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.support.errors import TryAgainError
from models import DataError, batches, checkpoint, native_torch, parallel, record
from models.checkpoint import replacing
from models.config import Config, load_config
from models.sources import split_sources
from models.task import DataSplit, Task
from models.teacher import Teacher

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

SPEED_AFTER = 20
"""Steps after which it is said how fast it goes: the first ones compile and fill caches."""
SAVE_EVERY_S = 60.0
"""Between two checkpoints at most; each validation writes one too."""
CHECKPOINT = "checkpoint.npz"
AVERAGE_EVERY = 5
"""Steps between updates of the averaged weights; every step would copy all weights for nothing."""


def train(config_path: Path, root: Path, out: Path) -> dict[str, float]:
    """Train and return the validation scores of the best weights.

    `root` is the folder that the configuration's image folders are relative to. Raises DataError for unusable data, for
    an `out` that holds a training of another configuration or of other pictures, and for a loss that is not finite (the
    last good weights stay in `out`), TryAgainError for a disk that is full and an interruption (the last checkpoint is
    whole).
    """
    import keras

    config = load_config(config_path)
    keras.utils.set_random_seed(config.train.seed)
    if config.train.data_parallel:
        parallel.share_batches(config.train.batch)
    parts = split_sources(config, root)
    if (out / CHECKPOINT).is_file():
        record.check_same(out / "run.json", config, parts)
    task = _task(config, parts, config_path.parent)
    out.mkdir(parents=True, exist_ok=True)
    try:
        model = _build(config, task, config_path.parent)
        run = _Run(config, model, task, out)
    except ValueError as error:  # a size that does not fit the network
        raise DataError(f"{config_path}: {error}") from error
    command = f"python -m models train {config_path.name}"
    run.resume()
    record.write_run(out / "run.json", config, command, parts, model)
    run.go()
    record.add(out / "run.json", steps=run.step, minutes=round(run.seconds / 60, 1))
    return finish(task, out)


def finish(task: Task, out: Path) -> dict[str, float]:
    """Choose the thresholds of the best weights on validation and add them to `run.json`; write the final weights.

    `model.keras` is what is quantised; `start.weights.h5` is the same in half precision, for `[model] start_from`.
    `score_threshold` is that of the first class.
    """
    model = task.judge()
    model.load_weights(out / "best.weights.h5")
    levels, scores = task.thresholds(model)
    small = task.judge("float16")
    small.set_weights(model.get_weights())
    room = checkpoint.room_for(model.get_weights())
    with replacing(out / "model.keras", room) as part:
        model.save(part)
    with replacing(out / "start.weights.h5", room) as part:
        small.save_weights(part)
    first = next(iter(levels.values()))
    record.add(out / "run.json", score_threshold=first, score_thresholds=levels, validation=scores)
    return {"score_threshold": first, **scores}


def _task(config: Config, parts: DataSplit, folder: Path) -> Task:
    if config.model.kind == "patch_classifier":
        from models.patches import Patches

        return Patches(config, parts)
    from models.segmentation import Segmentation

    wanted = config.teacher
    teacher = None if wanted is None else Teacher(folder / wanted.model, wanted.weight, config.crop_px)
    return Segmentation(config, parts, teacher)


def _build(config: Config, task: Task, folder: Path) -> keras.Model:
    import keras

    settings = config.train
    model = task.network(settings.precision)
    if config.model.start_from is not None:
        start = folder / config.model.start_from
        if not start.is_file():
            raise DataError(f"[model] start_from names {start}, which does not exist.")
        try:
            with warnings.catch_warnings():  # Keras would go on with random weights where a part is not in the file
                warnings.filterwarnings("error", message="Skipping nested container")
                _start(model, task, start)
        except (OSError, ValueError, KeyError, UserWarning) as error:
            raise DataError(
                f"[model] start_from names {start}, whose weights do not fit this network, or which is damaged: give "
                "weights of the same kind, base and classes."
            ) from error
    optimizer = keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["beta", "gamma", "bias"])
    if settings.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    # XLA measured 25 % slower on a CPU with TensorFlow; JAX is nothing without it.
    compiled: Any = "auto" if keras.backend.backend() == "jax" else False
    model.compile(optimizer, task.loss(), jit_compile=compiled)
    return model


def _start(model: keras.Model, task: Task, weights: Path) -> None:
    """Load `weights` of the same network, or of one with the first class alone: then the other heads begin anew.

    Raises ValueError where they fit neither.
    """
    first = task.network_of_first_class()
    if first is None:
        model.load_weights(weights)
        return
    try:
        first.load_weights(weights)
    except ValueError:  # a network of all the classes already
        model.load_weights(weights)
        return
    for layer in first.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())


def _learner(model: keras.Model) -> Callable[[Any, Any], float]:
    """Return what learns one batch: PyTorch's own kernels where Keras runs on it, else Keras."""
    import keras

    if keras.backend.backend() == "torch":
        return native_torch.make_step(model)
    return lambda images, targets: float(model.train_on_batch(images, targets))


def minutes_left(done: float, seconds: float, rest: float) -> float:
    """Minutes until the schedule ends, where a share `done` of it took `seconds` and a share `rest` is to come."""
    return seconds / 60 * rest / done


def learning_rate(step: int, progress: float, peak: float, warmup_steps: int) -> float:
    """Linear warm-up over `warmup_steps`, times a half cosine over `progress` (0 at the start, 1 at the end)."""
    warm = min(1.0, (step + 1) / max(warmup_steps, 1))
    return peak * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


class _Run:
    """One training: the state that moves on with each step."""

    def __init__(self, config: Config, model: keras.Model, task: Task, out: Path) -> None:
        self.config, self.model, self.task, self.out = config, model, task, out
        self.judge = task.judge()
        self._learn = _learner(model)
        self.average = checkpoint.Average(model.get_weights(), config.train.ema, AVERAGE_EVERY)
        self.step, self.seconds, self.best = 0, 0.0, -math.inf
        self.scores: dict[str, float] = {}
        self.history: list[dict[str, float]] = []

    def resume(self) -> None:
        """Go on from the checkpoint in the folder, where there is one. Raises DataError where it cannot be used."""
        path = self.out / CHECKPOINT
        if not path.is_file():
            return
        state = checkpoint.load(path, self._way_out())
        self.model.optimizer.build(self.model.trainable_variables)
        variables = self.model.optimizer.variables
        if not state.fits(self.model.get_weights(), variables):
            raise DataError(
                f"{path} is of another network or precision than the configuration; take back what was changed there, "
                f"or {self._way_out()}."
            )
        self.history = record.read_history(self.out / "history.csv")
        self.model.set_weights(state.weights)
        for variable, value in zip(variables, state.optimizer, strict=True):
            variable.assign(value)
        self.average.values = [np.array(value, np.float32) for value in state.ema]
        self.step, self.seconds, self.best = state.step, state.seconds, state.best
        self.scores = max(self.history, key=lambda row: row["score"], default={})
        log.info("resumed at step %d after %.1f minutes", self.step, self.seconds / 60)

    def go(self) -> None:
        """Train until the schedule ends; validate and save on the way."""
        from tqdm import tqdm

        settings = self.config.train
        feed = batches.stream(self.task.batch, self.step, settings.threads)
        bar = tqdm(total=settings.steps, initial=self.step, unit="step", mininterval=5)
        first = self.step, self.seconds, self.progress()
        losses: list[float] = []
        try:
            begun = time.perf_counter() - self.seconds
            saved = time.perf_counter()
            while self.progress() < 1:
                losses.append(self._one_step(*self.task.teach(next(feed))))
                self.seconds = time.perf_counter() - begun
                bar.update()
                rate = settings.batch * (self.step - first[0]) / (self.seconds - first[1])
                left = minutes_left(self.progress() - first[2], self.seconds - first[1], 1 - self.progress())
                bar.set_postfix_str(f"{rate:.1f} crops/s, {left:.0f} min left", refresh=False)
                if self.step - first[0] == SPEED_AFTER:
                    log.info("%.1f crops per second: about %.0f minutes left", rate, left)
                if self.step % settings.validate_every == 0 or self.progress() >= 1:
                    self._validate(losses)
                    log.info("%.1f crops per second, validation included: about %.0f minutes left", rate, left)
                    losses.clear()
                    saved = time.perf_counter()
                elif time.perf_counter() - saved > SAVE_EVERY_S:
                    self._save()
                    saved = time.perf_counter()
            if not self.history or self.history[-1]["step"] != self.step:  # interrupted before its last validation
                self._validate(losses)
        except KeyboardInterrupt as error:
            if self.step > first[0]:
                self._save()
            raise TryAgainError(
                f"Interrupted at step {self.step}; the same command goes on from there, and {self.out} can be removed "
                "if it is not wanted."
            ) from error
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
        loss = self._learn(images, targets)
        if not math.isfinite(loss):
            raise DataError(
                f"The loss became {loss} at step {self.step}; the last good weights are in {self.out}. "
                "Lower learning_rate, or look for damaged pictures."
            )
        self.step += 1
        if self.step % AVERAGE_EVERY == 0:
            self.average.update(self.model.get_weights(), self.step)
        return loss

    def _validate(self, losses: list[float]) -> None:
        loss = float(np.mean(losses)) if losses else math.nan
        self.judge.set_weights(self.average.values)
        found = self.task.score(self.judge)
        self.history.append({"step": self.step, "minutes": self.seconds / 60, "loss": loss, **found})
        log.info("step %d loss %.4f %s", self.step, loss, {key: round(value, 3) for key, value in found.items()})
        if found["score"] >= self.best:
            self._save_weights("best.weights.h5")
            self.best, self.scores = found["score"], found
        self._save_weights("last.weights.h5")
        self._save()
        record.write_history(self.out, self.history)
        record.write_picture(self.out / "examples.png", self.task.sheet(self.judge))

    def _save_weights(self, name: str) -> None:
        with replacing(self.out / name, checkpoint.room_for(self.average.values)) as part:
            self.judge.save_weights(part)

    def _save(self) -> None:
        state = checkpoint.Checkpoint(
            step=self.step, seconds=self.seconds, best=self.best, weights=self.model.get_weights(),
            ema=self.average.values, optimizer=[np.asarray(item) for item in self.model.optimizer.variables],
        )  # fmt: skip
        checkpoint.save(self.out / CHECKPOINT, state)

    def _way_out(self) -> str:
        """What to do about a checkpoint that cannot be used."""
        best = self.out / "best.weights.h5"
        anew = "move it away to train from the start"
        if not best.is_file():
            return anew
        return f"{anew}, or from a copy of {best}, the best weights so far, by naming the copy as [model] start_from"
