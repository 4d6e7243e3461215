from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.daemon.control import Control, Switch
from edge.mqtt.memory import MemoryPublisher, Options, open_publisher
from edge.support.clock import ManualClock
from edge.support.errors import DeviceError

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


def broken() -> Mapping[str, Any]:
    raise DeviceError("the shutter is stuck; land")


def made(*, synced: bool = True) -> tuple[MemoryPublisher, Control, Switch]:
    clock = ManualClock(NOON, synced=synced)
    publisher = open_publisher(Options(), clock, vehicle="d", last_will=b"")
    assert isinstance(publisher, MemoryPublisher)
    switch = Switch(flying=False)
    actions = {"start": switch.start, "stop": switch.stop, "broken": broken}
    return publisher, Control(publisher, "spanhawk/d/commands/replies", actions, clock), switch


def ask(publisher: MemoryPublisher, control: Control, payload: bytes, reply_to: str | None = "me") -> dict[str, Any]:
    publisher.command(payload, reply_to, b"7")
    assert control.step() == 1
    publisher.deliver()
    answer = publisher.arrived[-1]
    assert answer.correlation == b"7"
    assert answer.topic == (reply_to or "spanhawk/d/commands/replies")
    document: dict[str, Any] = json.loads(answer.payload)
    return document


def test_start_and_stop_turn_the_switch_and_are_answered() -> None:
    publisher, control, switch = made()
    assert ask(publisher, control, b'{"command": "start", "id": "a"}') == {
        "command": "start", "id": "a", "ok": True, "error": None, "result": {"flying": True},
    }  # fmt: skip
    assert switch.flying
    assert ask(publisher, control, b'{"command": "stop"}', None)["result"] == {"flying": False}
    assert not switch.flying


def test_what_fails_and_what_is_unknown_is_answered_with_a_sentence() -> None:
    publisher, control, _ = made()
    assert ask(publisher, control, b'{"command": "broken"}')["error"] == "the shutter is stuck; land"
    unknown = ask(publisher, control, b'{"command": "dance"}')
    assert unknown["ok"] is False
    assert "start" in unknown["error"]


@pytest.mark.parametrize(
    ("synced", "at", "ok"), [(True, "11:59", False), (True, "12:01", True), (False, "12:01", False)]
)
def test_a_command_that_expired_or_cannot_be_timed_is_not_carried_out(synced: bool, at: str, ok: bool) -> None:
    publisher, control, switch = made(synced=synced)
    told = ask(publisher, control, f'{{"command": "start", "expires_at": "2026-06-01T{at}:00Z"}}'.encode())
    assert told["ok"] is ok
    assert switch.flying is ok


@given(st.binary(max_size=200))
def test_any_bytes_are_answered(payload: bytes) -> None:
    publisher, control, switch = made()
    assert ask(publisher, control, payload)["ok"] is False
    assert not switch.flying


def test_a_command_that_stumbles_is_answered_and_the_next_one_is_carried_out(caplog: pytest.LogCaptureFixture) -> None:
    """OpenCV's errors are nothing that Python knows; one in a snapshot used to end the thread and the flight."""
    publisher, control, switch = made()

    def encode() -> Mapping[str, Any]:
        cv2.imencode(".jpg", np.empty((0, 0), np.uint8))
        return {}

    control._actions = {**control._actions, "snapshot": encode}
    answer = ask(publisher, control, b'{"command": "snapshot"}')
    assert answer["ok"] is False
    assert answer["error"].startswith("error: OpenCV")
    assert "Traceback" in caplog.text
    assert ask(publisher, control, b'{"command": "start"}')["ok"] is True
    assert switch.flying
