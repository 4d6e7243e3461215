"""Damaged areas, which nobody names while flying, and walls on which nothing was found."""

import copy
import csv
import json
import re
import sqlite3

import numpy as np
import pytest

from edge.cli import main
from edge.ground.report import bands, coverage, walls
from edge.ground.report.damage import Areas
from tests.ground.report import made


def area(seq, *, at=(0.0, 0.0, 1.0), cm2=300.0, extent_mm=250.0, kind="spalling", cut=False, method="surface", px=5000):
    """A detection of area damage ``at`` metres east, north and up."""
    one = made.detection(1, f"{made.FLIGHT}-00000001.jpg", "ab" * 32, (640, 480), seq)
    place = {"method": method, "frame": made.FRAME, "sigma_m": [0.02] * 3}
    place |= dict(zip(("east_m", "north_m", "up_m"), at, strict=True))
    one["geometry"] = {"type": "Point", "coordinates": [3.72, 51.05]}
    one["properties"] |= {
        "id": f"area{seq}", "crack_id": None, "kind": kind, "crack": None, "size": None, "place": place,
        "seen_at": f"2026-06-01T12:00:{seq % 60:02d}.000Z",
        "area": {"outline_px": [[100, 100], [200, 100], [200, 180]], "area_px": px, "extent_px": 120.0,
                 "cut_by_frame": cut, "gsd_mm_per_px": 0.5, "area_cm2": cm2, "area_sigma_cm2": 15.0,
                 "extent_mm": extent_mm, "extent_sigma_mm": 5.0},
    }  # fmt: skip
    return one


def found(*detections):
    areas = Areas()
    for one in detections:
        areas.take(one)
    return [(feature["properties"], best["properties"]["frame_seq"]) for feature, best in areas.found(1)], areas


def test_views_of_one_area_are_put_together_by_their_place():
    views = [area(seq, at=(0.02 * seq, 0.0, 1.0), cm2=300.0 + seq, cut=seq == 4) for seq in range(5)]
    elsewhere = area(9, at=(0.5, 0.0, 1.0))
    rust = area(10, at=(0.0, 0.0, 1.0), kind="rust")
    (first, best), (second, _), (third, _) = found(*views, elsewhere, rust)[0]
    assert (first["views"], first["state"], best) == (5, "several views", 3), "4 is larger, but the frame cuts it"
    assert first["area_cm2"] == {"value": 303.0, "sigma": 15.0, "low": 273.6, "high": 332.4}
    assert (first["first_seen"][-7:], first["last_seen"][-7:]) == ("00.000Z", "04.000Z")
    assert (second["views"], second["state"], second["kind"]) == (1, "single view", "spalling")
    assert third["kind"] == "rust"


def test_views_without_a_place_are_counted_and_the_largest_shown():
    shown, areas = found(*(area(seq, method="camera", cm2=None, px=seq) for seq in range(120)))
    assert areas.left_out == 70
    assert [best for _, best in shown] == list(range(119, 69, -1))
    assert all("place" in one and one["place"] is None for one, _ in shown)


def test_areas_stand_in_the_report_beside_cracks(tmp_path):
    flight = made.write(tmp_path / "flight", 2)
    middle = 0.8 * made.ALONG + [0.0, 0.0, 0.9]
    views = [area(seq, at=tuple(middle), cm2=310.0) for seq in (1, 2)]
    with (flight / "detections.jsonl").open("a") as file:
        file.writelines(json.dumps(one) + "\n" for one in (*views, area(5, method="none", cm2=None)))
    out = tmp_path / "out"
    ezdxf = pytest.importorskip("ezdxf", reason="the extra [dxf] is not installed")
    assert main(["report", str(flight), "--out", str(out), "--dxf"]) == 0
    space = ezdxf.readfile(out / "cracks.dxf").modelspace()
    assert [tuple(one.dxf.location)[:2] for one in space.query("POINT")] == [pytest.approx((0.3, 0.9), abs=0.01)]
    assert all(len(one) > 1 for one in space.query("LWPOLYLINE"))
    assert "3: spalling, 310 cm2, several views" in {one.dxf.text for one in space.query("TEXT")}
    with sqlite3.connect(out / "cracks.gpkg") as database:
        on_wall = database.execute("SELECT number, wall, area_cm2, station_m, height_m FROM wall_1_points").fetchall()
    assert on_wall == [(3, "Wall 1, facing SE", 310.0, pytest.approx(0.3, abs=0.01), pytest.approx(0.9))]
    rows = list(csv.DictReader((out / "cracks.csv").read_text("utf-8-sig").splitlines()))
    assert [(row["kind"], row["area_cm2"], row["area_sigma_cm2"], row["n_views"]) for row in rows] == [
        ("crack", "", "", "4"),
        ("crack", "", "", "4"),
        ("spalling", "310.0", "15.0", "2"),
        ("spalling", "", "", "1"),
    ]
    assert rows[2]["face"] == rows[0]["face"] != "", "the area lies on the cracks' wall"
    assert float(rows[2]["station_m"]) == pytest.approx(0.3, abs=0.01)
    assert rows[2]["width_mean_mm"] == rows[2]["band"] == ""
    html = (out / "index.html").read_text(encoding="utf-8")
    assert re.search(r'<bdi>spalling</bdi></th><td class="n">2</td><td class="n">310 cm²</td>', html)
    assert "310\u00a0cm² (281\u00a0to\u00a0339)" in html
    assert "area not known" in html
    assert html.count('<rect class="dot"') == 2, "on the map and on the wall"


def test_a_wall_without_a_crack_has_its_elevation(tmp_path):
    flight = made.write(tmp_path / "flight", 2)
    there = made.patch("0.3", 0.0, 3.0)
    other = copy.deepcopy(there)
    ring = np.array(there["properties"]["place"]["polygons_m"][0][0])
    # The next face: round the corner, at a right angle.
    turned = np.column_stack([-ring[:, 1], ring[:, 0], ring[:, 2]]) + 3.0 * np.array([*made.ALONG[:2], 0.0])
    other["properties"] |= {"place": {"frame": made.FRAME, "polygons_m": [[turned.tolist()]]}, "chart": {"number": 2}}
    document = {"type": "FeatureCollection", "features": [there, other]}
    (flight / "coverage.geojson").write_text(json.dumps(document))
    out = tmp_path / "out"
    assert main(["report", str(flight), "--out", str(out)]) == 0
    html = (out / "index.html").read_text(encoding="utf-8")
    sheets = re.findall(r'<svg class="sheet".*?</svg>', html, re.DOTALL)
    drawn = [(one.count('<path class="area'), one.count("<g class")) for one in sheets]
    assert drawn == [(2, 2), (1, 2), (1, 0)], "patches and findings of the map, and of either wall"


def test_coverage_turns_a_wall_that_one_line_of_cracks_leaves_open():
    # One sloping soffit, 60 degrees from upright, with one crack along it.
    crack = np.array([[0.0, 0.0, 2.0], [1.0, 0.0, 2.0]])
    ring = np.array([[0.0, 0.0, 2.0], [3.0, 0.0, 2.0], [3.0, 1.73, 3.0], [0.0, 1.73, 3.0]])
    alone, _ = walls.find([crack], [made.FRAME], [1], [None])
    (seen,), of = walls.find([crack, crack[:1]], [made.FRAME] * 2, [1, 1], [None] * 2, [(made.FRAME, (1,), ring)])
    assert not alone[0].level
    assert seen.level
    assert of == [0, 0]


@pytest.mark.parametrize(
    ("name", "classes", "words"),
    [
        (None, ["0.3", "0.5"], "Of 12.0 m² that were looked at, 6.0 m² were not seen well enough for cracks of 0.3 mm"),
        (
            "narrow",
            ["0.3", "0.5"],
            "None of the 12.0 m² that were looked at were seen well enough for cracks of 0.2 mm",
        ),
        ("ours", ["0.3", "0.5"], "The surface outside the recorded patches was not seen"),
        (None, ["unscaled"], "How narrow a crack may be and still be found here is unknown"),
    ],
)
def test_the_headline_asks_for_the_width_of_the_band_table(tmp_path, name, classes, words):
    flight = made.write(tmp_path / "flight", 1)
    patches = [made.patch(one, 3.0 * at, 3.0 * at + 3.0) for at, one in enumerate(classes)]
    (flight / "coverage.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": patches}))
    table = None
    if name is not None:
        table = tmp_path / "bands.toml"
        table.write_text(
            'default = "t"\n[tables.t]\nsource = "s"\nedges_mm = [0.2, 0.5]\nnames = ["a", "b", "c"]\n'
            'meanings = ["", "", ""]\n' + ("wanted_mm = 0.5\n" if name == "ours" else "")
        )
    from edge.ground.report.source import FlightOnDisk

    wanted_mm = bands.load(None if table is None else str(table)).headline_mm
    assert coverage.unseen(FlightOnDisk(flight).flight(), wanted_mm).headline.startswith(words)


def test_a_width_to_ask_for_is_an_edge():
    with pytest.raises(ValueError, match="wanted_mm is one of edges_mm"):
        bands.Bands(source="s", edges_mm=(0.2,), names=("a", "b"), meanings=("", ""), wanted_mm=0.3)


def test_where_millimetres_are_unknown_the_wider_line_leads(tmp_path):
    flight = made.write(tmp_path / "flight", 3)
    document = json.loads((flight / "cracks.geojson").read_text())
    for one, px in zip(document["features"], (3.0, 30.0, 9.0), strict=True):
        one["properties"] |= {"width_mm": None, "length_mm": None, "width_px": {"value": px, "sigma": 0.1}}
    (flight / "cracks.geojson").write_text(json.dumps(document))
    out = tmp_path / "out"
    assert main(["report", str(flight), "--out", str(out)]) == 0
    html = (out / "index.html").read_text(encoding="utf-8")
    assert re.findall(r'class="key">([\d.]+) px, mm not known', html) == ["30.0", "9.0", "3.0"]


def test_a_kind_of_two_lines_leaves_the_drawing_whole(tmp_path):
    """A line of a DXF file is a value: the second one of a name would be read as a group code."""
    ezdxf = pytest.importorskip("ezdxf", reason="the extra [dxf] is not installed")
    flight, middle = made.write(tmp_path / "flight", 1), 0.8 * made.ALONG + [0.0, 0.0, 0.9]
    with (flight / "detections.jsonl").open("a") as file:
        file.write(json.dumps(area(1, at=tuple(middle), kind="spall\nand rust")) + "\n")
    assert main(["report", str(flight), "--out", str(tmp_path / "out"), "--dxf"]) == 0
    texts = [one.dxf.text for one in ezdxf.readfile(tmp_path / "out" / "cracks.dxf").modelspace().query("TEXT")]
    assert "2: spall and rust, 300 cm2, single view" in texts
