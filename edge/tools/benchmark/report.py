"""The benchmark as one JSON document, and as a table for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.tools.benchmark import Loop, Measured, Refused, Timing
from edge.tools.benchmark.board import Board, State
from edge.tools.benchmark.crosscheck import CrossCheck
from edge.tools.benchmark.endtoend import EndToEnd
from edge.tools.benchmark.roofline import Roofline
from edge.tools.benchmark.sustain import Sustained

SCHEMA = "spanhawk/benchmark/1"


@dataclass(slots=True)
class Report:
    """Everything one run found."""

    at: str
    """UTC, RFC 3339."""
    board: Board
    before: State
    measured: list[Measured] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    rooflines: dict[str, Roofline] = field(default_factory=dict)
    """By bundle."""
    cross_checks: dict[str, CrossCheck | str] = field(default_factory=dict)
    sustained: Sustained | None = None
    end_to_end: EndToEnd | None = None
    after: State | None = None

    def document(self) -> dict[str, Any]:
        """JSON's content, schema ``spanhawk/benchmark/1``; null is unknown."""
        document = {"schema": SCHEMA, **dataclasses.asdict(self)}
        for name, line in self.rooflines.items():
            document["rooflines"][name]["share"] = round(line.share, 4)
        if self.sustained is not None:
            document["sustained"]["slower"] = round(self.sustained.slower, 4)
        return document


def table(report: Report) -> str:
    """For a terminal."""
    lines = _head(report)
    for one in report.measured:
        lines += ["", *_measured(one), *_beside_rival(one, report.measured)]
    lines += [
        line for one in report.refused for line in ("", f"{one.bundle} on {one.backend}: NO NUMBER", f"  {one.reason}")
    ]
    for bundle, line in report.rooflines.items():
        lines += ["", *_roofline(bundle, line)]
    for bundle, check in report.cross_checks.items():
        lines += ["", f"{bundle}: {check if isinstance(check, str) else check.sentence()}"]
    if report.sustained is not None:
        lines += ["", *_sustained(report.sustained)]
    if report.end_to_end is not None:
        lines += ["", *report.end_to_end.lines()]
    return "\n".join([*lines, "", *_states(report)])


def _head(report: Report) -> list[str]:
    board = report.board
    versions = ", ".join(f"{name} {version}" for name, version in board.versions.items())
    memory = "" if board.memory_mb is None else f", {board.memory_mb} MB"
    return [
        f"{board.name}{memory}, {report.at}",
        f"{board.system}, Python {board.python}, {versions}",
    ]


def _measured(one: Measured) -> list[str]:
    threads = "" if one.threads is None else f", {one.threads} thread" + "s" * (one.threads > 1)
    lines = [
        f"{one.bundle} on {one.backend} ({one.accelerator}, {one.library}{threads}): {one.model_bytes / 1e3:.0f} kB, "
        f"{_delegated(one)}, open {one.open_ms:.0f} ms, peak {_or_dash(one.peak_mb, '.0f')} MB, "
        f"power {_or_dash(one.power_w, '.2f')} W",
        f"  {'':34}{'first':>9}{'p50':>9}{'p90':>9}{'p99':>9}{'CPU min':>9}   ms, {one.invoke.runs} runs",
        _timing("bare invoke, one tile", one.invoke),
    ]
    for name, loop in one.loops.items():
        lines.append(_timing(_title(name, loop), loop.timing))
        stages = ", ".join(f"{stage} {ms:.2f}" for stage, ms in loop.stage_p50_ms.items())
        lines.append(f"    {stages}{_against(one, loop)}")
    if one.accuracy:
        words = "; ".join(f"{name} F1 {value:.3f}" for name, value in one.accuracy.items())
        lines.append(f"  accuracy of this file, from its card: {words}")
    return lines


def _beside_rival(one: Measured, measured: Sequence[Measured]) -> list[str]:
    """How much faster it is than what it ought to beat, where both were measured."""
    theirs = [other.invoke.p50_ms for other in measured if (other.bundle, other.backend) == (one.bundle, one.rival)]
    if not theirs:
        return []
    return [f"  bare invoke {min(theirs) / one.invoke.p50_ms:.1f} x as fast as {one.rival} at its best here (p50)"]


def _against(one: Measured, loop: Loop) -> str:
    """The loop over its runs of the bare network; CPU times of several threads, or of an accelerator, say nothing."""
    if one.accelerator != "cpu" or one.threads != 1 or not loop.bare_cpu_min_ms:
        return ""
    return f"; {loop.timing.cpu_min_ms / loop.bare_cpu_min_ms:.2f} x the bare network"


def _title(name: str, loop: Loop) -> str:
    what = "whole loop" if name != "clean" else "whole loop, no crack"
    return f"{what}, {loop.width_px}x{loop.height_px}, {loop.tiles} tile" + "s" * (loop.tiles > 1)


def _timing(title: str, one: Timing) -> str:
    numbers = (one.first_ms, one.p50_ms, one.p90_ms, one.p99_ms, one.cpu_min_ms)
    return f"  {title:34}" + "".join(f"{number:9.2f}" for number in numbers)


def _delegated(one: Measured) -> str:
    if one.delegation is None:
        return "operators unknown"
    found = one.delegation
    pieces = f"{found.partitions} piece" + "s" * (found.partitions != 1)
    return f"{found.owned} of {found.operators} operators delegated in {pieces}"


def _roofline(bundle: str, line: Roofline) -> list[str]:
    machine = line.machine
    return [
        f"{bundle}, one thread, against this machine's best ({machine.gmac_per_s:.0f} GMAC/s int8, "
        f"{machine.near_gb_per_s:.0f} GB/s in cache, {machine.far_gb_per_s:.0f} GB/s from memory): "
        f"{line.limit_ms:.2f} of {line.whole_ms:.2f} ms, {line.share:.0%} of what is possible",
        f"  {'operator':22}{'makes':>18}{'MMAC':>9}{'kB':>8}{'ms':>9}{'limit':>9}{'reached':>9}",
        *(
            f"  {step.name:22}{'x'.join(map(str, step.output[1:])):>18}{step.mmac:9.1f}{step.moved_kb:8.0f}"
            f"{step.cpu_ms:9.3f}{step.limit_ms:9.3f}{step.limit_ms / step.cpu_ms:9.0%}"
            for step in line.steps
        ),
    ]


def _sustained(run: Sustained) -> list[str]:
    first, last = run.minutes[0], run.minutes[-1]
    return [
        f"sustained, {len(run.minutes)} min: p50 {first.p50_ms:.2f} ms in the first minute, {last.p50_ms:.2f} in the "
        f"last ({run.slower:.3f} x); p90 {first.p90_ms:.2f} and {last.p90_ms:.2f}; "
        f"{_or_dash(first.state.temperature_deg_c, '.0f')} and {_or_dash(last.state.temperature_deg_c, '.0f')} °C"
    ]


def _states(report: Report) -> list[str]:
    return [f"{name}: {_state(state)}" for name, state in (("before", report.before), ("after", report.after)) if state]


def _state(state: State) -> str:
    throttled = None if state.throttled is None else ", ".join(state.throttled) or "nothing"
    return (
        f"governor {state.governor or '-'}, clock {_or_dash(state.clock_mhz, '.0f')} MHz, "
        f"{_or_dash(state.temperature_deg_c, '.1f')} °C, held back by {throttled or '-'}, "
        f"{_or_dash(state.power_w, '.2f')} W, load {state.load:.1f}   (- : the board does not say)"
    )


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
