"""A structure's own axes: along it, to its left, up. They need no satellites, only the autopilot's own estimate."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from edge.surface.plane import Float64

_NAME = re.compile(r"[\w .()-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureOptions:
    """The ``[structure]`` table; checked at construction (ValueError)."""

    name: str | None = None
    """What the inspected part is called, as "Pier 3"; None: places are not given in a structure's axes."""
    anchor_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Where station, offset and height are 0: metres along the first and second axis of the autopilot's own frame
    (north, east) and down, from where its estimate began (mostly where it was switched on)."""
    axis_deg: float = 0.0
    """Heading of the structure's axis in that frame, degrees clockwise from its first axis; stations rise that way."""

    def __post_init__(self) -> None:
        """Refuse what no structure can be."""
        if self.name is not None and not _NAME.fullmatch(self.name):
            raise ValueError(f"name is 1 to 64 letters, digits, blanks, . ( ) _ or -, got {self.name!r}")
        if not all(abs(metres) <= 1e5 for metres in self.anchor_m):
            raise ValueError(f"anchor_m is within 100 km of where the estimate began, got {self.anchor_m}")
        if not abs(self.axis_deg) <= 360:
            raise ValueError(f"axis_deg is -360 to 360, got {self.axis_deg}")

    def axes(self) -> Float64:
        """(3, 3): rows are station, offset to the left and height, in the local frame's north, east, down."""
        heading = math.radians(self.axis_deg)
        north, east = math.cos(heading), math.sin(heading)
        return np.array([[north, east, 0.0], [east, -north, 0.0], [0.0, 0.0, -1.0]])
