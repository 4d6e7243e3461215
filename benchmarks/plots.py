"""Pictures of the benchmarks' JSON files.

python benchmarks/plots.py latency out/latency.json out/latency.png
python benchmarks/plots.py compare out/compare.json out/compare.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

# Okabe and Ito's palette (2008), distinguishable without red-green vision.
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"


def latency(result_path: Path, picture: Path) -> None:
    """p50, p90 and p99 of every row, the smallest CPU time marked; and where the time of a frame goes."""
    result = json.loads(result_path.read_text(encoding="utf-8"))
    rows = [
        (f"{one['backend']}, {_threads(one)}\n{_what(name, one['loops'].get(name))}", timing)
        for one in result["measured"]
        for name, timing in _timings(one)
    ]
    figure, axis = _figure(0.45 * len(rows) + 1.6)
    for at, (_, timing) in enumerate(rows):
        axis.plot([timing["p50_ms"], timing["p99_ms"]], [at, at], color=BLUE, linewidth=6, alpha=0.35)
        axis.plot(timing["p50_ms"], at, "o", color=BLUE)
        axis.plot(timing["p90_ms"], at, "D", color=RED)
        axis.plot(timing["cpu_min_ms"], at, "|", color=GREEN, markersize=14, markeredgewidth=2)
    axis.set_yticks(range(len(rows)), [name for name, _ in rows])
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlim(left=0)
    axis.set_xlabel("milliseconds of wall time, p50 to p99")
    axis.legend(*_legend([("p50", BLUE, "o"), ("p90, the headline", RED, "D"), ("smallest CPU time", GREEN, "|")]))
    _save(figure, axis, picture, f"{result['board']['name']}, {result['at'][:10]}")


def compare(result: dict[str, Any], picture: Path) -> None:
    """Every network's time on a logarithmic axis, ours in another colour."""
    networks = sorted(result["networks"], key=lambda one: one["cpu_min_ms"])
    figure, axis = _figure(0.5 * len(networks) + 1.6)
    for at, one in enumerate(networks):
        ours = one["against_ours"] == 1
        axis.barh(at, one["cpu_min_ms"], color=BLUE if ours else GREY)
        axis.text(
            one["cpu_min_ms"] * 1.03, at, f"{one['cpu_min_ms']:.1f} ms   {one['accuracy']}", va="center", fontsize=9
        )
    axis.set_yticks(range(len(networks)), [one["name"] for one in networks])
    axis.invert_yaxis()
    axis.set_xscale("log")
    # Room for the words beside the longest bar.
    axis.set_xlim(1, 200 * max(one["cpu_min_ms"] for one in networks))
    axis.set_xlabel("milliseconds, one thread, smallest CPU time (logarithmic)")
    _save(figure, axis, picture, f"{result['board']['name']}, {result['at'][:10]}")


def _timings(one: dict[str, Any]) -> list[tuple[str, dict[str, float]]]:
    return [("invoke", one["invoke"]), *((name, loop["timing"]) for name, loop in one["loops"].items())]


def _threads(one: dict[str, Any]) -> str:
    threads = one["threads"]
    return str(one["accelerator"]) if threads is None else f"{threads} thread" + "s" * (threads > 1)


def _what(name: str, loop: dict[str, Any] | None) -> str:
    if loop is None:
        return "bare network, one tile"
    tiles = f"{loop['tiles']} tile" + "s" * (loop["tiles"] > 1)
    return f"loop, {loop['width_px']}x{loop['height_px']}, {tiles}" + (", no crack" if name == "clean" else "")


def _figure(height_in: float) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(figsize=(9, height_in), layout="constrained")


def _legend(entries: list[tuple[str, str, str]]) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", markersize=10 if marker == "|" else 6)
        for _, colour, marker in entries
    ]
    return handles, [name for name, _, _ in entries]


def _save(figure: Any, axis: Any, picture: Path, title: str) -> None:
    axis.set_title(title, loc="left", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", alpha=0.3)
    axis.set_axisbelow(True)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=120)


def main(words: list[str]) -> int:
    kinds = {"latency", "compare"}
    if len(words) != 3 or words[0] not in kinds:
        sys.exit(f"usage: {__doc__}")
    source, picture = Path(words[1]), Path(words[2])
    if words[0] == "latency":
        latency(source, picture)
    else:
        compare(json.loads(source.read_text(encoding="utf-8")), picture)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
