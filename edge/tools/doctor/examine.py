"""All checks in the order in which a fault in one explains the next, and the report they make."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge import settings
from edge.support.clock import Clock
from edge.support.errors import ConfigError, SpanhawkError
from edge.tools.doctor import (
    Bench,
    Result,
    board,
    broker,
    camera,
    fail,
    failed,
    gimbal,
    lens,
    model,
    navigation,
    not_applicable,
    software,
)
from edge.tools.doctor import ok as well

log = logging.getLogger(__name__)

_EDIT = "correct it there, then run: spanhawk config check FILE"


@dataclass(frozen=True, slots=True)
class Check:
    """One row of the report."""

    name: str
    look: Callable[[Bench], Result]
    software: bool = False
    """True for what an upgrade can break and no device, sky or network is needed for."""
    anyway: bool = False
    """True for what can be looked at without a usable configuration."""
    devices: bool = False
    """True for what cannot be looked at while the daemon holds the devices."""


CHECKS = (
    Check("versions", software.versions, software=True, anyway=True),
    Check("clock", board.clock, anyway=True),
    Check("temperature", board.temperature, anyway=True),
    Check("supply", board.supply, anyway=True),
    Check("secrets", software.secrets, software=True),
    Check("outbox", board.outbox, software=True),
    Check("camera", camera.camera, devices=True),
    Check("lens", lens.card, devices=True),
    Check("disk", board.disk),
    Check("flights", board.flights),
    Check("model", model.model, software=True, devices=True),
    Check("accelerator", model.accelerator, devices=True),
    Check("navigation", navigation.source, devices=True),
    Check("fix", navigation.fix, devices=True),
    Check("gimbal", gimbal.heading, devices=True),
    Check("broker", broker.message),
    Check("certificates", broker.certificates),
)


def examine(
    path: Path, clock: Clock, *, software_only: bool = False, turn_s: float = 0.0, slower: float = 1.0
) -> Iterator[tuple[str, Result]]:
    """Look at everything with the configuration at ``path``; yields each check's name and result as it is done.

    ``software_only``: only what an upgrade can break. ``turn_s``: seconds in which the aircraft is turned by hand.
    ``slower``: how many times slower than a board this computer is; the network may take so much longer.
    """
    try:
        read, usable = settings.read(path), True
        yield "configuration", well(f"{path}: vehicle {read.vehicle}, camera {read.camera.name}, {read.masks.name}")
    except ConfigError as error:
        read, usable = settings.from_table({}, "built-in defaults"), False
        yield "configuration", failed(error, _EDIT)
    bench = Bench(read, clock, turn_s=turn_s, slower=slower)
    for check in CHECKS:
        if check.software or not software_only:
            unknown = not_applicable("not checked: the configuration cannot be used")
            yield check.name, _look(check, bench) if usable or check.anyway else unknown


def _look(check: Check, bench: Bench) -> Result:
    if check.devices and bench.held:
        return not_applicable("not checked: the running daemon holds it")
    try:
        return check.look(bench)
    except SpanhawkError as error:
        return failed(error, f"correct it, then check again: spanhawk doctor (about {check.name})")
    except Exception as error:  # one check that fails must not hide what the others find
        log.exception("the check %s failed", check.name)
        return fail(f"the check itself failed ({type(error).__name__}: {error})", "report this as a bug", 1)
