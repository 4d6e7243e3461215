"""cracks.gpkg for QGIS and every other program that reads OGC GeoPackage, written by GDAL (pyogrio).

Layers: ``cracks``, ``crack_points`` (damage of which only one point is known), ``cameras``, ``footprints``, ``track``,
``coverage``, and ``wall_1``, ``wall_1_points``, ``wall_1_coverage`` … with metres along and up in an undefined
Cartesian reference system (srs_id -1). Styles for QGIS lie in ``layer_styles``. It is a derivative: QGIS changes its
bytes by opening it.
"""

from __future__ import annotations

import os
import sqlite3
import struct
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from edge.ground.report import coverage
from edge.ground.report.cameras import Camera
from edge.ground.report.columns import FIELDS, NUMBERS
from edge.ground.report.flight import Json
from edge.ground.report.qml import crack_style, plain_style
from edge.ground.report.walls import Float64
from edge.support.errors import TryAgainError

Row = Mapping[str, Any]
Rings = Sequence[Sequence[Sequence[float]]]
"""Of a polygon, the outer one first."""
_WGS84, _WGS84_3D = "EPSG:4326", "EPSG:4979"


def busy(path: Path) -> str | None:
    """Why ``path`` must not be replaced now: another program has it open to write; None when nothing holds it."""
    for tail in ("-wal", "-journal"):
        beside = path.with_name(path.name + tail)
        if beside.exists() and beside.stat().st_size:
            return f"{path.name} is open in another program ({beside.name} lies beside it)"
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=0)) as database:
            database.execute("BEGIN EXCLUSIVE")
            database.rollback()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return f"{path.name} is locked by another program"
    except sqlite3.DatabaseError:
        return None  # no database at all: nobody works with it
    return None


def write(
    path: Path,
    rows: Sequence[Row],
    courses: Sequence[Sequence[Sequence[float]] | None],
    flat: Mapping[str, Sequence[tuple[Row, Float64]]],
    cameras: Sequence[Camera],
    bands: Sequence[str],
    seen: Sequence[Json],
    seen_on: Mapping[str, Sequence[tuple[Row, Rings]]],
) -> None:
    """Write the whole file beside ``path``, then put it in its place.

    ``flat``: by a wall's name, its cracks as metres along and up. ``bands``: names of the bands, narrowest first.
    ``seen``: Features of the coverage; ``seen_on``: by a wall's name, a row (``coverage.row``) and the
    rings of each of their outlines as metres along and up.
    Raises TryAgainError while another program holds the old one, OSError on a full disk.
    """
    if (why := busy(path)) is not None:
        raise TryAgainError(f"{path}: {why}; close it there and run the command again. Every other file is written")
    part = path.with_name(f".{path.stem}.part.gpkg")
    part.unlink(missing_ok=True)
    try:
        styles = _layers(part, rows, courses, flat, cameras, bands)
        styles += _coverage(part, seen, list(seen_on.values()))
        _finish(part, styles)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _layers(
    path: Path,
    rows: Sequence[Row],
    courses: Sequence[Sequence[Sequence[float]] | None],
    flat: Mapping[str, Sequence[tuple[Row, Float64]]],
    cameras: Sequence[Camera],
    bands: Sequence[str],
) -> list[tuple[str, str]]:
    """Write the layers; returns each one's name with its QML."""
    lines = [(row, course) for row, course in zip(rows, courses, strict=True) if course is None or len(course) > 1]
    known = [course for _, course in lines if course is not None]
    # A layer is wholly with heights or wholly without: a height of one crack that is unknown is not written as 0.
    deep = bool(known) and all(len(point) > 2 for course in known for point in course)
    _layer(
        path, "cracks", "LineString Z" if deep else "LineString", _WGS84_3D if deep else _WGS84,
        [None if course is None else _line([point[: 3 if deep else 2] for point in course]) for _, course in lines],
        _columns([row for row, _ in lines]),
    )  # fmt: skip
    styles = [("cracks", crack_style(bands, "photo"))]
    points = [
        (row, course[0]) for row, course in zip(rows, courses, strict=True) if course is not None and len(course) == 1
    ]
    if points:
        _layer(
            path,
            "crack_points",
            "Point",
            _WGS84,
            [_point(point[:2]) for _, point in points],
            _columns([row for row, _ in points]),
        )
        styles.append(("crack_points", plain_style("Point")))
    if cameras:
        _cameras(path, cameras)
        styles += [
            ("cameras", plain_style("Point")),
            ("footprints", plain_style("Polygon")),
            ("track", plain_style("Line")),
        ]
    for number, (name, cracks) in enumerate(flat.items(), 1):
        layer = f"wall_{number}"
        spots = [one for one in cracks if len(one[1]) == 1]
        cracks = [one for one in cracks if len(one[1]) > 1]
        shapes = [_line(path_m.tolist()) for _, path_m in cracks]
        _layer(
            path,
            layer,
            "LineString",
            None,
            shapes,
            {"wall": [name] * len(cracks), **_columns([row for row, _ in cracks])},
        )
        styles.append((layer, crack_style(bands, "photo")))
        if spots:
            columns = {"wall": [name] * len(spots), **_columns([row for row, _ in spots])}
            _layer(path, f"{layer}_points", "Point", None, [_point(path_m[0]) for _, path_m in spots], columns)
            styles.append((f"{layer}_points", plain_style("Point")))
    return styles


def _coverage(
    path: Path, seen: Sequence[Json], on_walls: Sequence[Sequence[tuple[Row, Rings]]]
) -> list[tuple[str, str]]:
    """Write what was looked at, over the ground and on each wall; returns each layer's name with its QML."""
    layers: list[tuple[str, str, str | None, list[tuple[Row, bytes]]]] = []
    placed = [(coverage.row(one), _polygons(found)) for one in seen if (found := coverage.polygons(one))]
    layers.append(("coverage", "MultiPolygon", _WGS84, placed))
    for number, outlines in enumerate(on_walls, 1):
        flat = [(row, _polygon(*rings)) for row, rings in outlines]
        layers.append((f"wall_{number}_coverage", "Polygon", None, flat))
    styles = []
    for name, kind, crs, patches in layers:
        if patches:
            columns = {key: [row[key] for row, _ in patches] for key in coverage.COLUMNS}
            _layer(path, name, kind, crs, [shape for _, shape in patches], columns)
            styles.append((name, plain_style("Polygon")))
    return styles


_OF_CAMERAS = (
    "name", "seen_at", "alt_ellipsoid_m", "alt_amsl_m", "roll_deg", "pitch_deg", "yaw_deg", "h_acc_m", "v_acc_m",
)  # fmt: skip


def _cameras(path: Path, cameras: Sequence[Camera]) -> None:
    columns: dict[str, list[Any]] = {name: [getattr(one, name) for one in cameras] for name in _OF_CAMERAS}
    _layer(path, "cameras", "Point", _WGS84, [_point((one.lon_deg, one.lat_deg)) for one in cameras], columns)
    shown = [one for one in cameras if one.footprint is not None]
    _layer(
        path, "footprints", "Polygon", _WGS84,
        [_polygon(one.footprint) for one in shown if one.footprint is not None],
        {"name": [one.name for one in shown], "seen_at": [one.seen_at for one in shown]},
    )  # fmt: skip
    track = [(one.lon_deg, one.lat_deg) for one in cameras]
    _layer(
        path,
        "track",
        "LineString",
        _WGS84,
        [_line(track)] if len(track) > 1 else [],
        {"cameras": [float(len(track))] if len(track) > 1 else []},
    )


def _columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in FIELDS}


_NUMERIC = (
    NUMBERS
    | {"alt_ellipsoid_m", "alt_amsl_m", "roll_deg", "pitch_deg", "yaw_deg", "v_acc_m", "cameras"}
    | {*coverage.COLUMNS[3:]}
)
_WHOLE = frozenset({"number", "n_views"})


def _layer(
    path: Path,
    name: str,
    kind: str,
    crs: str | None,
    shapes: Sequence[bytes | None],
    columns: Mapping[str, Sequence[Any]],
) -> None:
    from pyogrio import raw

    data, masks = [], []
    for column, values in columns.items():
        empty = np.array([value is None for value in values], np.bool_)
        if column in _NUMERIC:
            data.append(np.array([0.0 if value is None else float(value) for value in values], np.float64))
        elif column in _WHOLE:
            data.append(np.array([0 if value is None else int(value) for value in values], np.int64))
        else:
            data.append(np.array([None if value is None else str(value) for value in values], object))
        masks.append(empty)
    with warnings.catch_warnings():
        # An undefined reference system is what a wall's own metres have.
        warnings.filterwarnings("ignore", message=".*crs.*was not provided")
        raw.write(
            path, np.array(shapes, object), data, list(columns), field_mask=masks, layer=name, driver="GPKG",
            geometry_type=kind, crs=crs, layer_options={"SRID": "-1"} if crs is None else {},
            dataset_options={"VERSION": "1.2"},  # 1.4 makes programs of 2023 complain
        )  # fmt: skip


def _finish(path: Path, styles: Sequence[tuple[str, str]]) -> None:
    """Add the styles as QGIS looks for them, and leave the journal in the mode that network drives stand."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute(
            "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT, f_table_catalog TEXT,"
            " f_table_schema TEXT, f_table_name TEXT, f_geometry_column TEXT, styleName TEXT, styleQML TEXT,"
            " styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT, ui TEXT,"
            " update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"
        )
        database.executemany(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName,"
            " styleQML, styleSLD, useAsDefault, description, owner) VALUES ('', '', ?, 'geom', 'spanhawk', ?, '', 1,"
            " 'written by spanhawk', '')",
            styles,
        )
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description) VALUES"
            " ('layer_styles', 'attributes', 'layer_styles', 'styles for QGIS')"
        )


# Well-known binary (OGC 06-103r4, 8.2), little endian.
def _point(point: Sequence[float]) -> bytes:
    return struct.pack("<BI2d", 1, 1, *point[:2])


def _line(points: Sequence[Sequence[float]]) -> bytes:
    array = np.asarray(points, "<f8")
    return struct.pack("<BII", 1, 2 if array.shape[1] == 2 else 1002, len(array)) + array.tobytes()


def _polygon(*rings: Sequence[Sequence[float]]) -> bytes:
    arrays = [np.asarray([point[:2] for point in ring], "<f8") for ring in rings]
    parts = [struct.pack("<I", len(array)) + array.tobytes() for array in arrays]
    return struct.pack("<BII", 1, 3, len(parts)) + b"".join(parts)


def _polygons(found: Sequence[Rings]) -> bytes:
    return struct.pack("<BII", 1, 6, len(found)) + b"".join(_polygon(*rings) for rings in found)
