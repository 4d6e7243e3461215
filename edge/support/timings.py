"""Stage times as percentiles, for telemetry, summaries and benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np


def percentiles(columns: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Per stage the median, 90th and 99th percentile and the maximum of its column, ms; empty columns are left out."""
    table = {}
    for stage, values in columns.items():
        if not len(values):
            continue
        p50, p90, p99 = np.percentile(values, (50, 90, 99))
        table[stage] = {
            "p50": round(float(p50), 3),
            "p90": round(float(p90), 3),
            "p99": round(float(p99), 3),
            "max": round(max(values), 3),
        }
    return table


def columns(rows: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    """Lines of stage times as one column per stage."""
    table: dict[str, list[float]] = {}
    for row in rows:
        for stage, took_ms in row.items():
            table.setdefault(stage, []).append(took_ms)
    return table
