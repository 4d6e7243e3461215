"""The files beside the page, read by the programs that they are for."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from edge.detections import coverage, wire
from edge.ground.report import cameras
from edge.ground.report.columns import FIELDS
from tests.ground.report import made
from tests.ground.report.reading import change, copied, page, rows, told

pytest.importorskip("pyogrio", reason="the extra [report] is not installed")
pytest.importorskip("jinja2", reason="the extra [report] is not installed")


def test_the_fields_are_the_agreed_ones_and_hold_what_the_flight_measured(out: Path) -> None:
    found = rows(out)
    one = found[made.name(3)]
    assert tuple(one) == FIELDS
    assert len(found) == 6
    assert (one["width_mean_mm"], one["width_sigma_mm"], one["length_mm"]) == ("0.3", "0.02", "1000.0")
    assert (one["band"], one["band_source"][:11]) == (
        "0.2 to 0.3 mm (the interval reaches 0.3 to 0.4 mm)",
        "EN 1992-1-1",
    )
    assert float(one["width_p95_mm"]) == 1.5
    assert float(one["orientation_deg"]) == pytest.approx(90, abs=0.5)
    assert (float(one["station_m"]), float(one["height_m"])) == (
        pytest.approx(2.0, abs=0.01),
        pytest.approx(1.0, abs=0.01),
    )
    assert one["face"] == "Wall 1, facing SE"
    assert one["offset_m"] == "", "unknown is empty"
    assert one["photo_sha256"] == hashlib.sha256((out / one["photo"]).read_bytes()).hexdigest()
    assert (one["review"], one["n_views"], one["pos_method"], one["model_sha256"]) == (
        "unreviewed",
        "4",
        "surface",
        "ab" * 32,
    )


def test_every_file_calls_a_crack_by_the_page_s_number_and_says_whether_it_is_confirmed(
    flight: Path, tmp_path: Path
) -> None:
    copy, out = copied(flight, tmp_path), tmp_path / "out"
    change(copy, 3, number=41, state="tentative", best={"frame_seq": 3, "frame_name": "<north> span 7"})
    ezdxf = pytest.importorskip("ezdxf", reason="the extra [dxf] is not installed")
    lines = [json.loads(line) for line in (copy / "detections.jsonl").read_text().splitlines()]
    lines[2]["properties"]["place"]["method"] = "none"  # the best view's own: its frame had no fix
    (copy / "detections.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    told(copy, out, dxf=True)
    assert "41 · <bdi>crack</bdi> · 0.30\u00a0mm" in page(out)
    assert "<dt>Picture</dt><dd><bdi>&lt;north&gt; span 7</bdi></dd>" in page(out)
    name, wanted = made.name(3), ("41", "tentative", "<north> span 7")
    one = rows(out)[name]
    assert (one["number"], one["state"], one["frame_name"]) == wanted
    assert one["pos_method"] == "surface", "its course is known, from other views"
    features = json.loads((out / "cracks.geojson").read_text())["features"]
    (found,) = [each["properties"] for each in features if each["id"] == name]
    assert (str(found["number"]), found["state"], found["frame_name"]) == wanted
    with sqlite3.connect(out / "cracks.gpkg") as database:
        for layer in ("cracks", "wall_1"):
            select = f"SELECT number, state, frame_name FROM {layer} WHERE crack_id = ?"
            assert database.execute(select, (name,)).fetchone() == (41, *wanted[1:])
        (style,) = database.execute("SELECT styleQML FROM layer_styles WHERE f_table_name = 'cracks'").fetchone()
    assert '[% "number" %]' in style
    assert '[% "state" %]' in style
    marks = ElementTree.parse(out / "cracks.kml").iter("{http://www.opengis.net/kml/2.2}Placemark")
    told_in = {mark[0].text: mark[1].text or "" for mark in marks}
    words = "tentative; review: unreviewed; 1000 mm long; Wall 1, facing SE<br/>"
    assert told_in["41: crack, 0.3 mm"].startswith(words)
    texts = {text.dxf.text for text in ezdxf.readfile(out / "cracks.dxf").modelspace().query("TEXT")}
    assert {"41: 0.3 mm, tentative", "2: 0.2 mm"} <= texts


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="gdal-bin is not installed")
@pytest.mark.parametrize("name", ["cracks.gpkg", "cracks.geojson", "cracks.csv", "cracks.kml", "cracks.dxf"])
def test_gdal_reads_it_without_a_complaint(out: Path, name: str) -> None:
    done = subprocess.run(["ogrinfo", "-ro", "-al", out / name], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "Feature Count: " in done.stdout
    assert name == "cracks.dxf" or made.name(3) in done.stdout


def test_the_geopackage_has_heights_walls_styles_and_no_write_ahead_log(out: Path) -> None:
    database = sqlite3.connect(f"file:{out / 'cracks.gpkg'}?mode=ro", uri=True)
    layers = dict(database.execute("SELECT table_name, geometry_type_name FROM gpkg_geometry_columns"))
    assert layers == {
        "cracks": "LINESTRING",
        "cameras": "POINT",
        "footprints": "POLYGON",
        "track": "LINESTRING",
        "wall_1": "LINESTRING",
    }
    columns = dict(database.execute("SELECT table_name, z FROM gpkg_geometry_columns"))
    assert (columns["cracks"], columns["wall_1"]) == (1, 0), "heights above the ellipsoid are known here"
    srs = dict(database.execute("SELECT table_name, srs_id FROM gpkg_geometry_columns"))
    assert (srs["cracks"], srs["wall_1"]) == (4979, -1)
    assert {name for (name,) in database.execute("SELECT f_table_name FROM layer_styles")} >= {"cracks", "wall_1"}
    assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    assert database.execute("SELECT count(*) FROM cracks WHERE offset_m IS NULL").fetchone() == (6,)
    assert database.execute("SELECT count(*) FROM footprints").fetchone() == (30,)
    pitch_yaw = database.execute("SELECT DISTINCT pitch_deg, yaw_deg FROM cameras").fetchall()
    assert pitch_yaw == [(-1.0, made.HEADING_DEG)]
    database.close()


@pytest.mark.skipif(shutil.which("ogrinfo") is None, reason="gdal-bin is not installed")
def test_what_was_looked_at_is_in_the_geopackage_over_the_ground_and_on_each_wall(flight: Path, tmp_path: Path) -> None:
    copy, out = copied(flight, tmp_path), tmp_path / "out"
    patches = [made.patch("0.3", 0.0, 3.0), made.patch("blurred", 3.0, 5.0), {"type": "Feature", "properties": {}}]
    patches[0]["properties"] |= {"seen": "seen", "narrowest_crack_mm": 0.3}
    hole = [[3.72035, 51.0536], [3.72036, 51.0536], [3.72036, 51.05361], [3.72035, 51.0536]]
    patches[0]["geometry"]["coordinates"][0].append(hole)
    (copy / "coverage.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": patches}))
    told(copy, out)

    def sql(select: str) -> list[str]:
        command = ["ogrinfo", "-ro", "-q", out / "cracks.gpkg", "-dialect", "SQLite", "-sql", select]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return [line.split(" = ")[1] for line in done.stdout.splitlines() if " = " in line]

    columns = "class || ' ' || coalesce(seen, '?') || ' ' || coalesce(narrowest_crack_mm, '?') || ' ' || area_m2"
    wanted = ["0.3 seen 0.3 6.0", "blurred ? ? 4.0"]
    assert sql(f"SELECT {columns} FROM coverage ORDER BY class") == wanted
    assert sql("SELECT ST_NumInteriorRing(ST_GeometryN(geom, 1)) AS holes FROM coverage ORDER BY class") == ["1", "0"]
    assert sql(f"SELECT {columns} FROM wall_1_coverage ORDER BY class") == wanted
    areas = sql("SELECT ST_Area(geom) AS area FROM wall_1_coverage ORDER BY class")
    assert [float(area) for area in areas] == pytest.approx([6.0, 4.0]), "in metres along and up"
    # Metres count from the first crack, which stands at 0.5 m.
    assert float(sql("SELECT min(ST_MinX(geom)) AS begin FROM wall_1_coverage")[0]) == pytest.approx(-0.5, abs=0.01)


def test_areas_on_a_wall_add_up_to_what_was_looked_at(flight: Path, tmp_path: Path) -> None:
    """A patch is several outlines with holes; each stands for itself, so that a sum in QGIS is the page's number."""
    copy, out = copied(flight, tmp_path), tmp_path / "out"
    patch, other, hole = (made.patch("0.3", *ends) for ends in ((0.0, 3.0), (4.0, 5.0), (1.0, 2.0)))
    (left,), (right,) = (one["properties"]["place"]["polygons_m"] for one in (patch, other))
    (whole,) = hole["properties"]["place"]["polygons_m"][0]
    inner = [[x, y, 0.5 + z / 2] for x, y, z in reversed(whole)]  # 1 m by 1 m
    patch["properties"] |= {"area_m2": 7.0}
    patch["geometry"]["coordinates"][0].append(hole["geometry"]["coordinates"][0][0])
    patch["properties"]["place"]["polygons_m"] = [[*left, inner], right]
    (copy / "coverage.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [patch]}))
    told(copy, out)
    html = page(out)
    assert "7.0 m²" in html
    drawn = re.findall(r'<path class="area good" d="([^"]*)"', html)
    assert [one.count("M") for one in drawn] == [2, 2, 1], "nothing is known of what lies in a hole: it is not shaded"
    assert ".sheet .area{fill-rule:evenodd" in html
    with sqlite3.connect(out / "cracks.gpkg") as database:
        found = database.execute("SELECT area_m2 FROM wall_1_coverage ORDER BY area_m2").fetchall()
        assert [area for (area,) in found] == pytest.approx([2.0, 5.0], abs=1e-3)
        assert database.execute("SELECT area_m2 FROM coverage").fetchall() == [(7.0,)]
        shapes = [shape for (shape,) in database.execute("SELECT geom FROM wall_1_coverage ORDER BY area_m2")]
    assert [len(shape) // 16 for shape in shapes] == [8, 13], "5 corners, and 10, of 16 bytes each behind the header"


def test_without_an_ellipsoid_height_lines_stay_flat(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    document = json.loads((copy / "cracks.geojson").read_text())
    for one in document["features"][:1]:
        one["geometry"]["coordinates"] = [point[:2] for point in one["geometry"]["coordinates"]]
    (copy / "cracks.geojson").write_text(json.dumps(document))
    told(copy, tmp_path / "out")
    with sqlite3.connect(tmp_path / "out" / "cracks.gpkg") as database:
        assert database.execute("SELECT z FROM gpkg_geometry_columns WHERE table_name = 'cracks'").fetchone() == (0,)


def test_photos_with_a_place_get_a_geo_txt_as_opendronemap_reads_it(tmp_path: Path) -> None:
    from datetime import datetime, timezone

    from edge import evidence
    from edge.frames import Frame, Moment
    from edge.navigation import Attitude, Fix, FixKind, NavState

    flight = made.write(tmp_path / "flight", 1)
    photo = next((flight / "photos").glob("*.jpg"))
    photo = photo.rename(photo.with_name("DJI (1) of 2.jpg"))
    change(flight, 1, best={"frame_seq": 1, "frame_name": photo.stem})
    frame = Frame(1, 0, 500, np.full((480, 640, 3), 90, np.uint8))
    nav = NavState(0, Fix(FixKind.RTK_FIXED, 51.05, 3.72, 12.5, 0.02, 0.04, 3), Attitude(1.5, -80.0, 275.5), 2.0)
    evidence.save(frame, nav, Moment(datetime(2026, 5, 1, tzinfo=timezone.utc), synced=True), photo.parent, photo.name)
    told(flight, tmp_path / "out")
    lines = (tmp_path / "out" / "photos" / "geo.txt").read_text().splitlines()
    assert lines[0] == "EPSG:4326"
    file, *numbers = lines[1].split()
    assert (tmp_path / "out" / "photos" / file).is_file()
    lon, lat, alt, yaw, pitch, roll = (float(number) for number in numbers)
    assert (lon, lat, alt) == (pytest.approx(3.72), pytest.approx(51.05), 12.5)
    assert (yaw, pitch, roll) == (275.5, 10.0, 1.5), "pitch 0 looks straight down there"


def test_geo_txt_has_heights_of_one_kind() -> None:
    def camera(name: str, ellipsoid_m: float | None) -> cameras.Camera:
        return cameras.Camera(name, 3.7, 51.0, ellipsoid_m, 12.0, None, None, None, None, None, None, None)

    def heights(*all_of_them: cameras.Camera) -> list[str]:
        text = cameras.geo_txt(all_of_them)
        assert text is not None
        return [line.split()[3] for line in text.splitlines()[1:]]

    assert heights(camera("a", 57.0), camera("b", 58.0)) == ["57.000", "58.000"]
    assert heights(camera("a", 57.0), camera("b", None)) == ["12.000", "12.000"]


def test_the_made_flight_has_the_keys_of_a_real_one(flight: Path) -> None:
    frames = [json.loads(line) for line in (flight / "frames.jsonl").read_text().splitlines()]
    views = [json.loads(line)["properties"] for line in (flight / "detections.jsonl").read_text().splitlines()]
    assert all(set(one) <= set(coverage.schema("frame-1")["properties"]) for one in frames)
    assert all(set(one) <= set(wire.schema()["properties"]["properties"]["properties"]) for one in views)
