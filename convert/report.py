"""The gate's findings as one page that needs nothing else: numbers, intervals as a drawing, the graph, the verdict."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import cv2
import numpy as np

from convert.bundle import golden_picture
from edge.masks import preprocess
from models.scoring import Scorer

FORMS = {"float": ("float Keras", "#4477aa"), "float_tflite": ("float TFLite", "#228833"), "int8": ("int8", "#cc3311")}

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.7rem 0;width:100%}td,th{padding:.25rem .6rem;text-align:right;border-bottom:1px
solid #ddd}td:first-child,th:first-child{text-align:left}th{font-weight:600;border-bottom:2px solid #888}
.passed{background:#e3f3e6;border-left:6px solid #228833}.failed{background:#fbe6e2;border-left:6px solid #cc3311}
.passed,.failed{padding:.6rem 1rem}small{color:#666}td small{white-space:nowrap}img{max-width:100%}
"""


def page(found: Mapping[str, Any], picture: bytes | None) -> str:
    """The report of `convert.verify.verify` as HTML; `picture` is a JPEG to show, or None."""
    failed: Sequence[str] = found["failures"]
    verdict = "passed" if found["passed"] else "failed"
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(found["model"])}</title>',
        f"<style>{STYLE}</style><h1>{escape(found['model'])}: float against int8</h1>",
        f'<div class="{verdict}"><b>The gate {verdict}.</b> {_list(failed)}</div>',
        f"<p><small>{escape(found['at'])}, threshold {_levels(found['thresholds'])}. Limits of the card, per data set: "
        f"F1 may drop by {found['limits']['f1_drop']}, {found['limits']['pixels_differing']:.2%} of the pixels may "
        "differ.</small></p>",
        _agreement(found["sets"]),
        _scores(found["sets"]),
        _picture(picture),
        _graph(found["graph"], found["speed"]),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _levels(thresholds: Mapping[str, float]) -> str:
    if len(thresholds) == 1:
        return str(next(iter(thresholds.values())))
    return ", ".join(f"{escape(name)} {level}" for name, level in thresholds.items())


def draw(rivals: Mapping[str, Scorer], height: int, width: int) -> bytes:
    """The golden (rendered) picture with the damage that float and int8 see, and where they differ, as JPEG."""
    rgb = golden_picture(height, width)
    level = preprocess.threshold_code(rivals["int8"].threshold)
    one, other = (rivals[name].score(rgb) >= level for name in ("float", "int8"))
    panels = [rgb.copy(), rgb.copy(), rgb // 2 + 100]
    panels[0][one], panels[1][other] = (68, 119, 170), (204, 51, 17)
    panels[2][one & other], panels[2][one ^ other] = (120, 120, 120), (255, 0, 255)
    joined = cv2.resize(np.hstack(panels), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(".jpg", cv2.cvtColor(joined, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return bytes(content)


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>" if items else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return "<table>" + "".join(lines) + "</table>"


def _interval(value: Mapping[str, Any] | None, digits: int = 3) -> str:
    if value is None:
        return "–"
    return f"{value['value']:.{digits}f} <small>[{value['low']:.{digits}f}, {value['high']:.{digits}f}]</small>"


def _agreement(sets: Mapping[str, Any]) -> str:
    rows = []
    for name, one in sets.items():
        bias = one.get("width_bias_px")
        rows.append([
            escape(name), str(one["images"]), f"{one['differing']['int8']:.4%}",
            f"{one['differing'].get('float_tflite', 0):.4%}", _interval(one.get("f1_drop"), 4), _interval(bias),
            "–" if bias is None else f"{bias['p95_absolute']:.2f}",
            " / ".join(str(one["images_that_fire"][form]) for form in one["images_that_fire"]),
        ])  # fmt: skip
    head = ["data set", "images", "pixels that differ, int8", "… float TFLite", "F1 drop, int8", "width bias, px",
            "95 % of widths within, px", "images that fire: float / TFLite / int8"]  # fmt: skip
    return "<h2>What int8 costs</h2>" + _table(head, rows) + (
        "<p><small>All against the float Keras network, same pictures, the drone's own tiling; 95 % bootstrap "
        "intervals over pictures, paired for the drop. Width bias: int8 minus float at matched centreline points. "
        "Images that fire show at least one pixel of damage; on crack-free sets each of them is a false alarm."
        "</small></p>"
    )  # fmt: skip


def _scores(sets: Mapping[str, Any]) -> str:
    rows, drawn = [], []
    for name, one in sets.items():
        for form, (title, colour) in FORMS.items():
            score = one["scores"].get(form)
            if score is None:
                continue
            pooled, clean = score["pooled"], score["crack_free"]
            fires = "–" if clean["share"] is None else f"{clean['fires']} of {clean['images']}"
            cells = [
                _interval(None if pooled is None else pooled[key]) for key in ("f1", "iou", "f1_2px", "cl_iou_4px")
            ]
            rows.append([f"{escape(name)} <small>{title}</small>", *cells, fires])
            if pooled is not None:
                drawn.append((name, title, colour, pooled["f1"]))
    if not rows:
        return ""
    head = ["data set", "F1", "IoU", "F1 at 2 px", "clIoU at 4 px", "crack-free images that fire"]
    return "<h2>Scores, pooled</h2>" + _table(head, rows) + _whiskers(drawn)


def _whiskers(drawn: Sequence[tuple[str, str, str, Mapping[str, float]]]) -> str:
    """F1 with its interval as an SVG drawing, one line per data set and form."""
    step, left, wide = 20, 260, 620
    lines = []
    for i, (name, title, colour, score) in enumerate(drawn):
        y = 14 + i * step
        low, value, high = (left + score[key] * (wide - 10) for key in ("low", "value", "high"))
        lines.append(
            f'<text x="{left - 8}" y="{y + 4}" text-anchor="end" font-size="12">{escape(name)}, {title}</text>'
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
            f'<circle cx="{value:.1f}" cy="{y}" r="5" fill="{colour}"/>'
        )
    bottom = 14 + len(drawn) * step
    for tick in range(11):
        x = left + tick / 10 * (wide - 10)
        lines.append(
            f'<line x1="{x}" x2="{x}" y1="0" y2="{bottom}" stroke="#eee"/>'
            f'<text x="{x}" y="{bottom + 14}" text-anchor="middle" font-size="11">{tick / 10}</text>'
        )
    return (
        f'<svg viewBox="0 0 {left + wide} {bottom + 20}" role="img" aria-label="F1 by data set">{"".join(lines)}</svg>'
    )


def _picture(picture: bytes | None) -> str:
    if picture is None:
        return ""
    encoded = base64.b64encode(picture).decode()
    return (
        "<h2>The golden picture</h2><p><small>Rendered. Damage of the first class as float (blue) and int8 (red) see "
        "it; right: agreed pixels grey, differing ones magenta.</small></p>"
        f'<img alt="masks" src="data:image/jpeg;base64,{encoded}">'
    )


def _graph(graph: Mapping[str, Any], speed: Mapping[str, Any]) -> str:
    whole = "all of the network" if graph["whole_network_delegated"] else "NOT all of the network"
    facts = [
        ("operators", ", ".join(f"{count} {name}" for name, count in graph["operators"].items())),
        ("parts taken by the fast kernels (XNNPACK)", f"{graph['delegate_partitions']}, {whole}"),
        ("largest tensor", f"{graph['largest_tensor_bytes'] / 2**20:.2f} MiB"),
        ("activations alive at once", f"{graph['peak_live_bytes'] / 2**20:.2f} MiB"),
        ("weights", f"{graph['weight_bytes'] / 2**20:.2f} MiB"),
        ("scales", "all finite and above zero" if graph["scales_sound"] else "NOT all finite and above zero"),
        ("Edge TPU", graph["edgetpu_verdict"]),
        ("one run, one thread, CPU time", f"int8 {speed['int8_ms']:.1f} ms, float {speed['float_ms']:.1f} ms, "
                                          f"{speed['ratio']:.2f} times as fast"),
    ]  # fmt: skip
    return "<h2>The network</h2>" + _table(["", ""], [[name, escape(value)] for name, value in facts])
