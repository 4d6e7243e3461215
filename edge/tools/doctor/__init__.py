"""``spanhawk doctor``: is this drone fit to fly, and if not, what is to be done.

Each check is one small function in ``software``, ``board``, ``camera``, ``model``, ``navigation`` or ``broker`` that
takes the bench and returns one result. Devices are opened once, through the openers the daemon uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge.frames import Frame
from edge.navigation import NavState
from edge.settings import Settings
from edge.support.clock import Clock
from edge.support.errors import EXIT_DONE, EXIT_UNAVAILABLE, SpanhawkError


class Level(str, Enum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    """Flies, but the inspector should know."""
    FAIL = "fail"
    """Not fit to fly."""
    NOT_APPLICABLE = "n/a"
    """Nothing to look at on this board or with this configuration, or it could not be looked at."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found, and what to do about it."""

    level: Level
    found: str
    """One line on what was seen."""
    fix: str | None = None
    """What to do; None unless ``level`` is WARN or FAIL."""
    exit_code: int = EXIT_DONE
    """What the command ends with because of it; 0 unless ``level`` is FAIL."""


def ok(found: str) -> Result:
    """As it should be."""
    return Result(Level.OK, found)


def warn(found: str, fix: str) -> Result:
    """Worth knowing before take-off."""
    return Result(Level.WARN, found, fix)


def fail(found: str, fix: str, exit_code: int = EXIT_UNAVAILABLE) -> Result:
    """Not fit to fly."""
    return Result(Level.FAIL, found, fix, exit_code)


def not_applicable(found: str) -> Result:
    """Nothing to look at, with the reason."""
    return Result(Level.NOT_APPLICABLE, found)


def troubled(sentence: str, otherwise: str, exit_code: int = EXIT_UNAVAILABLE) -> Result:
    """A sentence of ours as a failure: it says what was found, then, after a semicolon, what to do.

    ``otherwise`` is the fix where the sentence names none.
    """
    found, _, fix = sentence.partition("; ")
    return fail(found, fix or otherwise, exit_code)


def failed(error: SpanhawkError, otherwise: str) -> Result:
    """A deliberate error as a failure; ``otherwise`` as in ``troubled``."""
    return troubled(str(error), otherwise, error.exit_code)


@dataclass(slots=True)
class Bench:
    """What the checks share: the configuration, and what an earlier check learned for a later one."""

    settings: Settings
    clock: Clock
    frame: Frame | None = None
    """The last frame of the camera; None before it was looked at, or when it gave none."""
    fps: float | None = None
    """Frames per second the camera delivered; None when unknown."""
    tile_s: float | None = None
    """Seconds the network took for one input of its own size; None when unknown."""
    runs_on: str | None = None
    """What owns the network's operators, as ``Runtime.accelerator``; None when it could not be opened."""
    nav: NavState | None = None
    """The newest state of the navigator; None when it could not be opened."""
    turn_s: float = 0.0
    """Seconds to wait for the aircraft to be turned by hand; 0: it is not turned."""
    slower: float = 1.0
    """How many times slower than a board this computer is known to be (an emulator); the limits of time follow."""
    held: bool = False
    """True when another process (the daemon) has the outbox, and so the devices."""
