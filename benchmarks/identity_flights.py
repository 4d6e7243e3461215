"""Rendered flights for the benchmark of names: through the network once, then through the inventory three ways.

A flight goes along a girder in lanes and back over the same lanes; its pictures are kept in ``--cache``. The inventory
sees them out with a good pose (``flypast``), out and back with a pose that drifts on the way back (``drift``), and out
and back without any pose (``blind``).
"""

from __future__ import annotations

import math
import pickle
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge.cracks import Crack
from edge.frames import synthetic
from edge.measurers import MEASURERS, Measures
from edge.navigation import NavState, nowhere
from edge.rendered.cracks import SurfaceCrack
from edge.rendered.nav import NavRow, nav_rows, write_nav_csv
from edge.support import backends
from edge.support.clock import ManualClock, SystemClock
from edge.surface import CrackSize
from edge.surface.inventory import Inventory, Look
from edge.surface.place import Surveyor
from edge.surface.record import CrackState
from edge.surface.scale import size_of
from edge.tools.demo.flight import SCALE, SITE
from edge.tools.replay.run import open_navigator

Points = npt.NDArray[np.float64]
FPS = 4.0
DRIFT = 0.2
"""The pose of the second pass drifts away by this share of a frame's width, along and up the wall."""
_START = datetime(2026, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture of a flight, and what a single frame makes of it."""

    seq: int
    t_s: float
    rgb_jpeg: bytes
    cracks: tuple[Crack, ...]
    reported: int
    """So many of ``cracks``, the first ones, are reported by ``[report]`` as it was when the flight was kept."""
    to_frame: Points
    """float64 (3, 3): the true homography from surface millimetres to pixels."""


@dataclass(frozen=True, slots=True)
class Flown:
    """A flight with its truth."""

    seed: int
    lap_s: float
    truth: tuple[SurfaceCrack, ...]
    shots: tuple[Shot, ...]
    rows: tuple[NavRow, ...]
    footprint_m: float
    """Width of a frame on the wall."""


def flown(seed: int, cache: Path | None, bundle: Path | None = None) -> Flown:
    """Fly out and back along the girder of ``seed``, or read it from ``cache``."""
    kept = None if cache is None else cache / f"flight-{seed}.pickle"
    if kept is not None and kept.exists():
        flight: Flown = pickle.loads(kept.read_bytes())
        return flight
    flight = _fly(seed, bundle)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(pickle.dumps(flight))
    return flight


def _fly(seed: int, bundle: Path | None) -> Flown:
    clock = ManualClock(_START, synced=True)
    probe = synthetic.open_camera(synthetic.Options(seed=seed, fps=FPS, seconds=1, live=False), clock)
    lap_s = probe.track.lap_s
    seconds = 2 * lap_s
    camera = synthetic.open_camera(synthetic.Options(seed=seed, fps=FPS, seconds=seconds, live=False), clock)
    table: dict[str, Any] = {} if bundle is None else {"bundle": str(bundle)}
    segmenter = backends.open_backend(
        "edge.masks", "open_segmenter", table, SystemClock(), where="masks", default="litert"
    )
    shots = []
    with segmenter, camera:
        measurer = MEASURERS["line"](Measures())
        for frame in camera.frames():
            (mask,) = [one for one in segmenter.segment(frame).classes if one.kind.measure == "line"][:1]
            found = measurer.measure(mask)
            cracks = tuple(one for one in (*found.damage, *found.held_back) if isinstance(one, Crack))
            coded = cv2.imencode(".jpg", frame.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
            t_s = (frame.exposed_ns - camera.track.start_ns) / 1e9
            shots.append(Shot(frame.seq, t_s, coded, cracks, len(found.damage), camera.surface_to_frame(frame)))
    rows = tuple(nav_rows(camera.track, seconds, seed=seed, site=SITE))
    width = camera.lens.gsd_mm_per_px(1.7) * camera.lens.width_px / 1000
    return Flown(seed, lap_s, camera.scene.cracks, tuple(shots), rows, width)


@dataclass(frozen=True, slots=True)
class Flight:
    """What the inventory made of one flight."""

    cracks: tuple[CrackState, ...]
    """The last revision of each."""
    to_wall: dict[int, Points]
    """By chart: (3, 3), from chart units to millimetres of the wall, fitted to the truth of all its frames
    but those that lie more than 40 mm off."""
    seen_by: tuple[Shot, ...]
    charts: int
    cost_ms: npt.NDArray[np.float64]
    """CPU milliseconds of the inventory, a value a frame."""


VARIANTS = ("flypast", "drift", "blind")


def looks(flight: Flown, variant: str, folder: Path) -> Iterator[tuple[Look, Shot]]:
    """The frames of one variant as the inventory gets them."""
    clock = ManualClock(_START, synced=True)
    start_ns = clock.monotonic_ns()
    path = folder / f"nav-{flight.seed}-{variant}.csv"
    rows = flight.rows if variant != "drift" else tuple(_drifted(row, flight) for row in flight.rows)
    write_nav_csv(path, iter(rows))
    surveyor = Surveyor(SCALE)
    with open_navigator(path, 0.0, clock) as navigator:
        for shot in flight.shots:
            if variant == "flypast" and shot.t_s > flight.lap_s:
                break
            at_ns = start_ns + round(shot.t_s * 1e9)
            clock.advance_to(at_ns)
            nav: NavState = nowhere(at_ns) if variant == "blind" else navigator.at(at_ns)
            picture = cv2.imdecode(np.frombuffer(shot.rgb_jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None, "it was encoded here"
            rgb = np.ascontiguousarray(np.asarray(picture, np.uint8)[..., ::-1])
            view = surveyor.look(nav, rgb.shape[1], rgb.shape[0])
            sizes: list[CrackSize | None] = [size_of(crack, view.plane, SCALE) for crack in shot.cracks]
            at = _START + timedelta(seconds=shot.t_s)
            yield Look(shot.seq, None, at, rgb, shot.cracks, sizes, view), shot


def _drifted(row: NavRow, flight: Flown) -> NavRow:
    """The pose drifts from the end of the first pass on, and says so."""
    share = max(0.0, row.t_s - flight.lap_s) / flight.lap_s
    if share == 0 or row.lat_deg is None or row.lon_deg is None or row.alt_amsl_m is None:
        return row
    off_m = share * DRIFT * flight.footprint_m
    heading = math.radians(SITE.heading_deg)
    north, east = -off_m * math.sin(heading), off_m * math.cos(heading)
    return replace(
        row,
        lat_deg=row.lat_deg + north / 111_200,
        lon_deg=row.lon_deg + east / (111_200 * math.cos(math.radians(SITE.lat_deg))),
        alt_amsl_m=row.alt_amsl_m + off_m,
        h_accuracy_m=math.hypot(0.014, off_m),
    )


def inventoried(flight: Flown, variant: str, folder: Path) -> Flight:
    """Run the inventory over a variant."""
    inventory = Inventory()
    placed: dict[int, list[tuple[Points, Points]]] = {}
    cost, shots = [], []
    last: dict[int, CrackState] = {}
    for look, shot in looks(flight, variant, folder):
        begun = time.thread_time_ns()
        told = inventory.add(look)
        cost.append((time.thread_time_ns() - begun) / 1e6)
        last |= {state.number: state for state in told.revisions}
        height, width = look.rgb.shape[:2]
        grid = np.array([(x, y) for x in (0, width / 2, width) for y in (0, height / 2, height)], np.float64)
        at = told.placed
        if at.rebased is not None:
            placed[at.chart] = [(through(at.rebased, chart), wall) for chart, wall in placed.get(at.chart, [])]
        if at.bent is not None:
            placed[at.chart] = [(at.bent(chart), wall) for chart, wall in placed.get(at.chart, [])]
        pair = through(at.to_chart, grid), through(np.linalg.inv(shot.to_frame), grid)
        placed.setdefault(at.chart, []).append(pair)
        shots.append(shot)
    last |= {state.number: state for state in inventory.finish()}
    for bend in inventory.bends:
        placed[bend.chart] = [(bend(chart), wall) for chart, wall in placed.get(bend.chart, [])]
    to_wall = {}
    for chart, pairs in placed.items():
        ours, walls = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
        to_wall[chart] = np.asarray(cv2.findHomography(ours, walls, cv2.RANSAC, 40.0)[0], np.float64)
    return Flight(tuple(last.values()), to_wall, tuple(shots), len(placed), np.array(cost))


def through(matrix: npt.NDArray[np.floating[Any]], points: npt.NDArray[np.floating[Any]]) -> Points:
    mapped = np.column_stack([points, np.ones(len(points))]) @ matrix.T
    return np.asarray(mapped[:, :2] / mapped[:, 2:], np.float64)
