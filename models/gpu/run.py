"""Train the teacher and its students together, within a time budget, and save on the way.

Two halves. The first never sees the held-out sites and is what they are measured with; the second goes on from its
averaged weights with all pictures. In each half the teacher learns first; then it is frozen and teaches, looking at
every crop at several sizes. The students learn from the first minute, from labels, later from both. Everything a run
leaves: `seen-NAME.npz` and `NAME.npz` (students, half precision: averaged weights of the first half and of the end),
`teacher.pt`, `log.jsonl`.
"""

from __future__ import annotations

import copy
import math
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models import DataError
from models.checkpoint import replacing
from models.gpu import judge
from models.gpu.bank import Bank, chosen, load_bank
from models.gpu.inputs import Inputs, Networks, read_networks
from models.gpu.journal import Journal
from models.gpu.learner import Learner
from models.gpu.losses import cl_dice_loss, label_loss, peak_loss, teacher_loss, thin_weight
from models.gpu.packed import read_packs
from models.gpu.pool import Pool
from models.gpu.recipe import Recipe
from models.gpu.rendered import rendered_once
from models.gpu.scenes import Batch, Scenes
from models.native_torch import has_bfloat16

REPORT_EVERY = 50
SAVE_EVERY = 200
SECONDS_TO_END = 4.0
"""Kept back at the end of a half, to judge and to save."""
SECOND_RATE = 0.6
"""Learning rates of the second half, which starts from trained weights, relative to the first."""
LABELS_BESIDE_TEACHER = 0.6
"""Weight of the labels once the teacher teaches."""


def start(recipe: Recipe, inputs: Inputs, out: Path, seconds: float, device: torch.device, threads: int) -> None:
    """Run a recipe for about `seconds`, all told.

    Raises DataError for files that do not fit, before anything is rendered, and where `out` holds another run.
    """
    begun = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    journal = Journal(out / "log.jsonl", begun)
    journal.write(event="began", versions=versions(), device=str(device))
    packed, networks = chosen(read_packs(inputs.packs), recipe), read_networks(recipe, inputs)
    for name, count in networks.taken.items():
        journal.write(event="started", network=name, tensors=count)
    rendered = rendered_once(inputs.rendered, recipe, threads)
    journal.write(event="rendered")
    bank = load_bank(packed, recipe, device, threads)
    del packed
    journal.write(event="loaded", pictures=len(bank.names))
    scenes = Scenes(recipe, bank, rendered, recipe.run.seed)
    training = Training(recipe, networks, bank, scenes, out, journal)
    ready = time.monotonic() - begun
    left = seconds - ready
    training.half("seen", ready + left * recipe.run.unseen_share, first=True)
    if recipe.run.unseen_share < 1:
        training.half("all", seconds, first=False)


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape a result."""
    return {
        "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
        "opencv": cv2.__version__,
    }  # fmt: skip


class Training:
    """The networks of one run."""

    def __init__(
        self, recipe: Recipe, networks: Networks, bank: Bank, scenes: Scenes, out: Path, journal: Journal
    ) -> None:
        self._recipe, self._bank, self._scenes, self._out, self._journal = recipe, bank, scenes, out, journal
        self._device, run = bank.canvases.device, recipe.run
        self._half = self._device.type == "cuda" or has_bfloat16()
        self._teacher = Learner(self._place(networks.teacher), run.teacher_rate, run.weight_decay, run.ema)
        self._pool = self._frozen_pool(networks.frozen) if networks.frozen else None
        self._students = {
            name: Learner(self._place(small), run.student_rate, run.weight_decay, run.ema)
            for name, small in networks.students.items()
        }
        self._elder: nn.Module | None = None
        if networks.elder is not None:
            self._elder = self._place(networks.elder).eval().requires_grad_(False)

    def _frozen_pool(self, nets: Sequence[nn.Module]) -> Pool:
        run = self._recipe.run
        together = self._place(Together(nets)).eval().requires_grad_(False)
        return Pool(
            self._scenes, lambda rgb: self._answer(together, rgb, run.teacher_scales), run.crop_px, run.pool, run.reuse,
            run.seed,
        )  # fmt: skip

    def half(self, name: str, until: float, *, first: bool) -> None:
        """Train to `until` seconds after the start; judge the held-out site and save.

        Raises DataError for a loss that is not finite; the weights saved before stay.
        """
        run = self._recipe.run
        self._scenes.use(held=not first)
        before: nn.Module | None = None
        if not first:
            before = copy.deepcopy(self._teacher.average)
            for learner in (self._teacher, *self._students.values()):
                learner.begin(SECOND_RATE)
        begun, prefix = self._journal.seconds(), "seen-" if first else ""
        span = max(1e-3, until - begun - SECONDS_TO_END)
        step, sums = 0, {key: torch.zeros((), device=self._device) for key in ("teacher", *self._students)}
        while (progress := (self._journal.seconds() - begun) / span) < 1:
            for key, loss in self._step(progress, before).items():
                sums[key] += loss
            step += 1
            if step % REPORT_EVERY == 0:
                self._report(name, step, progress, sums)
            if step % SAVE_EVERY == 0:
                self._save(prefix)
                self._journal.write(half=name, step=step, event="saved", crops=step * run.batch)
        self._save(prefix)
        self._journal.write(half=name, step=step, event="trained", crops=step * run.batch)
        if first:
            self._judge(name)

    def _step(self, progress: float, before: nn.Module | None) -> dict[str, Tensor]:
        """Learn one batch at `progress` (0 to 1) of a half; `before` teaches while the teacher itself learns."""
        run = self._recipe.run
        losses: dict[str, Tensor] = {}
        target: Tensor | None = None
        if self._pool is not None:
            batch, target = self._pool.draw(run.batch)
        else:
            batch = self._scenes.batch(run.batch, run.crop_px)
        rgb = batch.rgb.contiguous(memory_format=torch.channels_last)
        weight = batch.weight * thin_weight(batch.crack)
        if self._pool is not None:
            pass
        elif progress < run.teach_share:
            with self._autocast():
                logits = self._teacher.net(rgb)
            loss = self._label_loss(logits.float(), batch, weight)
            self._teacher.learn(loss, progress / run.teach_share)
            losses["teacher"] = loss.detach()
            if before is not None:
                target = self._answer(before, rgb, (1.0,))
        else:
            target = self._answer(self._teacher.average, rgb, run.teacher_scales)
            if before is not None and self._elder is not None:
                target = (2 * target + self._answer(self._elder, rgb, (1.0,))) / 3
        if target is not None:
            target = batch.corrected(target)  # what a pool gives is corrected already
        for key, learner in self._students.items():
            with self._autocast():
                logits = learner.net(rgb)
            loss = self._label_loss(logits.float(), batch, weight)
            if target is not None:
                loss = LABELS_BESIDE_TEACHER * loss + run.distill * teacher_loss(logits.float(), target)
            learner.learn(loss, progress)
            losses[key] = loss.detach()
        return losses

    def _label_loss(self, logits: Tensor, batch: Batch, weight: Tensor) -> Tensor:
        loss, run = label_loss(logits, batch, weight), self._recipe.run
        if run.cl_dice:
            loss = loss + run.cl_dice * cl_dice_loss(logits, batch, run.cl_dice_iterations)
        return loss + run.sound_peaks * peak_loss(logits, batch) if run.sound_peaks else loss

    def _report(self, half: str, step: int, progress: float, sums: dict[str, Tensor]) -> None:
        means = {key: float(value) / REPORT_EVERY for key, value in sums.items()}
        self._journal.write(
            half=half, step=step, progress=round(progress, 3), loss={key: round(one, 4) for key, one in means.items()}
        )
        lost = [key for key, one in means.items() if not math.isfinite(one)]
        if lost:
            raise DataError(
                f"The loss of {lost[0]} is no longer finite at step {step}; what was saved before is in {self._out}. "
                "Lower teacher_rate or student_rate."
            )
        for value in sums.values():
            value.zero_()

    def _judge(self, half: str) -> None:
        nets: dict[str, nn.Module] = {key: one.average for key, one in self._students.items()}
        if self._pool is None:
            nets = {"teacher": self._teacher.average, **nets}
        for key, net in nets.items():
            # pictures of many sizes: trying algorithms for each would take longer than running any of them
            with torch.backends.cudnn.flags(benchmark=False), self._autocast():
                found = judge.score(net, self._bank, self._recipe)
            self._journal.write(half=half, event="judged", network=key, **found)

    def _answer(self, net: nn.Module, rgb: Tensor, scales: tuple[float, ...]) -> Tensor:
        """Scores (n, 1, H, W) of the teacher: the mean of its logits at several sizes."""
        size, total = rgb.shape[-1], torch.zeros_like(rgb[:, :1])
        with torch.no_grad(), self._autocast():
            for scale in scales:
                side = round(size * scale / 32) * 32
                look = rgb
                if side != size:
                    shrinks = side < size
                    look = functional.interpolate(
                        rgb, (side, side), mode="bilinear", align_corners=False, antialias=shrinks
                    )
                logits = net(look).float()
                if side != size:
                    logits = functional.interpolate(logits, (size, size), mode="bilinear", align_corners=False)
                total += logits
        return torch.sigmoid(total / len(scales))

    def _save(self, prefix: str) -> None:
        for key, learner in self._students.items():
            arrays = {name: value.cpu().numpy() for name, value in learner.average.state_dict().items()}
            with replacing(self._out / f"{prefix}{key}.npz") as part, part.open("wb") as stream:
                np.savez(stream, **{name: _half(value) for name, value in arrays.items() if value.ndim})
        if self._pool is not None:
            return  # the teacher was frozen, and not learned here
        state = {name: value.half() if value.is_floating_point() else value
                 for name, value in self._teacher.average.state_dict().items()}  # fmt: skip
        with replacing(self._out / f"{prefix}teacher.pt") as part:
            torch.save(state, part)

    def _place(self, net: nn.Module) -> nn.Module:
        return net.to(self._device, memory_format=torch.channels_last)

    def _autocast(self) -> Any:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._half)


class Together(nn.Module):
    """Several networks that answer as one, by the mean of their logits."""

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self._nets = nn.ModuleList(nets)

    def forward(self, rgb: Tensor) -> Tensor:
        """Return logits (n, 1, H, W), float32, of pictures (n, 3, H, W) in 0..1."""
        return torch.stack([net(rgb).float() for net in self._nets]).mean(0)


def _half(values: Any) -> Any:
    return values.astype(np.float16) if values.dtype == np.float32 else values
