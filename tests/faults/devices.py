"""Devices that hang, die or send noise: how soon that is noticed, and that they are opened again."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress

from edge.frames.newest import NewestFrame
from edge.navigation.mavlink import Options, open_navigator
from edge.support.clock import SystemClock
from tests.faults.row import Measured, Row, Scale
from tests.faults.world import World, pause, until, world
from tests.frames.driver import Driver, finish, plugged
from tests.mqtt.broker import free_port
from tests.navigation.test_mavlink import Vehicle

_SOON_S = 2.0
_LOOK_S = 0.25  # what looking for it adds on a busy machine


def run_camera(scale: Scale) -> Measured:
    """The V4L2 camera on a scripted driver that hangs, comes back, and fails."""
    clock, hung, gone, whole = SystemClock(), Driver(), Driver(), Driver()
    with NewestFrame(plugged(clock, hung, gone, whole), clock) as feed:
        hung.play(Driver.FRAME)
        feed.take(0.0)  # whoever takes frames also gives up a camera that is silent
        hang_s = until(lambda: feed.health(), "a hanging camera to be noticed")
        told = str(feed.health())
        back_s = until(lambda: feed.take(0.01) or gone.asked.is_set(), "the hung camera to be opened again")
        until(gone.asked.is_set, "the camera to be read again")
        gone.play(Driver.FRAME, Driver.GONE)
        feed.take(0.0)
        die_s = until(lambda: feed.health() or whole.asked.is_set(), "a dead camera to be noticed")
        until(lambda: feed.take(0.01) or whole.asked.is_set(), "the dead camera to be opened again")
        whole.play(Driver.FRAME)
        until(lambda: feed.health() is None, "the camera to be well again")
        finish(hung, gone, whole)
    figures = (
        f"hang noticed after {hang_s:.1f} s (“{told}”) and opened again {back_s:.1f} s later; death noticed after "
        f"{die_s:.2f} s and opened again; well again after the next frame"
    )
    return Measured(figures, max(hang_s, die_s) <= _SOON_S + _LOOK_S)


def run_gps(scale: Scale) -> Measured:
    """An autopilot over UDP that falls silent, sends noise, and comes back."""
    port = free_port()
    vehicle = Vehicle(port)
    with open_navigator(Options(device=f"udp:127.0.0.1:{port}"), SystemClock()) as navigator:

        def spoken() -> bool:
            vehicle.tell()
            return navigator.health() is None

        until(spoken, "the autopilot to be heard")
        for _ in range(10):
            vehicle.tell()
            pause(0.1)
        silent_s = until(lambda: navigator.health(), "a silent autopilot to be noticed")
        told = str(navigator.health())
        for _ in range(200):
            with suppress(OSError):
                vehicle.send(os.urandom(280))
        noise = navigator.health()
        back_s = until(spoken, "the autopilot to be heard again")
    vehicle.socket.close()
    figures = (
        f"silence noticed after {silent_s:.1f} s (“{told}”); 200 packets of noise change nothing; well again "
        f"{back_s:.2f} s after the next message"
    )
    return Measured(figures, silent_s <= _SOON_S + _LOOK_S and noise is not None)


def run_accelerator(scale: Scale) -> Measured:
    """The real daemon on an accelerator that dies after ten frames; systemd would start it anew at once."""
    with world(scale.folder) as made:
        whole = _flown_with(made, "fail_after = 10")
        until(lambda: not made.alive, "the daemon to end")
        code = made.daemon.returncode if made.daemon is not None else None
        until(lambda: made.status().get("state") == "offline", "the ground to hear of it", 5.0)
        made.config.write_text(whole, encoding="utf-8")
        before, _ = made.kept(), made.start()
        back_s = until(lambda: made.kept() > before, "detections to go on")
        _, account = made.settle()
    figures = (
        f"death ends the daemon with {code}, status `offline`; started again, detections go on after "
        f"{back_s:.1f} s; {account.put} put, {account.gaps} gaps, {account.missing} not received"
    )
    return Measured(figures, code == 69 and not (account.gaps or account.missing))


def run_hang(scale: Scale) -> Measured:
    """The real daemon on an accelerator whose call never returns; ended as systemd's watchdog ends it."""
    with world(scale.folder) as made:
        whole = _flown_with(made, "hang_after = 10")
        until(lambda: "accelerator hangs" in made.reasons(), "status to say that the accelerator hangs")
        told = made.reasons()
        took_s = float(told.partition("in work for ")[2].split()[0])
        code = made.end(signal.SIGABRT)
        made.config.write_text(whole, encoding="utf-8")
        before, _ = made.kept(), made.start()
        until(lambda: made.kept() > before, "detections to go on")
        _, account = made.settle()
    figures = (
        f"told after {took_s:.0f} s (“{told}”); the watchdog's signal ends it ({code}); {account.put} put, "
        f"{account.gaps} gaps, {account.missing} not received"
    )
    return Measured(figures, took_s <= _SOON_S + 1 and not (account.gaps or account.missing))


def run_noise(scale: Scale) -> Measured:
    """The real daemon on an accelerator that answers with noise: half of every picture is damage."""
    with world(scale.folder) as made:
        _flown_with(made, "noise_after = 10")
        until(lambda: made.kept() > 10, "the daemon to go on")
        until(lambda: "returns noise" in made.reasons(), "status to say that the accelerator returns noise")
        told = made.reasons()
        pause(0.0 if scale.quick else 60.0)
        alive = made.alive
        telemetry = json.loads(made.ear.payloads("spanhawk/drone1/telemetry")[-1])
        _, account = made.settle()
    figures = (
        f"daemon {'alive' if alive else 'ENDED'}; {telemetry['frames']} frames, {telemetry['detections']} detections, "
        f"{account.put} put, {account.gaps} gaps, {account.missing} not received; status said: “{told}”"
    )
    return Measured(figures, alive and not (account.gaps or account.missing))


def _flown_with(made: World, misbehaviour: str) -> str:
    """Start the daemon on a fake accelerator that misbehaves; returns the configuration with which it does not."""
    whole = made.config.read_text(encoding="utf-8")
    made.config.write_text(whole.replace('backend = "dark"', f'backend = "dark"\n{misbehaviour}'), encoding="utf-8")
    made.start()
    until(lambda: made.kept() > 0, "the daemon to write something down")
    return whole


_ASKED = "noticed in 2 s, announced, opened again without a limit"
ROWS = (
    Row("camera", "camera hangs and dies", _ASKED, run_camera),
    Row("gps", "autopilot falls silent and sends noise", _ASKED, run_gps),
    Row(
        "accelerator", "accelerator dies", "announced, daemon ends with 69 and systemd starts it anew", run_accelerator
    ),
    Row("accelerator-hang", "accelerator hangs in its call", "told within 3 s; 0 lost", run_hang),
    Row("accelerator-noise", "accelerator answers with noise", "told, daemon alive, 0 lost", run_noise),
)
