"""Waiting for what another thread or process is about to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from edge.navigation import Navigator, NavState

T = TypeVar("T")
PATIENCE_S = 60.0  # for events that are certain to come; never waited out


def until(condition: Callable[[], T]) -> T:
    """The first true value of ``condition``; fails after PATIENCE_S."""
    deadline, nap = time.monotonic() + PATIENCE_S, threading.Event()
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        nap.wait(0.005)
    pytest.fail(f"did not happen within {PATIENCE_S:.0f} s")


def now(nav: Navigator) -> NavState:
    """What ``nav`` says of this moment."""
    return nav.at(time.monotonic_ns())
