"""What the pilot's ground station hears: few words and marks, as a camera of the vehicle, over a real UDP port."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from pymavlink.dialects.v20 import common

from edge.daemon.pilot import Pilot, pilot_of, widest
from edge.frames import Frame
from edge.frames.sharpness import Sharpness
from edge.navigation import Attitude, Fix, FixKind, NavState
from edge.navigation.fixed import Options as FixedOptions
from edge.navigation.fixed import open_navigator as open_fixed
from edge.navigation.mavlink import MavlinkNavigator, Options, open_navigator
from edge.support.clock import ManualClock, SystemClock
from edge.surface.place import Surveyor
from edge.surface.scale import ScaleOptions
from edge.surface.visibility import look
from tests.navigation.material import Autopilot
from tests.tools.doctor.bench import NOON

FIX = Fix(FixKind.RTK_FIXED, 51.05, 3.72, 11.5, 0.02, 0.03, 0)
NAV = NavState(0, FIX, Attitude(0.0, 0.0, 0.0), 2.0)


def crack(width_mm: float | None = None, at_most_mm: float | None = None, px: float = 4.0) -> dict[str, Any]:
    size = {"width_mm": width_mm, "width_at_most_mm": at_most_mm} if width_mm or at_most_mm else None
    return {"kind": "crack", "size": size, "crack": {"width_px": {"mean": px}}}


@contextmanager
def station() -> Iterator[tuple[MavlinkNavigator, Any]]:
    """A navigator that transmits, and pymavlink at the other end of its port; yields what the latter has heard."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        navigator = open_navigator(Options(device=f"udp:127.0.0.1:{port}", transmit=True), SystemClock())
        assert isinstance(navigator, MavlinkNavigator)
        with navigator:
            wire.settimeout(10.0)
            wire.sendto(Autopilot(7).heartbeat(), ("127.0.0.1", port))
            parser = common.MAVLink(None)

            def hear(kind: str) -> Any:
                while True:
                    for message in parser.parse_buffer(wire.recv(2048)) or []:
                        if message.get_type() == kind:
                            return message

            hear("HEARTBEAT")
            yield navigator, hear


def test_words_and_marks_arrive_as_from_a_camera_of_this_vehicle() -> None:
    with station() as (navigator, hear):
        navigator.tell("crack 0.8 mm")
        navigator.mark(NAV)
        said = hear("STATUSTEXT")
        assert (said.text, said.severity) == ("crack 0.8 mm", common.MAV_SEVERITY_NOTICE)
        assert (said.get_srcSystem(), said.get_srcComponent()) == (7, common.MAV_COMP_ID_CAMERA)
        mark = hear("CAMERA_IMAGE_CAPTURED")
        assert (mark.lat, mark.lon, mark.alt, mark.capture_result) == (510_500_000, 37_200_000, 11_500, 1)
        assert mark.image_index == 1


def test_without_a_fix_nothing_is_marked_and_long_words_are_cut() -> None:
    with station() as (navigator, hear):
        navigator.mark(NavState(0, None, None, None))
        navigator.tell("ä" * 80)
        navigator.mark(NAV)
        assert hear("STATUSTEXT").text == "?" * 50
        assert hear("CAMERA_IMAGE_CAPTURED").image_index == 1


class Screen(MavlinkNavigator):
    """Keeps what it is told instead of sending it."""

    def __init__(self) -> None:
        self._options = Options(transmit=True, finest_mm=0.3)
        self.words: list[str] = []
        self.marks = 0

    def tell(self, words: str) -> None:
        self.words.append(words)

    def mark(self, nav: NavState) -> None:
        self.marks += 1


class Seen:
    """As much of an outcome as the pilot is told of."""

    def __init__(self, *found: dict[str, Any], range_m: float | None = 0.01) -> None:
        self.described = tuple({"properties": one} for one in found)
        self.nav = NavState(0, FIX, Attitude(0.0, 0.0, 0.0), range_m)
        self.frame = Frame(0, 0, None, np.zeros((72, 128, 3), np.uint8))
        view = Surveyor(ScaleOptions(hfov_deg=60.0)).look(self.nav, 128, 72)
        self.seen = look(Sharpness(1.0, 1.0, 0.2, 0.0, 0.0), view, None, (72, 128), facing=True)


def test_few_words_not_the_same_twice_and_one_mark_a_second() -> None:
    clock, screen = ManualClock(NOON), Screen()
    pilot = Pilot(screen, clock)
    for _ in range(100):  # ten seconds at 10 frames a second
        pilot.see(Seen(crack(0.84)))  # type: ignore[arg-type]
        clock.advance(100_000_000)
    assert screen.words == ["crack 0.8 mm"]
    assert screen.marks == 10
    pilot.see(Seen(crack(1.2), crack(0.3)))  # type: ignore[arg-type]
    assert screen.words[1:] == ["crack 1.2 mm"]
    clock.advance(31_000_000_000)
    pilot.see(Seen(crack(1.2)))  # type: ignore[arg-type]
    assert screen.words[2:] == ["crack 1.2 mm"]


def test_what_would_show_finer_cracks_is_told_also_where_nothing_is_found() -> None:
    clock, screen = ManualClock(NOON), Screen()
    pilot = Pilot(screen, clock)
    pilot.see(Seen(range_m=None))  # type: ignore[arg-type]
    assert screen.words == [], "no range: nothing is known"
    for _ in range(20):
        pilot.see(Seen(range_m=5.0))  # type: ignore[arg-type]
        clock.advance(1_000_000_000)
    assert screen.words == ["closer for 0.3 mm"] * 2


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], None),
        ([crack(0.84), crack(1.26)], "crack 1.3 mm"),
        ([crack(at_most_mm=0.4)], "crack below 0.4 mm"),
        ([crack(px=9.0), crack(0.2)], "crack 0.2 mm"),
        ([{"kind": "spalling", "size": None, "crack": None}], "spalling, no size"),
    ],
)
def test_the_widest_in_a_few_words(found: list[dict[str, Any]], words: str | None) -> None:
    assert widest(found) == words


def test_only_where_it_is_asked_for() -> None:
    clock = ManualClock(NOON)
    assert pilot_of(open_fixed(FixedOptions(), clock), clock) is None
    screen = Screen()
    assert pilot_of(screen, clock) is not None
    screen._options = Options()
    assert pilot_of(screen, clock) is None
