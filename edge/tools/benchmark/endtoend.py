"""From the middle of the exposure to the broker's acknowledgement: the daemon itself, as a process, on loopback.

``spanhawk run`` flies with a camera that beats exactly and an outbox that stamps its letters; everything else is what
flies: threads, SQLite with fsync, MQTT 5 at QoS 1, a real mosquitto.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.support.clock import SystemClock
from edge.support.errors import DeviceError
from edge.tools.benchmark.loops import rendered
from edge.tools.demo.broker import open_broker

# What is exposed within the first seconds meets cold caches and a connection that is only being made.
_WARM_UP_S = 2.0
# The last second is left out as well: the daemon is told to stop.
_LAST_S = 1.0
_START_S, _STOP_S, _POLL_S = 60.0, 20.0, 0.05

_CONFIG = """
vehicle = "benchmark"
[flight]
min_free_mb = 0
max_temperature_deg_c = 1000.0
snapshot_dir = "{folder}"
[camera]
backend = "edge.tools.benchmark.metronome"
picture = "{folder}/picture.npy"
log = "{folder}/exposed.json"
fps = {fps}
[masks]
{masks}
[navigation]
backend = "fixed"
[outbox]
backend = "edge.tools.benchmark.stamped"
path = "{folder}/outbox.db"
log = "{folder}/stamped.json"
[mqtt]
url = "{url}"
"""


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """Times from the middle of the exposure, milliseconds."""

    broker: str
    fps: float
    width_px: int
    height_px: int
    threads: int
    frames: int
    """Frames that gave a detection, after the first seconds."""
    missed: int
    """Beats of the camera in that time that no detection came of: the loop was busy."""
    detections: int
    stored_p50_ms: float
    """On disk."""
    stored_p99_ms: float
    p50_ms: float
    """Acknowledged by the broker."""
    p90_ms: float
    p99_ms: float
    max_ms: float
    periods: float
    """p99 in periods of the camera."""
    parts_ms: dict[str, tuple[float, float]]
    """Where the time goes, p50 and p99 of each: ``ready`` (exposed, captured, segmented, measured, encoded), ``disk``
    (written down, with fsync), ``handed over`` (the other thread woken, the letter read) and ``broker`` (on the wire,
    its answer read)."""

    def lines(self) -> list[str]:
        """For a terminal."""
        return [
            f"end to end, exposure to PUBACK, {self.width_px}x{self.height_px} at {self.fps:g} frames/s, "
            f"{self.threads} threads, {self.broker} on loopback: p50 {self.p50_ms:.1f} ms, p90 {self.p90_ms:.1f}, "
            f"p99 {self.p99_ms:.1f} ({self.periods:.2f} frame periods), largest {self.max_ms:.1f}",
            f"  {self.detections} detections in {self.frames} frames, {self.missed} frames missed; on disk after "
            f"p50 {self.stored_p50_ms:.1f} ms, p99 {self.stored_p99_ms:.1f}",
            "  of that, p50 and p99: "
            + ", ".join(f"{name} {p50:.1f} and {p99:.1f}" for name, (p50, p99) in self.parts_ms.items()),
        ]


def end_to_end(
    masks: Mapping[str, Any], threads: int, size_px: tuple[int, int], fps: float, seconds: float
) -> EndToEnd:
    """Fly for ``seconds`` at ``fps`` with frames of ``size_px`` (height, width) that show one crack.

    ``masks`` is the daemon's [masks] table.

    Raises DeviceError without mosquitto, or when the daemon does not run or nothing was acknowledged.
    """
    # Not in /tmp: that is memory on many boards, and fsync would cost nothing.
    with tempfile.TemporaryDirectory(prefix="spanhawk-benchmark-", dir=Path.cwd()) as name:
        folder = Path(name)
        np.save(folder / "picture.npy", rendered(*size_px))
        with open_broker(kind="mosquitto") as broker:
            # A JSON text, number or truth value is the same in TOML.
            lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in masks.items())
            text = _CONFIG.format(folder=folder, fps=float(fps), masks=lines, url=broker.url)
            (folder / "spanhawk.toml").write_text(text, encoding="utf-8")
            _fly(folder, _WARM_UP_S + seconds + _LAST_S)
            exposed, stamps = (_read(folder / name) for name in ("exposed.json", "stamped.json"))
            return evaluate(exposed, stamps, fps=fps, size_px=size_px, threads=threads, broker=broker.kind)


def evaluate(
    exposed: Mapping[str, int],
    stamps: Mapping[str, Mapping[str, int]],
    *,
    fps: float,
    size_px: tuple[int, int],
    threads: int,
    broker: str,
) -> EndToEnd:
    """Summarise what camera (frame number to ns) and outbox (letter to stamps) wrote down.

    Raises DeviceError where no detection was acknowledged.
    """
    begin, end = min(exposed.values(), default=0) + _WARM_UP_S * 1e9, max(exposed.values(), default=0) - _LAST_S * 1e9
    frames = {int(seq): at_ns for seq, at_ns in exposed.items() if begin <= at_ns <= end}
    letters = [stamp for stamp in stamps.values() if stamp["frame_seq"] in frames]
    answered = [stamp for stamp in letters if "acknowledged_ns" in stamp]
    if not answered or len(answered) < len(letters):
        raise DeviceError(
            f"{len(letters) - len(answered)} of {len(letters)} detections were not acknowledged by {broker}: there is "
            "nothing to report; fly longer, or see what the daemon wrote above"
        )
    acknowledged, stored = (
        np.array([stamp[key] - frames[stamp["frame_seq"]] for stamp in answered]) / 1e6
        for key in ("acknowledged_ns", "stored_ns")
    )
    beats = round((max(frames.values()) - min(frames.values())) / 1e9 * fps) + 1
    seen = len({stamp["frame_seq"] for stamp in answered})
    p50, p90, p99 = (round(float(value), 2) for value in np.percentile(acknowledged, (50, 90, 99)))
    stored_p50, stored_p99 = (round(float(value), 2) for value in np.percentile(stored, (50, 99)))
    height, width = size_px
    return EndToEnd(
        broker, fps, width, height, threads, seen, beats - seen, len(answered), stored_p50, stored_p99,
        p50, p90, p99, round(float(acknowledged.max()), 2), round(p99 * fps / 1000, 3), _parts(answered, frames),
    )  # fmt: skip


def _parts(letters: Sequence[Mapping[str, int]], exposed_ns: Mapping[int, int]) -> dict[str, tuple[float, float]]:
    stations = [
        [exposed_ns[one["frame_seq"]], *(one[key] for key in ("ready_ns", "stored_ns", "taken_ns", "acknowledged_ns"))]
        for one in letters
    ]
    took_ms = np.diff(np.array(stations, np.int64), axis=1) / 1e6
    found = {}
    for name, column in zip(("ready", "disk", "handed over", "broker"), took_ms.T, strict=True):
        p50, p99 = np.percentile(column, (50, 99))
        found[name] = round(float(p50), 2), round(float(p99), 2)
    return found


def _fly(folder: Path, seconds: float) -> None:
    """Run the daemon until its camera has been beating for ``seconds``. Raises DeviceError where it does not run."""
    command = [sys.executable, "-m", "edge", "run", "--config", str(folder / "spanhawk.toml")]
    with (folder / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        if _beats(daemon, folder / "exposed.json"):
            daemon.wait(seconds)
    except subprocess.TimeoutExpired:
        daemon.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.wait(_STOP_S)
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()
    if daemon.returncode != 0:
        lines = (folder / "daemon.log").read_text(encoding="utf-8", errors="replace").splitlines()
        raise DeviceError(f"the daemon ended with {daemon.returncode} while it was measured: {(lines or ['?'])[-1]}")


def _beats(daemon: subprocess.Popen[bytes], log: Path) -> bool:
    """Wait for the camera's first beat; False where the daemon ends before, or nothing beats for a minute."""
    clock, never = SystemClock(), threading.Event()
    until_ns = clock.monotonic_ns() + round(_START_S * 1e9)
    while not log.exists():
        if daemon.poll() is not None or clock.monotonic_ns() > until_ns:
            return False
        clock.wait(never, _POLL_S)
    return True


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DeviceError(f"{path.name}: the daemon wrote no times ({error})") from error
    return found
