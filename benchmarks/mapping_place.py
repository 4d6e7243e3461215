"""Places, timing, scale at a tilt, and cost, each against a truth that shares nothing with the package.

The scenes are `place_scenes`; distances are dot products. The package sees only what sensors would give: angles, a
range, a fix, pixels; for timing it hears them over real UDP.
"""

from __future__ import annotations

import math
import random
import socket
import threading
import time
from dataclasses import dataclass

import numpy as np
from pymavlink.dialects.v20 import common

from benchmarks.place_scenes import (
    CHI2_2,
    HEIGHT,
    LAT,
    LON,
    SURFACES,
    Camera,
    F,
    H,
    W,
    ecef,
    enu_vectors,
    lens_card,
    scene,
    state,
    surveyor,
    wgs84_miss,
)
from edge.cracks import Crack
from edge.navigation import NavState
from edge.navigation.mavlink import Options, open_navigator
from edge.support.clock import SystemClock
from edge.surface import Place
from edge.surface.lens import Lens
from edge.surface.local import PlaceOptions
from edge.surface.place import Surveyor
from edge.surface.scale import ScaleOptions, size_of


@dataclass
class Row:
    measure: str
    value: str
    goal: str
    met: bool


def perfect(count: int = 400) -> list[Row]:
    rows = []
    for surface in SURFACES:
        rng = np.random.default_rng([1, SURFACES.index(surface)])
        shares = []
        for _ in range(count):
            made = scene(rng, surface)
            nav = state(made.camera, np.zeros(3), made.range_m, 0.02, 0.03)
            view = surveyor(surface, lens_card(), made.normal, PlaceOptions()).look(nav, W, H)
            place = view.place_of(made.pixel)
            assert place.method == "surface", place
            shares.append(wgs84_miss(place, made.target) / made.range_m)
        worst = max(shares)
        text = f"median {np.median(shares):.1e}, worst {worst:.1e} of the range"
        rows.append(Row(f"place, {surface}, perfect sensors", text, "under 1 %", worst < 0.01))
    return rows


def noisy(count: int = 1500) -> list[Row]:
    """Every input wrong by as much as is said of it: does the stated ellipse hold what it should?"""
    rows = []
    h, v, tilt, heading, range_s, focal, slant = 0.05, 0.08, 1.0, 3.0, 0.03, 0.01, 5.0
    place = PlaceOptions(attitude_uncertainty_deg=tilt, heading_uncertainty_deg=heading)
    up = np.array([0.0, 0.0, 1.0])
    for surface in SURFACES:
        rng = np.random.default_rng([2, SURFACES.index(surface)])
        inside, axes, miss = [], [], []
        for _ in range(count):
            made = scene(rng, surface, slant)
            true_range = made.range_m
            measured = made.camera
            for axis, sigma in ((np.array([1.0, 0, 0]), tilt), (np.array([0, 1.0, 0]), tilt), (up, heading)):
                measured.turned(axis, math.radians(rng.normal(0, sigma)))
            fix_error = rng.normal(0, [h, h, v])
            nav = state(measured, fix_error, true_range + rng.normal(0, range_s), h, v)
            card = lens_card(uncertainty=focal)
            scale = 1 + rng.normal(0, focal)
            card = Lens(
                **{name: getattr(card, name) for name in card.__dataclass_fields__}
                | {"fx_px": F * scale, "fy_px": F * scale}
            )
            made_by = surveyor(
                surface, card, made.normal, place, range_uncertainty_m=range_s, tilt_uncertainty_deg=slant
            )
            found = made_by.look(nav, W, H).place_of(made.pixel)
            if found.method != "surface":
                continue
            assert found.ellipse is not None
            assert found.sigma_m is not None
            error = error_enu(found, made.target)
            miss.append(float(np.linalg.norm(error)))
            azimuth = math.radians(found.ellipse.azimuth_deg)
            along = error[0] * math.sin(azimuth) + error[1] * math.cos(azimuth)
            across = error[0] * math.cos(azimuth) - error[1] * math.sin(azimuth)
            inside.append((along / found.ellipse.major_m) ** 2 + (across / found.ellipse.minor_m) ** 2 <= CHI2_2)
            axes.append([abs(e) <= 2 * s for e, s in zip(error, found.sigma_m, strict=True) if s is not None])
        share, single = float(np.mean(inside)), np.mean(axes, axis=0)
        by_axis = f"east {single[0]:.1%}, north {single[1]:.1%}, up {single[2]:.1%}"
        text = f"{share:.1%} ({by_axis}); median error {np.median(miss):.2f} m"
        rows.append(Row(f"2-sigma ellipse, {surface}, noisy sensors", text, "90 to 98 %", 0.90 <= share <= 0.98))
    return rows


def error_enu(place: Place, truth_enu: np.ndarray) -> np.ndarray:
    assert place.lat_deg is not None
    assert place.lon_deg is not None
    assert place.alt_ellipsoid_m is not None
    there = ecef(place.lat_deg, place.lon_deg, place.alt_ellipsoid_m) - ecef(LAT, LON, HEIGHT)
    return np.asarray(enu_vectors(LAT, LON) @ there - truth_enu)


def tilted(count: int = 200) -> Row:
    """A crack of 300 mm on a wall seen at 50 degrees through a lens with 10 % distortion; length and width."""
    rng = np.random.default_rng(4)
    worst_length, worst_width, naive = 0.0, 0.0, []
    for _ in range(count):
        camera = Camera(np.zeros(3), 90.0, 50.0, float(rng.uniform(-5, 5)))
        distance = float(rng.uniform(1.5, 4))
        foot = camera.ahead * distance
        turn, length, width = float(rng.uniform(0, math.pi)), 0.3, 0.008
        along = np.array([0.0, math.cos(turn), math.sin(turn)])
        across = np.array([0.0, -math.sin(turn), math.cos(turn)])
        middle = foot + rng.uniform(-0.15, 0.15) * distance * along + rng.uniform(-0.1, 0.1) * distance * across
        steps = np.linspace(-length / 2, length / 2, 61)
        path = np.array([camera.pixel(middle + s * along) for s in steps])
        left = np.array([camera.pixel(middle + s * along + width / 2 * across) for s in steps])
        right = np.array([camera.pixel(middle + s * along - width / 2 * across) for s in steps])
        if not ((path >= 0) & (path < [W, H])).all():
            continue
        tangent = np.gradient(path, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        width_px = np.abs(((left - right) * np.column_stack([-tangent[:, 1], tangent[:, 0]])).sum(axis=1))
        length_px = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
        crack = Crack(path.astype(np.float32), length_px, width_px.astype(np.float32), 0.05, "profile", 1.0, 0)
        options = ScaleOptions(surface="vertical", wall_normal_deg=270.0, min_width_px=0.5)
        made = Surveyor(options)
        made._card = lens_card()
        view = made.look(NavState(0, None, camera.angles(), distance), W, H)
        size = size_of(crack, view.plane, options)
        assert size is not None, view.why
        assert size.width_mm is not None
        worst_length = max(worst_length, abs(size.length_mm / 300 - 1))
        worst_width = max(worst_width, abs(size.width_mm / 8 - 1))
        naive.append(abs(length_px * distance * 1000 / F / 300 - 1))
    text = f"length {worst_length:.2%}, width {worst_width:.2%} at worst (naive: {np.median(naive):.0%})"
    return Row("scale at 50 degrees of tilt, 10 % distortion", text, "under 1 %", max(worst_length, worst_width) < 0.01)


class Drone(threading.Thread):
    """Flies north at 3 m/s and tells it over UDP, each packet late by up to 50 ms, on a clock that runs 50 ppm fast."""

    SPEED, JITTER_S, DRIFT = 3.0, 0.05, 50e-6

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(0.0005)
        self.to = ("127.0.0.1", port)
        self.mav = common.MAVLink(None, srcSystem=1, srcComponent=1)
        self.started_ns = time.monotonic_ns()
        self.done = threading.Event()
        self.waiting: list[tuple[int, bytes]] = []
        self.random = random.Random(5)

    def true_north_m(self, at_ns: int) -> float:
        return (at_ns - self.started_ns) / 1e9 * self.SPEED

    def boot_ms(self, at_ns: int) -> int:
        return round(10_000 + (at_ns - self.started_ns) / 1e6 * (1 + self.DRIFT))

    def send(self, message: object, at_ns: int) -> None:
        data = bytes(message.pack(self.mav))  # type: ignore[attr-defined]  # pymavlink is untyped
        self.mav.seq = (self.mav.seq + 1) % 256
        self.waiting.append((at_ns + round(self.random.uniform(0.002, self.JITTER_S) * 1e9), data))

    def run(self) -> None:
        tick = 0
        parser = common.MAVLink(None)
        while not self.done.is_set():
            now_ns = time.monotonic_ns()
            if now_ns >= self.started_ns + tick * 50_000_000:
                self.report(now_ns, tick)
                tick += 1
            due = [data for at_ns, data in self.waiting if at_ns <= now_ns]
            self.waiting = [item for item in self.waiting if item[0] > now_ns]
            for data in due:
                self.socket.sendto(data, self.to)
            try:
                heard = self.socket.recv(2048)
            except TimeoutError:
                continue
            for message in parser.parse_buffer(heard) or []:
                if message.get_type() == "TIMESYNC" and message.tc1 == 0:
                    at_ns = time.monotonic_ns()
                    self.send(common.MAVLink_timesync_message(self.boot_ns(at_ns), message.ts1), at_ns)

    def boot_ns(self, at_ns: int) -> int:
        return round(10_000e6 + (at_ns - self.started_ns) * (1 + self.DRIFT))

    def report(self, now_ns: int, tick: int) -> None:
        boot = self.boot_ms(now_ns)
        lat = LAT + math.degrees(self.true_north_m(now_ns) / METRES_PER_RADIAN)
        if tick % 20 == 0:
            self.send(common.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3), now_ns)
        if tick % 4 == 0:
            self.send(
                common.MAVLink_gps_raw_int_message(
                    boot * 1000,
                    6,
                    round(lat * 1e7),
                    round(LON * 1e7),
                    11_400,
                    90,
                    120,
                    300,
                    0,
                    14,
                    62_400,
                    14,
                    20,
                    0,
                    0,
                    0,
                ),
                now_ns,
            )
        self.send(
            common.MAVLink_global_position_int_message(
                boot, round(lat * 1e7), round(LON * 1e7), 11_400, 10_000, 300, 0, 0, 0
            ),
            now_ns,
        )
        self.send(common.MAVLink_attitude_message(boot, 0, 0, 0, 0, 0, 0), now_ns)


METRES_PER_RADIAN = float(np.linalg.norm(ecef(LAT + 1e-5, LON, HEIGHT) - ecef(LAT, LON, HEIGHT))) / math.radians(1e-5)


def timing(seconds: float) -> Row:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    errors, last_heard = [], []
    with open_navigator(Options(device=f"udp:127.0.0.1:{port}"), SystemClock()) as navigator:
        drone = Drone(port)
        drone.start()
        picks = random.Random(6)
        until = time.monotonic() + seconds
        time.sleep(3.0)
        while time.monotonic() < until:
            time.sleep(picks.uniform(0.05, 0.15))
            now_ns = time.monotonic_ns()
            exposed_ns = now_ns - round(picks.uniform(0.12, 0.25) * 1e9)  # a frame is asked for after the network ran
            fix, newest = navigator.at(exposed_ns).fix, navigator.at(now_ns).fix
            if fix is None or newest is None:
                continue
            north = math.radians(fix.lat_deg - LAT) * METRES_PER_RADIAN
            errors.append(abs(north - drone.true_north_m(exposed_ns)))
            heard = math.radians(newest.lat_deg - LAT) * METRES_PER_RADIAN
            last_heard.append(abs(heard - drone.true_north_m(now_ns)))
        drone.done.set()
        drone.join()
    rms, p95 = math.sqrt(np.mean(np.square(errors))), float(np.percentile(errors, 95))
    text = (
        f"rms {rms * 1000:.0f} mm, p95 {p95 * 1000:.0f} mm, worst {max(errors) * 1000:.0f} mm of {len(errors)} frames "
        f"(last position heard: {np.median(last_heard) * 1000:.0f} mm)"
    )
    return Row("position error from timing, 3 m/s, 50 ms jitter, 50 ppm", text, "under 15 mm", p95 < 0.015)


def cost(count: int = 2000) -> list[Row]:
    rng = np.random.default_rng(7)
    made = scene(rng, "wall")
    nav = state(made.camera, np.zeros(3), made.range_m, 0.02, 0.03)
    by = surveyor("wall", lens_card(), made.normal, PlaceOptions(lever_arm_m=(0.1, 0.0, 0.05)))
    nav = NavState(0, nav.fix, nav.attitude, nav.range_m, nav.attitude)
    path = np.linspace(made.pixel - 40, made.pixel + 40, 120).astype(np.float32)
    frame_ms, finding_ms = [], []
    for _ in range(count):
        begun = time.thread_time_ns()  # CPU time: what else runs on the machine does not count
        view = by.look(nav, W, H)
        looked = time.thread_time_ns()
        view.place_of(path[len(path) // 2])
        frame_ms.append((looked - begun) / 1e6)
        finding_ms.append((time.thread_time_ns() - looked) / 1e6)
    frame, finding = float(np.percentile(frame_ms, 90)), float(np.percentile(finding_ms, 90))
    return [
        Row("cost a frame, one thread, CPU time, p90", f"{frame:.2f} ms", "under 2 ms", frame < 2),
        Row("cost a finding, one thread, CPU time, p90", f"{finding:.2f} ms", "under 1 ms", finding < 1),
    ]


def measure(seconds: float) -> list[Row]:
    return [*perfect(), *noisy(), timing(seconds), tilted(), *cost()]


def table(rows: list[Row]) -> str:
    lines = ["| measure | measured | goal | met |", "|---|---|---|---|"]
    return "\n".join(
        lines + [f"| {row.measure} | {row.value} | {row.goal} | {'yes' if row.met else 'NO'} |" for row in rows]
    )
