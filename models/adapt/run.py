"""`python -m models adapt`: teach a bundle one structure from a few labelled photographs, or refuse to.

Beside the new bundle `OUT` stand its float weights (`OUT.weights.h5`, `OUT.json`) and a page of before and after
(`OUT.html`). Until all is done everything lies in `OUT.work`: a checkpoint each minute, from which the same command
goes on. The old bundle is only read.
"""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.support.errors import TryAgainError
from models import DataError, batches, checkpoint, native_torch, sites
from models.adapt import conversion, intake, judge, masks, page, start
from models.adapt.conversion import Learned, Made
from models.adapt.intake import Parts, Photo
from models.adapt.places import CHECKPOINT, Places
from models.adapt.start import Base
from models.checkpoint import replacing
from models.memory import check_memory
from models.scoring import open_scorer
from models.written import FULL

log = logging.getLogger(__name__)

SAVE_EVERY_S = 60.0
CROP_PX = 256
"""Side of what the network sees while it learns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What the command line asks for."""

    bundle: Path
    data: Path
    out: Path
    minutes: float = 15.0
    """Of learning, on the clock; choosing, quantising and measuring come on top."""
    held: Path | None = None
    """Folder of photographs to choose on and to report, like `data`; None keeps a third of `data` apart."""
    steps: int | None = None
    """Learning ends after so many steps if the minutes have not ended it; None: the minutes alone."""
    may_change: float = 0.02
    """How much the masks of made pictures, which are no pictures of the structure, may change: 1 less their F1 at 2 px
    against the old ones. The new weights go as far as this allows."""
    weights: Path | None = None
    key: Path | None = None
    password_file: Path | None = None
    seed: int = 1

    @property
    def places(self) -> Places:
        """Where it writes."""
        return Places(self.out)


class RefusedError(DataError):
    """The adapted bundle is not better; the old one stays."""


def adapt(request: Request) -> dict[str, Any]:
    """Adapt, and return what was found. Raises RefusedError where the new bundle is not better.

    Raises DataError and BundleError for input that cannot be used, TryAgainError for a full disk and an interruption.
    """
    _check(request)
    try:
        return _adapt(request)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise TryAgainError(
            f"{error.filename or request.places.work}: the disk is full; the old bundle is untouched: make room "
            "and run the same command again, it goes on from the last checkpoint."
        ) from error


def _adapt(request: Request) -> dict[str, Any]:
    base = start.open_base(request.bundle, request.weights)
    places = request.places
    options = [request.minutes, request.steps, request.seed, request.may_change]
    folders = [path for path in (request.data, request.held) if path is not None]
    places.begin(base.weights, folders, [str(option) for option in options])
    work, bundle, name = places.work, places.bundle, request.out.name
    parts = _read(request, work)
    old = open_scorer(request.bundle)
    masks.check_masks(parts.learn, old.score)
    made = conversion.finished(bundle)
    if made is None:
        made = _make(request, base, parts, bundle)
    setting = made.setting
    new = open_scorer(bundle)
    before = judge.side(old, parts.report, base.setting)
    after = judge.side(new, parts.report, setting)
    found = judge.verdict(before, after)
    drawn, shown = places.working(".html"), places.beside(".html")
    page.write(drawn, base.card.name, name, parts, (old, before), (new, after), found, made.learned)
    if not found.taken:
        drawn.replace(shown)
        raise RefusedError(f"{request.bundle} stays as it is: {found.sentence}. The page {shown} shows where.")
    if request.key is not None:
        word = [] if request.password_file is None else ["--password-file", str(request.password_file.resolve())]
        conversion.run(work, "sign", name, "--key", str(request.key.resolve()), *word)
    places.put_in_place()
    log.info("%s", found.sentence)
    return {
        "bundle": str(request.out), "page": str(shown), "signed": request.key is not None,
        "steps": made.learned.steps, "share": made.learned.share,
        "f1_2px": {"before": round(before.f1, 4), "after": round(after.f1, 4)}, "less_error": found.less_error,
        "fires": {"before": before.fires, "after": after.fires},
        "rendered": {"before": round(before.kept, 4), "after": round(after.kept, 4)},
        "score_threshold": setting.threshold, "report_rule": None if setting.rule is None else asdict(setting.rule),
        "damaged": list(parts.damaged),
    }  # fmt: skip


def _make(request: Request, base: Base, parts: Parts, bundle: Path) -> Made:
    """Learn, choose and convert."""
    learned = _learn(request, base, parts, bundle.parent)
    setting = _choose(base, parts, bundle.parent)
    command = f"python -m models adapt {request.bundle.name} --minutes {request.minutes:g}"
    facts = {"command": command, "seed": request.seed, "minutes": request.minutes}
    made = Made(setting=setting, learned=learned)
    conversion.write_weights(base, parts, bundle, made, facts)
    conversion.convert(base, parts, bundle, made, request.seed)
    return made


def _check(request: Request) -> None:
    if not 0 < request.minutes <= 600:
        raise DataError(f"--minutes is above 0 and at most 600, not {request.minutes:g}.")
    if not 0 <= request.may_change <= 1:
        raise DataError(f"--may-change is from 0 to 1, not {request.may_change:g}.")
    if request.steps is not None and request.steps < 1:
        raise DataError(f"--steps is 1 or more, not {request.steps}; without it the minutes decide.")
    if request.seed < 0:
        raise DataError(f"--seed is 0 or more, not {request.seed}.")
    request.places.check_free()
    if request.key is not None and not request.key.is_file():
        raise DataError(f"The key {request.key} does not exist; make one with python -m convert keys.")
    if importlib.util.find_spec("torch") is None:
        raise DataError(
            "Adapting learns with PyTorch, which is not installed: pip install --upgrade pip && pip install --group "
            "torch."
        )


def _read(request: Request, work: Path) -> Parts:
    found = intake.find(request.data, work / "labels")
    apart = None if request.held is None else intake.find(request.held, work / "held-labels")
    check_memory({f"--data {request.data}": found, f"--held {request.held}": apart or []})
    mine = intake.read(request.data, found)
    held = None if request.held is None or apart is None else intake.read(request.held, apart)
    parts = intake.share_out(mine, held)
    log.info(
        "%d pictures to learn from, %d to choose threshold and rule on, %d to report%s", len(parts.learn),
        len(parts.choose), len(parts.report), f"; left out, damaged: {', '.join(parts.damaged)}" * bool(parts.damaged),
    )  # fmt: skip
    return parts


def mix_of(photos: Sequence[Photo]) -> batches.Mix:
    """How own crops are made: mostly the photographs, their cracks on other ground of them now and then."""
    rng = np.random.default_rng(1)
    cracked = [batches.picture(photo.rgb, photo.mask, rng) for photo in photos if photo.cracked]
    sound = [batches.picture(photo.rgb, photo.mask, rng) for photo in photos if not photo.cracked]
    found = [batches.Source(name="cracked", weight=0.6, looseness_px=1, clean=False, pictures=cracked)]
    if sound:
        found.append(batches.Source(name="sound", weight=0.2, looseness_px=0, clean=True, pictures=sound))
    return batches.Mix(
        sources=found, crop_px=CROP_PX, shuffle=4, rendered_cracks=0.05, rendered_clean=0.0, pasted_cracks=0.15,
        lookalikes_on_cracked=0.2, lookalikes_on_clean=0.3, gentle=0.6,
    )  # fmt: skip


def _learn(request: Request, base: Base, parts: Parts, work: Path) -> Learned:
    """Learn for the minutes that are asked for, less those before an interruption, and go part of the way."""
    from tqdm import tqdm

    from models.adapt import learn, replay

    threads = native_torch.use_free_cores()
    mix = mix_of(parts.learn)
    log.info("rendering what must not be forgotten, and what %s says of it", base.card.name)
    first_net = learn.build(base.size, base.arrays)
    kept_to = replay.make_replay(first_net, mix, request.seed)
    learner = learn.Learner(base.size, base.arrays, mix, kept_to, request.seed)
    saved, done = work / CHECKPOINT, 0.0
    if saved.is_file():
        state = checkpoint.load(saved, "remove it, and the same command learns from the start")
        learner.restore(state)
        done = state.seconds
        log.info("going on after step %d, %.1f of %g minutes", learner.step, done / 60, request.minutes)
    limit, first = 60 * request.minutes, learner.step
    log.info("learning for %.1f minutes on %d threads, in float32", max(limit - done, 0) / 60, threads)
    feed = batches.stream(learner.batch, learner.step)
    bar = tqdm(total=round(limit), initial=round(done), unit="s", mininterval=2,
               bar_format="{percentage:3.0f}% |{bar}| {remaining} left{postfix}")  # fmt: skip
    begun, kept = time.perf_counter() - done, time.perf_counter()
    try:
        while (progress := _progress(request, learner.step, time.perf_counter() - begun)) < 1:
            loss = learner.learn(next(feed), progress)
            crops = learn.OWN * (learner.step - first) / max(time.perf_counter() - begun - done, 1e-9)
            bar.set_postfix_str(f"step {learner.step}, loss {loss:.2f}, {crops:.1f} own crops/s", refresh=False)
            bar.update(min(round(time.perf_counter() - begun), bar.total) - bar.n)
            if time.perf_counter() - kept > SAVE_EVERY_S:
                checkpoint.save(saved, learner.state(time.perf_counter() - begun))
                kept = time.perf_counter()
    except KeyboardInterrupt as error:
        if learner.step:  # before the first step there is nothing to go on from
            checkpoint.save(saved, learner.state(time.perf_counter() - begun))
        raise TryAgainError(
            f"Interrupted at step {learner.step}; the same command goes on from there, and {work} can be removed "
            "if it is not wanted."
        ) from error
    finally:
        bar.close()
        feed.close()
    checkpoint.save(saved, learner.state(time.perf_counter() - begun))
    held = replay.make_replay(first_net, mix, request.seed, replay.HELD, series=1)
    arrays, share, changed = learner.result(held, base.threshold, request.may_change)
    log.info("%g of the way is gone: masks of made pictures change by %.1f %%", share, 100 * changed)
    model = start.to_model(base, arrays)
    with replacing(work / "candidate.keras", checkpoint.room_for(model.get_weights())) as part:
        model.save(part)
    return Learned(steps=learner.step, share=share, changed=round(changed, 4))


def _progress(request: Request, step: int, seconds: float) -> float:
    """Share of the learning that is done, by time or by steps, whichever is further; one step is always learned."""
    if step == 0:
        return 0.0
    return max(seconds / (60 * request.minutes), step / request.steps if request.steps else 0.0)


def _choose(base: Base, parts: Parts, work: Path) -> sites.Setting:
    log.info("choosing threshold and rule of reporting on %d photos", len(parts.choose))
    scorer = open_scorer(work / "candidate.keras", threshold=base.threshold)
    return judge.choose(scorer, parts.choose, base.setting)
