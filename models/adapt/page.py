"""The page of an adaptation: what changed on photographs of the structure that were kept apart."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edge.cracks.plausible import ReportOptions, reported_mask
from edge.masks import preprocess
from models import UNKNOWN, overlay, report, sites
from models.adapt.conversion import Learned
from models.adapt.intake import Parts, Photo
from models.adapt.judge import Side, Verdict
from models.checkpoint import replacing
from models.scoring import Scorer

Bool = npt.NDArray[np.bool_]

SHOWN = 8
"""Photographs that are shown, those that changed most first."""
WINDOW_PX = 640
"""Of a larger photograph the part of this size is shown where most changed."""
REFUSED = "Refused: the old bundle stays."
STYLE = "<style>.pair figure{max-width:38rem;flex:1 1 20rem}.pair{margin-bottom:1rem}.no{color:#d55e00}</style>"


def write(
    path: Path,
    base: str,
    name: str,
    parts: Parts,
    old: tuple[Scorer, Side],
    new: tuple[Scorer, Side],
    found: Verdict,
    learned: Learned,
) -> None:
    """Write the page; `old` and `new` are each bundle with what was measured of it. Raises TryAgainError."""
    sides = (old[1], new[1])
    title = f"{base}, adapted: {name}"
    head = "The new bundle is taken." if found.taken else f"<span class=no>{REFUSED}</span>"
    parts_ = [
        f"<h1>{html.escape(title)}</h1>{STYLE}<p><b>{head}</b> {html.escape(found.sentence[0].upper())}"
        f"{html.escape(found.sentence[1:])}.</p>",
        f"<p>{_count(parts.learn)} were learned from, {_count(parts.choose)} chose threshold and rule of reporting, "
        f"and {_count(parts.report)} did neither: every number and picture here is of those. All is counted after the "
        "reporting filter, as a drone would report it, and in brackets stands the 95 % interval over photographs.</p>",
        f"<p>Of the way from the old weights to the learned ones {learned.share:g} was gone. Of made pictures, which "
        f"show other things, {100 * learned.changed:.1f} % of the mask changed (1 less F1 at 2 px, new to old).</p>",
        _damaged(parts.damaged),
        report.table("Before and after", ["", "before", "after"], _rows(sides)),
        "<h2>Pictures</h2>" + report.colour_key() + "".join(_pictures(parts.report, old, new)),
    ]
    with replacing(path) as part:
        part.write_text(report.document(title, parts_), encoding="utf-8")


def tells_of_a_refusal(path: Path) -> bool:
    """Whether `path` is the page of an adaptation that left no bundle."""
    return path.is_file() and REFUSED in path.read_text(encoding="utf-8", errors="replace")


def _count(photos: Sequence[Photo]) -> str:
    cracked, groups = sum(photo.cracked for photo in photos), len({photo.example.group for photo in photos})
    return f"{groups} photos ({len(photos)} pictures, {cracked} with cracks)"


def _damaged(names: Sequence[str]) -> str:
    return f"<p>Left out, because they cannot be read: {html.escape(', '.join(names))}.</p>" if names else ""


def _rows(sides: tuple[Side, Side]) -> list[str]:
    tables = [sites.report(side.table, 0, None) for side in sides]
    words = {
        "f1_2px": "F1 at 2 px, photos with cracks",
        "f1": "F1, strict, the same",
        "hairline_recall": "hairlines found (labels under 3 px)",
    }
    rows = [
        _row(text, [_interval(one["cracked"][key]) if "cracked" in one else "–" for one in tables])
        for key, text in words.items()
    ]
    fires = [f"{side.fires[0]} of {side.fires[1]}" if side.fires[1] else "–" for side in sides]
    rows.append(_row("crack-free photos that fire", fires))
    rows.append(_row("rendered pictures, F1 at 2 px less half of what fires", [f"{side.kept:.3f}" for side in sides]))
    rows.append(_row("score threshold", [f"{side.setting.threshold:g}" for side in sides]))
    rows.append(_row("what is reported", [_rule(side.setting) for side in sides]))
    return rows


def _rule(setting: sites.Setting) -> str:
    if setting.rule is None:
        return f"by length, {setting.sure_length_px:g} px"
    return f"the card's rule, constant {setting.rule.constant:g}"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"<tr><td>{html.escape(name)}</td>" + "".join(f"<td>{cell}</td>" for cell in cells)


def _interval(score: dict[str, float]) -> str:
    return f"{score['value']:.3f} <small>[{score['low']:.3f}, {score['high']:.3f}]</small>"


def _pictures(photos: Sequence[Photo], old: tuple[Scorer, Side], new: tuple[Scorer, Side]) -> list[str]:
    made = []
    for photo in photos:
        pair = [_reported(scorer, side, photo) for scorer, side in (old, new)]
        made.append((int((pair[0] != pair[1]).sum()), photo, pair))
    made.sort(key=lambda one: -one[0])
    return [_pair(photo, pair) for _, photo, pair in made[:SHOWN]]


def _reported(scorer: Scorer, side: Side, photo: Photo) -> Bool:
    level = preprocess.threshold_code(side.setting.threshold)
    setting = side.setting
    options = ReportOptions(sure_length_px=setting.sure_length_px if setting.rule is None else None)
    found = reported_mask(scorer.score(photo.rgb), photo.rgb, level, options, rule=setting.rule)
    return np.asarray(found & ((photo.mask & UNKNOWN) == 0), np.bool_)


def _pair(photo: Photo, pair: Sequence[Bool]) -> str:
    top, left = _window(pair[0] != pair[1])
    part = np.s_[top : top + WINDOW_PX, left : left + WINDOW_PX]
    truth = (photo.mask & 1) > 0
    figures = []
    for when, found in zip(("before", "after"), pair, strict=True):
        drawn = overlay.compare(np.ascontiguousarray(photo.rgb[part]), found[part], truth[part])
        name = html.escape(photo.example.image.name)
        figures.append(
            f'<figure><img alt="{name}, {when}" src="data:image/jpeg;base64,{report.jpeg(drawn, WINDOW_PX)}">'
            f"<figcaption>{when} · {name}</figcaption></figure>"
        )
    return f'<div class="row pair">{"".join(figures)}</div>'


def _window(changed: Bool) -> tuple[int, int]:
    """Upper left corner of the window that holds most of what changed."""
    corner = []
    sums = cv2.boxFilter(
        changed.astype(np.float32), -1, (WINDOW_PX, WINDOW_PX), normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    for at, side in zip(np.unravel_index(int(np.argmax(sums)), changed.shape), changed.shape, strict=True):
        corner.append(max(0, min(int(at) - WINDOW_PX // 2, side - WINDOW_PX)))
    return corner[0], corner[1]
