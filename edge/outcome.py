"""What goes into the pipeline beside frames, and what comes out: whose flight it is, and what became of one frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.evidence import Evidence
from edge.frames import Frame, Moment
from edge.masks import Mask
from edge.measurers import Damage, Measured
from edge.mqtt.topics import cracks_topic, detections_topic
from edge.navigation import NavState
from edge.surface import Place
from edge.surface.record import CrackState
from edge.surface.registration import Registered
from edge.surface.visibility import Seen


@dataclass(frozen=True, slots=True)
class Flight:
    """Who flies, and under which name this flight's detections are filed."""

    vehicle: str
    flight_id: str
    topic: str
    """Where detections go."""
    cracks_topic: str | None = None
    """Where the flight's cracks go, each under one name; None: every frame stands for itself."""
    named_in: str | None = None
    """The flight id under which its cracks are named, where an earlier run began them; None: ``flight_id``."""

    @classmethod
    def of(cls, vehicle: str, flight_id: str) -> Flight:
        """A flight under the topics of its vehicle. Raises ConfigError for a name that no topic may hold."""
        return cls(vehicle, flight_id, detections_topic(vehicle), cracks_topic(vehicle))


@dataclass(frozen=True, slots=True)
class Proof:
    """Where frames are kept as JPEG with EXIF GPS."""

    folder: Path
    min_free_bytes: int = 0
    """Less free disk than this and no more evidence is kept: the detections need the room."""
    every: bool = True
    """True: the frame of each detection, named after the flight; False: the best view of each crack, and the frame of
    each finding that no crack's name belongs to, named by ``seq`` alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of one frame."""

    frame: Frame
    mask: Mask
    measured: tuple[Measured, ...]
    """What is reported of each class, in the mask's order."""
    nav: NavState
    moment: Moment
    """When it was exposed."""
    described: tuple[dict[str, Any], ...]
    """A Feature for each of ``damage``, also where ``[report] detections`` does not send it: then its ``seq`` is 0."""
    features: tuple[dict[str, Any], ...]
    """Those that are published, in order of ``seq``, which has no gaps."""
    places: tuple[Place, ...]
    """Where each of ``damage`` is."""
    payloads: tuple[bytes, ...]
    """The same as they are published."""
    revisions: tuple[CrackState, ...]
    """The flight's cracks that this frame changed enough to be reported again."""
    seen: Seen
    """How narrow a crack the frame would have shown."""
    placed: Registered | None
    """Where the frame lies beside the others; None where the flight keeps no inventory of cracks."""
    record: dict[str, Any]
    """The frame's line of ``frames.jsonl``."""
    dropped_before: int
    """Frames the source had between the last processed one and this one."""
    stage_ms: Mapping[str, float]
    """Real milliseconds by stage: segment, locate (the pose, and laying the frame beside others), trace, encode, store,
    judge."""
    evidence: Evidence | None = None
    """The frame's own picture; None where none was kept."""

    @property
    def damage(self) -> tuple[Damage, ...]:
        """What is reported, of all classes."""
        return tuple(one for found in self.measured for one in found.damage)

    @property
    def suppressed(self) -> Mapping[str, int]:
        """How many findings are not reported, by reason."""
        total: Counter[str] = Counter()
        for found in self.measured:
            total.update(found.suppressed)  # keeps the reasons that count 0
        return total

    @property
    def left_out(self) -> int:
        """How many pieces or branches of the mask were not measured because a cap was reached."""
        return sum(found.left_out for found in self.measured)

    def reported(self) -> npt.NDArray[np.bool_]:
        """Draw the pixels of what is reported, of all classes: bool (H, W), all False when nothing is."""
        drawn = self.measured[0].reported()
        for found in self.measured[1:]:
            drawn = drawn | found.reported()
        return drawn


class Picture:
    """The frame's picture, made when somebody asks for it first, and never of a frame that shows nothing."""

    def __init__(self, keep: Callable[[], Evidence | None], wanted: bool) -> None:
        self._keep = keep
        self._wanted = wanted
        self.kept: Evidence | None = None

    def take(self) -> str | None:
        """Keep it unless it is kept; its SHA-256, or None where there is none."""
        if self._wanted:
            self._wanted = False
            self.kept = self._keep()
        return None if self.kept is None else self.kept.sha256
