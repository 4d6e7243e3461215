"""The benchmarks' JSON files as Markdown: what README and docs show is read from there, never typed.

python benchmarks/tables.py out/latency.json out/compare.json out/broker.json
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

COLUMNS = ("first_ms", "p50_ms", "p90_ms", "p99_ms", "cpu_min_ms")
ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("README.md", "docs/benchmarks.md", "docs/scale.md")
_MARK = re.compile(r"(<!-- table (\w+) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

# A busy flight, and what one core is asked for at most: the other half is for reconnections and bursts.
DETECTIONS_PER_S, TELEMETRY_PER_S, CORE_SHARE = 5.0, 1.0, 0.5


def latency(result: dict[str, Any]) -> str:
    """Every row, the roofline, and exposure to PUBACK; wall times only where the machine had nothing else to do."""
    busy = _busy(result)
    wall = "p50 to p99 are wall time" if not busy else "wall times are left out, they say little"
    lines = [
        f"{_head(result)}. Milliseconds; {wall}.",
        "",
        "| what | threads | first | p50 | p90 | p99 | smallest CPU time | peak memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in result["measured"]:
        rows = [("bare network, one tile", one["invoke"])]
        rows += [(_loop(name, loop), loop["timing"]) for name, loop in one["loops"].items()]
        for what, timing in rows:
            numbers = " | ".join(
                "-" if busy and key != "cpu_min_ms" else f"{timing[key]:.1f}"
                for key in ("first_ms", "p50_ms", "p90_ms", "p99_ms", "cpu_min_ms")
            )
            memory = "-" if one["peak_mb"] is None else f"{one['peak_mb']:.0f} MB"
            lines.append(f"| {one['backend']}: {what} | {one['threads'] or '-'} | {numbers} | {memory} |")
    lines += [f"| {one['backend']} | no number: {one['reason']} | | | | | | |" for one in result["refused"]]
    for bundle, line in result["rooflines"].items():
        lines += ["", _roofline(bundle, line)]
    lines += [
        f"litert-benchmark, another program, on one thread: smallest {check['theirs_min_ms']:.2f} ms."
        for check in result["cross_checks"].values()
        if isinstance(check, dict) and not busy
    ]
    flown = result["end_to_end"]
    if flown is not None and not busy:
        lines += [
            "",
            f"Exposure to PUBACK, {flown['width_px']}x{flown['height_px']} at {flown['fps']:g} frames/s, "
            f"{flown['broker']} on loopback, {flown['detections']} detections: p50 {flown['p50_ms']:.0f} ms, "
            f"p99 {flown['p99_ms']:.0f} ms, {flown['periods']:.2f} frame periods; {flown['missed']} frames missed.",
        ]
        parts = flown.get("parts_ms", {})  # results of earlier versions have none
        if parts:
            words = ", ".join(f"{name} {p50:.1f} and {p99:.1f}" for name, (p50, p99) in parts.items())
            lines[-1] += f" Of that, p50 and p99 in ms: {words}."
    return "\n".join(lines)


def comparison(result: dict[str, Any]) -> str:
    """The networks side by side, and the ratios against the goals."""
    lines = [
        f"{_head(result)}, {result['bundle']}. One thread, smallest CPU times.",
        "",
        "| network | ms | against ours | kB | accuracy of this file |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['name']} | {one['cpu_min_ms']:.2f} | {one['against_ours']:.2f} | {one['bytes'] / 1e3:.0f} "
        f"| {one['accuracy']} |"
        for one in result["networks"]
    ]
    lines += ["", "| ratio | field today | goal | measured | spread | |", "|---|---|---|---|---|---|"]
    for one in result["ratios"]:
        verdict = "**missed**" if one["verdict"] == "missed" else one["verdict"]
        lines.append(
            f"| {one['name']} | {one['field']} | {one['goal']} | {one['ratio']:.3g} "
            f"| {one['smallest']:.3g} to {one['largest']:.3g} | {verdict} |"
        )
    windows, times = result["windows"], result["times_ms"]
    lines += [
        "",
        f"Sliding window: {windows['per_photo']} windows of {windows['pixels']} px at a stride of "
        f"{windows['stride_px']}, {times['one window']:.2f} ms each (a mean of 200, times their number: "
        f"{times['sliding window'] / 1000:.0f} s); ours: {times['ours, whole photo'] / 1000:.2f} s for all of it.",
    ]
    if not result["real_time"]:
        lines.append("Two threads were timed without real-time priority: other load counts in that row.")
    return "\n".join(lines)


def broker(result: dict[str, Any]) -> str:
    """What a core of the broker carries."""
    rate = DETECTIONS_PER_S + TELEMETRY_PER_S
    lines = [
        f"{_head(result)}, mosquitto on loopback, QoS 1, no TLS, detections of {result['payload_bytes']} bytes.",
        "",
        "| drones | subscribers | messages/s reached | broker's CPU per message | one core carries "
        "| drones on half a core | memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in result["found"]:
        case = one["case"]
        readers = f"{case['subscribers']} sharing" if case["shared"] else str(case["subscribers"])
        capacity = 1e6 / one["broker_us"]
        lines.append(
            f"| {case['drones']} | {readers} | {one['per_s']:,.0f} | {one['broker_us']:.0f} µs | {capacity:,.0f}/s "
            f"| {CORE_SHARE * capacity / rate:,.0f} | {one['resident_mb']:.0f} MB |"
        )
    lines += ["", f"A busy drone: {DETECTIONS_PER_S:g} detections and {TELEMETRY_PER_S:g} telemetry message a second."]
    return "\n".join(lines)


def roofline(result: dict[str, Any]) -> str:
    """Each operator of the first bundle against its limit, equal ones together."""
    line = next(iter(result["rooflines"].values()))
    groups: dict[str, list[float]] = {}
    for step in line["steps"]:
        rows, columns, channels = step["output"][1:]
        group = groups.setdefault(f"{step['name']} to {rows}x{columns}x{channels}", [0, 0.0, 0.0, 0.0])
        for at, value in enumerate((1, step["mmac"], step["cpu_ms"], step["limit_ms"])):
            group[at] += value
    lines = [_head(result), "", "| operator | MMAC | ms | limit, ms | reached |", "|---|---|---|---|---|"]
    for name, (count, mmac, ms, limit) in groups.items():
        times = f"{count:.0f} x " if count > 1 else ""
        lines.append(f"| {times}{name} | {mmac:.0f} | {ms:.2f} | {limit:.2f} | {limit / ms:.0%} |")
    parts = sum(step["cpu_ms"] for step in line["steps"])
    lines.append(f"| all, one by one | | {parts:.2f} | {line['limit_ms']:.2f} | {line['limit_ms'] / parts:.0%} |")
    lines.append(f"| the whole network | | {line['whole_ms']:.2f} | {line['limit_ms']:.2f} | {line['share']:.0%} |")
    return "\n".join(lines)


def variants(result: dict[str, Any]) -> str:
    """What other architectures take."""
    lines = [
        _head(result),
        "",
        "| variant, 512x512 int8 | parameters | GMAC | ms | of the shipped |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['name']} | {one['parameters'] / 1e6:.2f} M | {one['gmac']:.2f} | {one['cpu_min_ms']:.2f} "
        f"| {one['cpu_min_ms'] / result['shipped_ms']:.2f} |"
        for one in result["variants"]
    ]
    return "\n".join(lines)


def loop(result: dict[str, Any]) -> str:
    """The whole loop beside the bare network."""
    lines = [
        f"{_head(result)}, {result['bundle']}. {result['width_px']}x{result['height_px']}, {result['tiles']} tiles, "
        "one thread, smallest CPU times of a frame.",
        "",
        "| what | ms | against the bare network | from round to round | detections | tracing and measuring, ms |",
        "|---|---|---|---|---|---|",
    ]
    for one in result["rows"]:
        count, tracing = ("-" if one[key] is None else one[key] for key in ("detections", "tracing_ms"))
        lines.append(
            f"| {one['name']} | {one['cpu_min_ms']:.1f} | {one['ratio']:.2f} "
            f"| {one['smallest']:.2f} to {one['largest']:.2f} | {count} "
            f"| {tracing if isinstance(tracing, str) else f'{tracing:.1f}'} |"
        )
    return "\n".join(lines)


def stills(result: dict[str, Any]) -> str:
    """Large stills against as many bare tiles as they take."""
    lines = [
        f"{_head(result)}, {result['bundle']}. {result['width_px']}x{result['height_px']}, one thread, smallest CPU "
        f"times; {result['tiles']} bare tiles take {result['bare_ms'] / 1000:.2f} s.",
        "",
        "| picture | network | tiles | s | against the bare tiles | detections |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['scene']} | {one['network']} | {one['tiles']} | {one['cpu_min_ms'] / 1000:.2f} | {one['ratio']:.2f} "
        f"| {one['detections']} |"
        for one in result["rows"]
    ]
    return "\n".join(lines)


KINDS: dict[str, Callable[[dict[str, Any]], str]] = {
    "latency": latency,
    "roofline": roofline,
    "comparison": comparison,
    "broker": broker,
    "variants": variants,
    "loop": loop,
    "stills": stills,
}
OF_SCHEMA = {
    "spanhawk/benchmark/1": "latency",
    "spanhawk/comparison/1": "comparison",
    "spanhawk/broker/1": "broker",
    "spanhawk/variants/1": "variants",
    "spanhawk/loop/1": "loop",
    "spanhawk/stills/1": "stills",
}


def main(words: list[str]) -> int:
    if words[:1] == ["--publish"] and len(words) == 2:
        publish(Path(words[1]))
        return 0
    if not words or words[0].startswith("-"):
        sys.exit(f"usage: {__doc__}")
    for word in words:
        result = _read(Path(word))
        print(f"{KINDS[OF_SCHEMA[result['schema']]](result)}\n")
    return 0


def publish(folder: Path) -> None:
    """Keep results and pictures in ``folder`` under the board's name, and bring the documents up to date."""
    found = sorted(folder.glob("*.json"))
    if not found:
        sys.exit(f"{folder}: holds no results; make them with `make bench`")
    for path in found:
        kept = ROOT / "benchmarks" / "results" / _read(path)["board"]["slug"]
        kept.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, kept / path.name)
        picture = path.with_suffix(".png")
        if picture.exists():
            shutil.copyfile(picture, kept / picture.name)
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")


def filled(text: str) -> str:
    """A document with its tables made anew."""

    def fill(found: re.Match[str]) -> str:
        return f"{found[1]}{KINDS[found[2]](_read(ROOT / found[3]))}\n{found[4]}"

    return _MARK.sub(fill, text)


def _read(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        OF_SCHEMA[result["schema"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        sys.exit(f"{path}: not a result of a benchmark here ({error}); make one with `make bench`")
    return result


def _roofline(bundle: str, line: dict[str, Any]) -> str:
    machine = line["machine"]
    rates = (
        f"{machine['gmac_per_s']:.0f} GMAC/s int8 through the same interpreter, {machine['near_gb_per_s']:.0f} GB/s in "
        f"the cache, {machine['far_gb_per_s']:.0f} GB/s from memory"
    )
    reached = f"{line['limit_ms']:.2f} of {line['whole_ms']:.2f} ms, {line['share']:.0%} of what a core can do"
    return f"Roofline of {bundle}: {reached} ({rates})."


def _busy(result: dict[str, Any]) -> str | None:
    """Why wall times say little; None where they do not. A load of one per core may be what was run just before."""
    load, cores = result.get("before", {}).get("load", 0.0), result["board"]["cores"]
    return None if load <= cores else f"beside other programs (load {load:.0f} on {cores} cores)"


def _head(result: dict[str, Any]) -> str:
    busy = _busy(result)
    return f"{result['board']['name']}, {result['at'][:10]}" + (f", {busy}" if busy else "")


def _loop(name: str, loop: dict[str, Any]) -> str:
    tiles = f"{loop['tiles']} tile" + "s" * (loop["tiles"] > 1)
    return f"whole loop, {loop['width_px']}x{loop['height_px']}, {tiles}" + (", no crack" if name == "clean" else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
