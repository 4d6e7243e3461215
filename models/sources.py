"""From a configuration to pictures: list and split sources, keep near copies out, decode, refuse what cannot teach."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from models import DataError, Example, Label, batches, data, duplicates
from models.config import Config, LabelConfig, SourceConfig, ValidationConfig
from models.memory import check_memory
from models.task import DataSplit
from models.teacher import Teacher

log = logging.getLogger(__name__)


def split_sources(config: Config, root: Path) -> DataSplit:
    """List all examples and hold out part of the sources by photograph, the same for the same seed.

    A photograph that one set holds out or tests on is dropped from all sources, where index.csv names it.
    Pictures that look like a held-out one are dropped or refused, as [train] near_copies says. Raises DataError for
    folders that cannot be used, for a source of which nothing is left, and for near copies that are refused.
    """
    made = config.mix.rendered_cracks or config.mix.rendered_clean
    if not config.sources and not made:
        raise DataError("The configuration names no [[sources]] and renders nothing: there is nothing to learn from.")
    learned: dict[str, list[Example]] = {}
    held: dict[str, list[Example]] = {}
    for source in config.sources:
        learned[source.name], kept_out = data.split(_list(config, source, root), source.holdout, config.train.held_by)
        if not learned[source.name]:
            raise DataError(
                f"Source {source.name} is one photograph ({kept_out[0].group}) of {len(kept_out)} pictures, and its "
                f"holdout = {source.holdout:g} keeps all of it out of training: set holdout = 0, or tell its "
                "photographs apart in index.csv."
            )
        if kept_out:
            held[f"{source.name}/held"] = kept_out
    for item in config.validation:
        held[item.name] = _list(config, item, root)
    sets: tuple[SourceConfig | ValidationConfig, ...] = (*config.sources, *config.validation)
    labelled = {item.name: _labelled(config, item) for item in sets}
    labelled |= {f"{source.name}/held": labelled[source.name] for source in config.sources}
    learned, same_photo = _without_held_photos(config, root, learned, held)
    learned, dropped = _without_copies(config, root, learned, held)
    return DataSplit(train=learned, held=held, labelled=labelled, dropped=dropped, same_photo=same_photo)


def copies_in(config: Config, root: Path) -> list[duplicates.Copy]:
    """List the training pictures of a configuration that look like a validation or test picture."""
    import dataclasses

    keep = dataclasses.replace(config, train=dataclasses.replace(config.train, near_copies="keep"))
    parts = split_sources(keep, root)
    return _find_copies(config, root, parts.train, parts.held)


def load_mix(config: Config, parts: DataSplit, teacher: Teacher | None, shuffle: int, stride: int) -> batches.Mix:
    """Decode all training pictures.

    Raises DataError for one that cannot be used, for a class without a pixel, and where they do not fit in memory.
    """
    check_memory(parts.train)
    rng = np.random.default_rng(config.train.seed)
    sources = [_load(item, parts, teacher, rng) for item in config.sources]
    mix = batches.Mix(
        sources=sources, crop_px=config.crop_px, shuffle=shuffle, stride=stride, classes=len(config.model.classes),
        rendered_cracks=config.mix.rendered_cracks, rendered_clean=config.mix.rendered_clean,
        lookalikes_on_cracked=config.mix.lookalikes_on_cracked, lookalikes_on_clean=config.mix.lookalikes_on_clean,
        pasted_cracks=config.mix.pasted_cracks,
        gentle=config.mix.gentle,
    )  # fmt: skip
    shares = [*(source.weight for source in sources), mix.rendered_cracks, mix.rendered_clean, mix.pasted_cracks]
    if min(shares) < 0 or not sum(shares):
        raise DataError(f"The weights of [[sources]] and [mix] are 0 or more and not all 0, got {shares}.")
    _check_classes(mix, config.model.classes)
    return mix


def _list(config: Config, item: SourceConfig | ValidationConfig, root: Path) -> list[Example]:
    labels = [_label(config, item, label, root) for label in item.labels]
    masks = root / item.masks if item.masks is not None and not labels else None
    return data.find_examples(root / item.images, masks, root, labels)


def _label(config: Config, item: SourceConfig | ValidationConfig, label: LabelConfig, root: Path) -> Label:
    folder = label.masks if label.masks is not None else item.masks
    return Label(index=config.model.classes.index(label.name), path=root / str(folder), value=label.value)


def _labelled(config: Config, item: SourceConfig | ValidationConfig) -> int:
    """Classes whose labels are complete in a set, as bits; pictures without masks are known to be free of all."""
    if item.labels:
        return sum({1 << config.model.classes.index(label.name) for label in item.labels})
    return 1 if item.masks is not None else batches.EVERY_CLASS


def _load(item: SourceConfig, parts: DataSplit, teacher: Teacher | None, rng: np.random.Generator) -> batches.Source:
    examples, labelled = parts.train[item.name], parts.labelled[item.name]
    if item.pseudo_confidence is None or teacher is None:
        return batches.load_source(item.name, examples, item.weight, item.looseness_px, rng, labelled)
    pairs = teacher.draw(examples, item.pseudo_confidence)
    drawn = sum(bool((mask & 1).any()) for _, mask in pairs)
    log.info("%s: the teacher drew damage on %d of %d pictures", item.name, drawn, len(pairs))
    return batches.Source(
        name=item.name, weight=item.weight, looseness_px=item.looseness_px, clean=False,
        pictures=[batches.picture(rgb, mask, rng) for rgb, mask in pairs], labelled=labelled,
    )  # fmt: skip


def _check_classes(mix: batches.Mix, names: tuple[str, ...]) -> None:
    present = {0} if mix.rendered_cracks else set[int]()
    sound = bool(mix.rendered_clean)
    for source in mix.sources:
        for _, mask, _ in source.pictures:
            found = data.classes_in(mask)
            present |= found
            sound = sound or not found
    absent = [name for index, name in enumerate(names) if index not in present]
    if absent:
        raise DataError(
            f"No training picture holds a pixel of class {absent[0]!r}: look at its masks, or take it out of classes."
        )
    if not sound:
        log.warning("every training picture holds damage: without sound ones a network learns to see it everywhere")


def _without_held_photos(
    config: Config, root: Path, learned: dict[str, list[Example]], held: dict[str, list[Example]]
) -> tuple[dict[str, list[Example]], dict[str, int]]:
    """Drop what is of a photograph that another set holds out: each source was split by itself."""
    unseen = [*held.values(), *_tests(config, root)]
    photos = {one.group for examples in unseen for one in examples if one.listed}
    kept = {
        name: [one for one in examples if not (one.listed and one.group in photos)]
        for name, examples in learned.items()
    }
    return kept, _dropped(learned, kept, "are of photographs that another set holds out")


def _dropped(before: dict[str, list[Example]], kept: dict[str, list[Example]], why: str) -> dict[str, int]:
    """Count what was dropped, per source, and tell it. Raises DataError for a source of which nothing is left."""
    dropped = {name: len(before[name]) - len(kept[name]) for name in kept if len(before[name]) > len(kept[name])}
    for name, count in dropped.items():
        log.warning("%s: %d pictures %s and are not learned from", name, count, why)
        if not kept[name]:
            raise DataError(f"All pictures of source {name} {why}: nothing is left to learn.")
    return dropped


def _tests(config: Config, root: Path) -> list[list[Example]]:
    return [data.find_examples(root / item.images, None, root) for item in config.test]


def _without_copies(
    config: Config, root: Path, learned: dict[str, list[Example]], held: dict[str, list[Example]]
) -> tuple[dict[str, list[Example]], dict[str, int]]:
    if config.train.near_copies == "keep":
        return learned, {}
    copies = _find_copies(config, root, learned, held)
    if not copies:
        return learned, {}
    first = copies[0]
    if config.train.near_copies == "refuse":
        raise DataError(
            f"{len(copies)} training pictures look like a held-out one, first {first.picture} like {first.like}; "
            "take them out, or set near_copies = 'drop' in [train]."
        )
    gone = {copy.picture for copy in copies}
    kept = {name: [one for one in examples if one.image not in gone] for name, examples in learned.items()}
    return kept, _dropped(learned, kept, "look like a held-out one")


def _find_copies(
    config: Config, root: Path, learned: dict[str, list[Example]], held: dict[str, list[Example]]
) -> list[duplicates.Copy]:
    kept_out = [one.image for examples in (*held.values(), *_tests(config, root)) for one in examples]
    pictures = [one.image for examples in learned.values() for one in examples]
    if not kept_out or not pictures:
        return []
    return duplicates.near_copies(duplicates.fingerprint(pictures), duplicates.fingerprint(kept_out))
