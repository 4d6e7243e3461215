"""The camera's angles as drones' own logs hold them, row by row."""

from __future__ import annotations

from edge.navigation import Attitude
from edge.support.angles import past_straight_down


class LoggedAngles:
    """Angles against the horizon and north; what cannot be told is unknown, counted and named."""

    def __init__(self) -> None:
        self._doubt = ""
        self._count = 0

    def attitude(self, roll_deg: float | None, pitch_deg: float | None, yaw_deg: float | None) -> Attitude | None:
        """One row's; None where one of them is missing, or where they do not tell where the camera looked."""
        if roll_deg is None or pitch_deg is None or yaw_deg is None:
            return None
        doubt = past_straight_down(roll_deg, pitch_deg)
        if doubt is None:
            return Attitude(roll_deg, pitch_deg, yaw_deg)
        self._doubt, self._count = self._doubt or doubt, self._count + 1
        return None

    def warnings(self) -> tuple[str, ...]:
        """One sentence on the rows that were left out; none where there were none."""
        if not self._count:
            return ()
        rows = "1 row" if self._count == 1 else f"{self._count} rows"
        return (f"{self._doubt} in {rows}, of which it is not known where the camera looked",)
