"""``/metrics``: the numbers of the ground and of its vehicles in Prometheus' text format 0.0.4."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from edge import __version__
from edge.ground import Reader, StateRow
from edge.ground.collector import Counts
from edge.ground.pull import Fetched

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("online", "flying", "degraded", "offline")
_TELEMETRY = {
    "frames": ("frames_total", "counter", "Frames looked at in this flight."),
    "dropped": ("dropped_frames_total", "counter", "Frames of the camera that were not looked at."),
    "detections": ("detections_total", "counter", "Detections of this flight."),
    "fps": ("frames_per_second", "gauge", "Frames looked at in a second."),
    "temperature_deg_c": ("temperature_celsius", "gauge", "Of the processor."),
    "disk_free_mb": ("disk_free_megabytes", "gauge", "Free on the disk of its snapshots."),
    "narrowest_crack_mm": ("narrowest_crack_millimetres", "gauge", "That the newest frame would have shown."),
}
Sample = tuple[Mapping[str, str], float]


class Page:
    """Collects metrics and writes them."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, name: str, kind: str, what: str, samples: Iterable[Sample]) -> None:
        """One metric ``spanhawk_NAME`` with its samples; left out where there are none."""
        name, samples = f"spanhawk_{name}", list(samples)
        if not samples:
            return
        self._lines += [f"# HELP {name} {what}", f"# TYPE {name} {kind}"]
        for labels, value in samples:
            inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            self._lines.append(f"{name}{{{inside}}} {value:.15g}" if inside else f"{name} {value:.15g}")

    def text(self) -> str:
        """All of it."""
        return "\n".join([*self._lines, ""])


def metrics(reader: Reader, counts: Counts, *, connected: bool, troubles: int, fetched: Mapping[str, Fetched]) -> str:
    """The whole page; ``fetched``: what has become of each drone's pictures. Raises TryAgainError."""
    page = Page()
    page.add("ground_info", "gauge", "The version that runs.", [({"version": __version__}, 1)])
    page.add("ground_broker_connected", "gauge", "1 while the broker is there.", [({}, connected)])
    page.add("ground_troubles", "gauge", "Things that are wrong now.", [({}, troubles)])
    for name, value, what in (
        ("messages", counts.messages, "Messages heard."),
        ("stored", counts.stored, "Detections and revisions of cracks that were new."),
        ("repeats", counts.repeats, "Detections and revisions that were there already."),
        ("conflicts", counts.conflicts, "Messages whose name another content has."),
        ("refused", counts.refused, "Messages that could not be taken up."),
        ("receipts", counts.receipts, "Receipts sent."),
        ("resend_requests", counts.asked_again, "Commands to send again what is missing."),
    ):
        page.add(f"ground_{name}_total", "counter", what, [({}, value)])
    page.add(
        "ground_rows", "gauge", "Rows of the store.", [({"table": name}, n) for name, n in reader.counts().items()]
    )
    for name, kind, what in (
        ("stored", "counter", "Pictures fetched from the vehicle."),
        ("wrong", "counter", "Pictures whose bytes were not what was asked for."),
        ("size_bytes", "counter", "Bytes of pictures received."),
        ("waiting", "gauge", "Cracks whose picture is still to be fetched."),
        ("away", "gauge", "1 while the vehicle cannot be reached for its pictures."),
        ("missing", "gauge", "Cracks whose picture the vehicle does not have (any more)."),
    ):
        total = "_total" if kind == "counter" else ""
        page.add(f"pictures_{name.removeprefix('size_')}{total}", kind, what,
                 [({"vehicle": vehicle}, getattr(one, name)) for vehicle, one in fetched.items()])  # fmt: skip
    _vehicles(page, reader.states())
    return page.text()


def _vehicles(page: Page, rows: Iterable[StateRow]) -> None:
    status = {row.vehicle: _document(row) for row in rows if row.what == "status"}
    told = {row.vehicle: (row, _document(row)) for row in rows if row.what == "telemetry"}
    page.add(
        "vehicle_state", "gauge", "1 for the state that the vehicle is in.",
        [({"vehicle": name, "state": state}, said.get("state") == state) for name, said in status.items()
         for state in STATES],
    )  # fmt: skip
    page.add(
        "vehicle_heard_seconds", "gauge", "When telemetry was last heard, seconds since 1970.",
        [({"vehicle": name}, _seconds(row.received_at)) for name, (row, _) in told.items()],
    )  # fmt: skip
    for key, (name, kind, what) in _TELEMETRY.items():
        page.add(f"vehicle_{name}", kind, what, [
            ({"vehicle": vehicle}, float(said[key])) for vehicle, (_, said) in told.items() if _is_number(said.get(key))
        ])  # fmt: skip
    page.add("vehicle_outbox_letters", "gauge", "Letters in the vehicle's outbox.", [
        ({"vehicle": vehicle, "state": str(state)}, float(number))
        for vehicle, (_, said) in told.items() if isinstance(said.get("outbox"), dict)
        for state, number in said["outbox"].items() if _is_number(number)
    ])  # fmt: skip


def _document(row: StateRow) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(row.payload)
    return document


def _seconds(moment: datetime) -> float:
    return moment.timestamp()


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
