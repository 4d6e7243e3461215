"""The evaluation as a page for people: one self-contained HTML file, and the same numbers as JSON beside it."""

from __future__ import annotations

import base64
import html
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge.masks import preprocess
from models import metrics, overlay
from models.data import plane, read_example
from models.evaluate import DEFINITIONS, Look, precision_recall, summary
from models.scoring import Scorer

log = logging.getLogger(__name__)

UInt8 = npt.NDArray[np.uint8]

SHOWN = 6
"""Pictures in each row of worst, best and firing ones."""
PICTURE_PX = 420

_SCORES = {
    "f1": "F1", "precision": "precision", "recall": "recall", "iou": "IoU", "f1_2px": "F1 at 2 px",
    "cl_iou_4px": "clIoU at 4 px",
}  # fmt: skip
# Okabe and Ito's palette (2008), distinguishable without red-green vision.
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:82rem;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.2rem}h3{font-size:1rem;margin-bottom:.3rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.25rem .45rem;border-bottom:1px solid #d7dce1;white-space:nowrap}
th:first-child,td:first-child{text-align:left}small{color:#5a6570}
.row{display:flex;flex-wrap:wrap;gap:.8rem}figure{margin:0;max-width:12rem}figure img{max-width:100%;display:block}
figcaption{font-size:12px;color:#5a6570;overflow-wrap:anywhere}dt{font-weight:600}dd{margin:0 0 .4rem 0}
.key span{padding:.05rem .5rem;color:#fff;border-radius:3px;margin-right:.4rem}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """One data set, looked at."""

    name: str
    looks: Sequence[Look]
    """Pictures with masks."""
    negatives: Sequence[Look]
    """Crack-free pictures without masks."""
    damaged: Sequence[str] = ()
    """Names of pictures that could not be read, and so are in neither."""


def write_report(out: Path, scorer: Scorer, sets: Sequence[Scored]) -> None:
    """Write `out`/index.html, which needs nothing else, and `out`/report.json: per set the numbers, the
    precision-recall curve and the counts of every picture.
    """
    out.mkdir(parents=True, exist_ok=True)
    found = {one.name: {**summary(one.looks, one.negatives), "damaged": list(one.damaged)} for one in sets}
    curves = {one.name: precision_recall(one.looks) for one in sets if any(item.cracked for item in one.looks)}
    content = {
        "model": scorer.name, "threshold": scorer.threshold, "definitions": DEFINITIONS,
        "sets": {
            one.name: {
                **found[one.name], "precision_recall": curves.get(one.name),
                "pictures": [_row(item) for item in (*one.looks, *one.negatives)],
            }
            for one in sets
        },
    }  # fmt: skip
    (out / "report.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (out / "index.html").write_text(_page(scorer, sets, found, curves), encoding="utf-8")
    log.info("report written to %s", out / "index.html")


def f1_of(look: Look) -> float:
    """Strict F1 of one picture."""
    counts = look.counts
    return 2 * counts.true_positive / max(2 * counts.true_positive + counts.false_positive + counts.false_negative, 1)


def _row(look: Look) -> dict[str, Any]:
    return {"image": look.example.image.name, "f1": round(f1_of(look), 4) if look.cracked else None} | {
        name: getattr(look.counts, name) for name in metrics.NAMES
    }


def _page(
    scorer: Scorer, sets: Sequence[Scored], found: Mapping[str, Any], curves: Mapping[str, list[dict[str, float]]]
) -> str:
    title = f"Evaluation of {scorer.name}"
    parts = [
        f"<h1>{html.escape(title)}</h1><p>Score threshold {scorer.threshold:g}, fixed with the weights and not chosen "
        "on these pictures. Scores are of the crack class alone; in brackets the 95 % bootstrap interval over "
        "images.</p>",
        _scores_table("Pooled over all pixels of a set", "pooled", found),
        _scores_table("Mean over images that hold a crack", "per_image", found),
        _images_table(found),
    ]
    if curves:
        parts.append("<h2>Precision and recall over all thresholds</h2>" + _curve(curves, found))
    parts += [_pictures(scorer, one) for one in sets]
    words = "".join(f"<dt>{html.escape(key)}</dt><dd>{html.escape(text)}</dd>" for key, text in DEFINITIONS.items())
    parts.append(f"<h2>Definitions</h2><dl>{words}</dl>")
    return document(title, parts)


def document(title: str, parts: Sequence[str]) -> str:
    """One self-contained HTML page of `parts`; the title is escaped here."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>{"".join(parts)}</html>\n'
    )


def _scores_table(title: str, group: str, found: Mapping[str, Any]) -> str:
    rows = []
    for name, numbers in found.items():
        if numbers[group] is None:
            continue
        cells = "".join(f"<td>{_with_interval(numbers[group][key])}</td>" for key in _SCORES)
        rows.append(
            f"<tr><td>{html.escape(name)}</td><td>{numbers['images']}</td><td>{numbers['images_with_crack']}</td>{cells}"
        )
    if not rows:
        return ""
    return table(title, ["set", "images", "with crack", *_SCORES.values()], rows)


def _images_table(found: Mapping[str, Any]) -> str:
    rows = []
    for name, numbers in found.items():
        cracked, clean = numbers["found"], numbers["crack_free"]
        cells = [
            _count(cracked, "found", "share"), _count(cracked["reported"], "found", "share"),
            _count(clean, "fires", "share"), _count(clean, "fires_blob", "share_blob"),
            _count(clean["reported"], "fires", "share"),
        ]  # fmt: skip
        rows.append(f"<tr><td>{html.escape(name)}</td>" + "".join(f"<td>{cell}</td>" for cell in cells))
    head = ["set", "cracked found", "after filter", "crack-free that fire", "with a blob", "after filter"]
    return table("Images", head, rows)


def table(title: str, head: Sequence[str], rows: Sequence[str]) -> str:
    """A heading and a table; `head` is escaped here, each of `rows` is `<tr>` and its cells."""
    names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(f"{row}</tr>" for row in rows)
    return f'<h2>{html.escape(title)}</h2><div class="scroll"><table><tr>{names}</tr>{body}</table></div>'


def _with_interval(score: Mapping[str, float]) -> str:
    return f"{score['value']:.3f} <small>[{score['low']:.3f}, {score['high']:.3f}]</small>"


def _count(group: Mapping[str, Any] | None, key: str, share: str) -> str:
    if group is None or not group["images"]:
        return "–"
    low, high = (100 * group[share][end] for end in ("low", "high"))
    part = 100 * group[share]["value"]
    return f"{group[key]} of {group['images']}: {part:.1f} % <small>[{low:.1f}, {high:.1f}]</small>"


def _curve(curves: Mapping[str, list[dict[str, float]]], found: Mapping[str, Any]) -> str:
    """Draw the curves as SVG, recall to the right and precision upwards, with a dot at the threshold in use."""
    side, edge = 420, 45
    lines, key = [], []
    for i, (name, points) in enumerate(curves.items()):
        colour = _LINES[i % len(_LINES)]
        path = " ".join(f"{edge + side * p['recall']:.1f},{edge + side * (1 - p['precision']):.1f}" for p in points)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        used = found[name]["pooled"]
        x, y = edge + side * used["recall"]["value"], edge + side * (1 - used["precision"]["value"])
        lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>')
        spot = f'<rect x="{side + edge + 20}" y="{edge + 22 * i}" width="16" height="4" fill="{colour}"/>'
        label = f'<text x="{side + edge + 44}" y="{edge + 6 + 22 * i}">{html.escape(name)}</text>'
        key.append(spot + label)
    grid = "".join(
        f'<path d="M{edge + side * t:.0f} {edge}v{side}M{edge} {edge + side * t:.0f}h{side}" stroke="#d7dce1"/>'
        f'<text x="{edge + side * t:.0f}" y="{edge + side + 18}" text-anchor="middle">{t:g}</text>'
        f'<text x="{edge - 8}" y="{edge + side * (1 - t) + 4:.0f}" text-anchor="end">{t:g}</text>'
        for t in (0, 0.2, 0.4, 0.6, 0.8, 1)
    )
    names = (
        f'<text x="{edge + side / 2}" y="{edge + side + 38}" text-anchor="middle">recall</text>'
        f'<text transform="translate(14 {edge + side / 2}) rotate(-90)" text-anchor="middle">precision</text>'
    )
    return (
        f'<svg viewBox="0 0 {side + edge + 280} {side + edge + 50}" style="max-width:48rem" font-size="13" role="img" '
        f'aria-label="precision-recall curves">{grid}{names}{"".join(lines)}{"".join(key)}</svg>'
    )


def _pictures(scorer: Scorer, one: Scored) -> str:
    cracked = sorted((item for item in one.looks if item.cracked), key=f1_of)
    clean = [item for item in (*one.looks, *one.negatives) if not item.cracked and item.counts.false_positive]
    clean.sort(key=lambda item: -item.counts.false_positive)
    best = [item for item in reversed(cracked) if item not in cracked[:SHOWN]][:SHOWN]
    rows = [
        _figures(scorer, title, chosen)
        for title, chosen in (
            ("Worst", cracked[:SHOWN]), ("Best", best), ("Crack-free, and fires most", clean[:SHOWN])
        )
        if chosen
    ]  # fmt: skip
    if not rows:
        return ""
    return f"<h2>{html.escape(one.name)}</h2>{colour_key()}{''.join(rows)}"


def colour_key() -> str:
    """What the colours of `overlay.compare` mean."""
    colours = zip((overlay.RIGHT, overlay.FALSE, overlay.MISSED), ("found", "false", "missed"), strict=True)
    spans = "".join(f'<span style="background:rgb{colour}">{word}</span>' for colour, word in colours)
    return f'<p class="key">{spans}</p>'


def _figures(scorer: Scorer, title: str, looks: Sequence[Look]) -> str:
    figures = []
    for item in looks:
        what = f"F1 {f1_of(item):.2f}" if item.cracked else f"{item.counts.false_positive} px"
        name = html.escape(item.example.image.name)
        figures.append(
            f'<figure><img alt="{name}" src="data:image/jpeg;base64,{_overlay(scorer, item)}">'
            f"<figcaption>{what} · {name}</figcaption></figure>"
        )
    return f'<h3>{title}</h3><div class="row">{"".join(figures)}</div>'


def _overlay(scorer: Scorer, item: Look) -> str:
    rgb, mask = read_example(item.example)
    hits = scorer.score(rgb) >= preprocess.threshold_code(scorer.threshold)
    return jpeg(overlay.compare(rgb, hits, plane(mask, 0) > 0), PICTURE_PX)


def jpeg(drawn: UInt8, side_px: int) -> str:
    """A picture (H, W, 3), shrunk to `side_px` at most, as JPEG in base64."""
    scale = side_px / max(drawn.shape[:2])
    if scale < 1:
        drawn = np.asarray(cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    _, content = cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return base64.b64encode(content.tobytes()).decode()
