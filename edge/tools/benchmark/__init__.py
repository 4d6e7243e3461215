"""``spanhawk benchmark``: how fast a bundle runs on this board, measured so that the number can be quoted.

MLPerf's single stream: one frame after the other, nothing batched; the headline is the 90th percentile of wall time.
Beside it stands the smallest CPU time, which other load on the machine hardly moves. A number is printed only for what
really did the work.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Timing:
    """One thing measured many times over, milliseconds."""

    runs: int
    first_ms: float
    """The very first run: what a flight's first frame costs."""
    p50_ms: float
    p90_ms: float
    """The headline."""
    p99_ms: float
    cpu_min_ms: float
    """Smallest CPU time of a run, all threads together; means little where an accelerator works."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A whole frame, from the camera's array to a message in the outbox."""

    width_px: int
    height_px: int
    tiles: int
    """That the frame is cut into; each is a run of the network, unless a frame budget leaves some out."""
    bare_cpu_min_ms: float
    """CPU time of the bare network's runs on these tiles."""
    detections: int
    timing: Timing
    stage_p50_ms: dict[str, float] = field(default_factory=dict)
    """Median by stage: segment, locate, trace, encode, store, judge."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """Who runs the operators of a model."""

    operators: int
    """In the file."""
    owned: int
    """By a delegate: XNNPACK's fast kernels on a CPU, or the accelerator."""
    partitions: int
    """Pieces the graph was cut into for it; 1 is best."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One bundle on one backend with one number of threads."""

    bundle: str
    backend: str
    rival: str | None
    """The backend it ought to beat; None where it is itself the measure."""
    threads: int | None
    """CPU threads of the interpreter; None where the accelerator decides."""
    library: str
    accelerator: str
    model_bytes: int
    """Of the artefact that ran."""
    accuracy: dict[str, float]
    """Pooled F1 of that artefact by data set, as the card has it; empty where the card says nothing."""
    delegation: Delegation | None
    """None where the runtime does not tell."""
    open_ms: float
    """From nothing to ready: files checked, network built, golden answer compared."""
    invoke: Timing
    """The bare network on one tile."""
    loops: dict[str, Loop]
    """By name: ``tile`` (a frame of the network's size), ``frame`` and ``clean`` (the camera's)."""
    peak_mb: float | None
    """Largest resident memory of the process that measured this row alone."""
    power_w: float | None
    """Mean while measuring, as far as the board has sensors; None elsewhere."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that was asked for and gave no number, with the reason."""

    bundle: str
    backend: str
    reason: str
