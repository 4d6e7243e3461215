"""What can be made of a gimbal's roll, pitch and yaw as makers of drones write them, into pictures and into logs."""

from __future__ import annotations


def past_straight_down(roll_deg: float, pitch_deg: float) -> str | None:
    """Why such angles do not tell where a camera looked, in words; None where they do.

    Past straight down some gimbals report roll 180 with the yaw turned or not, depending on the firmware: no one can
    tell where such a camera looked. The same past straight up.
    """
    if abs((roll_deg + 180) % 360 - 180) <= 90 and abs(pitch_deg) <= 100:
        return None
    return f"the gimbal is past straight down or up (roll {roll_deg:g}, pitch {pitch_deg:g})"
