from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.cli import main
from edge.detections import coverage, wire
from edge.ground import report
from edge.ground.report import bands
from edge.ground.report.findings import FIELDS
from edge.ground.report.source import FlightOnDisk
from edge.support.errors import ConfigError, TryAgainError, UsageError
from tests.ground.report import made

pytest.importorskip("pyogrio", reason="the extra [report] is not installed")
pytest.importorskip("jinja2", reason="the extra [report] is not installed")


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.write(tmp_path_factory.mktemp("made") / "flight")


@pytest.fixture(scope="module")
def out(flight: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "report"
    told(flight, folder, dxf=True)
    return folder


def told(flight: Path, out: Path, photos: Path | None = None, **rest: Any) -> str:
    return report.write(report.Job(source=FlightOnDisk(flight, photos), out=out, **rest))


def copied(flight: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(flight, tmp_path / "copy"))


def change(flight: Path, number: int, **properties: Any) -> None:
    document = json.loads((flight / "cracks.geojson").read_text())
    document["features"][number - 1]["properties"].update(properties)
    (flight / "cracks.geojson").write_text(json.dumps(document))


def page(out: Path) -> str:
    return (out / "index.html").read_text(encoding="utf-8")


def rows(out: Path) -> dict[str, dict[str, str]]:
    with (out / "cracks.csv").open(encoding="utf-8-sig", newline="") as file:
        return {row["crack_id"]: row for row in csv.DictReader(file)}


class Page(HTMLParser):
    """Elements with their attributes, and the text outside of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside not in ("style", "script"):
            self.text += data


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


def test_the_page_needs_no_network_and_its_policy_names_its_own_script(out: Path) -> None:
    text = page(out)
    seen = Page(text)
    policy = next(attrs["content"] or "" for tag, attrs in seen.elements if "http-equiv" in attrs)
    for tag in ("script", "style"):
        inside = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(inside) == 1
        assert f"'sha256-{base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()}'" in policy
    links = [value or "" for _, attrs in seen.elements for key, value in attrs.items() if key in ("src", "href")]
    assert not [link for link in links if "//" in link and not link.startswith("data:")]
    assert not [attrs for _, attrs in seen.elements if any(key.startswith("on") or key == "style" for key in attrs)]


def test_the_first_page_begins_with_what_was_not_seen(out: Path) -> None:
    text = Page(page(out)).text
    assert text.index("Nothing is known of what was seen") < text.index("Summary")
    assert "3 pictures were dropped unseen" in text
    assert bands.WORDS in text


def test_findings_are_sorted_by_severity(out: Path) -> None:
    order = [attrs["data-id"] for tag, attrs in Page(page(out)).elements if tag == "article"]
    assert order == [made.name(number) for number in (6, 5, 4, 3, 2, 1)]


def test_the_centreline_lies_on_the_crack_of_the_photo(out: Path) -> None:
    article = page(out).split(f'data-id="{made.name(3)}"', 2)[2].split("</article>")[0]
    uri, points = (
        re.search(r'href="data:image/jpeg;base64,([^"]+)"', article),
        re.search(r'"under" points="([^"]+)"', article),
    )
    assert uri is not None
    assert points is not None
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(uri[1]), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    for pair in points[1].split()[::20]:
        x, y = (int(float(value)) for value in pair.split(","))
        assert picture[min(y, picture.shape[0] - 1), x] < 70, "the line of the photo is dark"


def test_every_course_is_drawn_whole(out: Path) -> None:
    points = [attrs["points"] or "" for _, attrs in Page(page(out)).elements if "points" in attrs]
    assert max(map(len, points)) > 2000, "longer than the texts that are shortened"
    assert not [one for one in points if re.fullmatch(r"(-?[\d.]+,-?[\d.]+ ?)+", one) is None]


def test_every_image_has_words(out: Path) -> None:
    for tag, attrs in Page(page(out)).elements:
        if attrs.get("role") == "img":
            assert attrs.get("aria-label") or attrs.get("aria-labelledby")
        assert tag != "img"


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


def test_the_made_flight_has_the_keys_of_a_real_one(flight: Path) -> None:
    frames = [json.loads(line) for line in (flight / "frames.jsonl").read_text().splitlines()]
    views = [json.loads(line)["properties"] for line in (flight / "detections.jsonl").read_text().splitlines()]
    assert all(set(one) <= set(coverage.schema("frame-1")["properties"]) for one in frames)
    assert all(set(one) <= set(wire.schema()["properties"]["properties"]["properties"]) for one in views)


def test_without_an_ellipsoid_height_lines_stay_flat(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    document = json.loads((copy / "cracks.geojson").read_text())
    for one in document["features"][:1]:
        one["geometry"]["coordinates"] = [point[:2] for point in one["geometry"]["coordinates"]]
    (copy / "cracks.geojson").write_text(json.dumps(document))
    told(copy, tmp_path / "out")
    with sqlite3.connect(tmp_path / "out" / "cracks.gpkg") as database:
        assert database.execute("SELECT z FROM gpkg_geometry_columns WHERE table_name = 'cracks'").fetchone() == (0,)


HOSTILE = (
    '</script><script>alert(1)</script><img src=x onerror=alert(2)> "quoted" '
    "'\u202eright to left\u202c אבג 🏗️ \ud800 \x00 &amp;"
)


def test_texts_from_outside_stay_texts(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    change(copy, 1, kind=HOSTILE)
    change(copy, 2, kind="x" * 10_000)
    change(copy, 3, kind="=1+1")
    change(copy, 4, state=HOSTILE)
    told(copy, tmp_path / "out", dxf=True)
    seen = Page(page(tmp_path / "out"))
    assert sum(tag == "script" for tag, _ in seen.elements) == 1
    assert not [attrs for _, attrs in seen.elements if any(key.startswith("on") for key in attrs)]
    assert "alert(1)" in seen.text
    assert "shortened from 10000 characters" in seen.text
    assert rows(tmp_path / "out")[made.name(2)]["kind"] == "x" * 10_000
    assert rows(tmp_path / "out")[made.name(3)]["kind"] == "'=1+1", "no formula for a spreadsheet"
    if shutil.which("ogrinfo") is not None:
        for name in ("cracks.gpkg", "cracks.kml", "cracks.geojson"):
            subprocess.run(["ogrinfo", "-ro", "-al", tmp_path / "out" / name], capture_output=True, check=True)


@pytest.mark.parametrize("gone", ["summary.json", "cracks.geojson", "detections.jsonl", "frames.jsonl", "photos"])
def test_what_is_missing_is_named_and_the_rest_is_done(flight: Path, tmp_path: Path, gone: str) -> None:
    copy = copied(flight, tmp_path)
    shutil.rmtree(copy / gone) if (copy / gone).is_dir() else (copy / gone).unlink()
    said = told(copy, tmp_path / "out")
    assert len(rows(tmp_path / "out")) == 6
    text = Page(page(tmp_path / "out")).text
    assert (gone in said and gone in text) if gone != "photos" else "is not in the flight folder" in text


def test_files_that_a_power_cut_left_half(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    for name in ("detections.jsonl", "cracks.geojson", "frames.jsonl"):
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[: len(whole) * 6 // 10])
    photo = next((copy / "photos").glob("*00001.jpg"))
    photo.write_bytes(b"")
    said = told(copy, tmp_path / "out")
    assert all(name in said for name in ("detections.jsonl", "cracks.geojson", "frames.jsonl"))
    assert len(rows(tmp_path / "out")) == 3, "findings come from the detections that are whole"


def test_a_changed_photo_is_said_to_be_changed(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    photo = next((copy / "photos").glob("*00002.jpg"))
    data = bytearray(photo.read_bytes())
    data[len(data) // 2] ^= 1
    photo.write_bytes(data)
    told(copy, tmp_path / "out")
    assert "it was changed" in Page(page(tmp_path / "out")).text


def test_a_folder_without_a_flight_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="folder"):
        told(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_without_being_asked(flight: Path, out: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "cracks.csv").write_text("mine")
    with pytest.raises(UsageError, match="--overwrite"):
        told(flight, folder)
    assert [path.name for path in folder.iterdir()] == ["cracks.csv"]
    (folder / "notes.txt").write_text("mine too")
    told(flight, folder, overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine too"
    assert len(rows(folder)) == 6


def test_a_geopackage_that_another_program_writes_is_left_alone(flight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    told(flight, folder)
    before = (folder / "cracks.gpkg").read_bytes()
    (folder / "cracks.csv").unlink()
    held = sqlite3.connect(folder / "cracks.gpkg", isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TryAgainError, match="is locked by another program"):
        told(flight, folder, overwrite=True)
    held.rollback()
    held.close()
    assert (folder / "cracks.gpkg").read_bytes() == before
    assert len(rows(folder)) == 6, "every other file is written"
    told(flight, folder, overwrite=True)


def test_a_geopackage_open_with_a_write_ahead_log_is_left_alone(flight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    told(flight, folder)
    held = sqlite3.connect(folder / "cracks.gpkg", isolation_level=None)
    held.execute("PRAGMA journal_mode = WAL")  # as QGIS opens it
    held.execute("UPDATE gpkg_contents SET description = 'mine'")
    with pytest.raises(TryAgainError, match="open in another program"):
        told(flight, folder, overwrite=True)
    held.close()
    told(flight, folder, overwrite=True)


def test_a_review_comes_back_into_the_report(flight: Path, tmp_path: Path) -> None:
    said = {"schema": "spanhawk/review/1", "flight_id": made.FLIGHT, "reviews": [
        {"crack_id": made.name(6), "verdict": "rejected", "grade": None, "remark": "a cable <b>", "by": "A. Inspector",
         "at": "2026-06-02T08:00:00Z"},
        {"crack_id": made.name(2), "verdict": "confirmed", "grade": "S2", "remark": None, "by": None, "at": None},
        {"crack_id": "nobody", "verdict": "confirmed", "grade": None, "remark": None, "by": None, "at": None},
    ]}  # fmt: skip
    (tmp_path / "review.json").write_text(json.dumps(said))
    told_ = told(flight, tmp_path / "out", review=tmp_path / "review.json")
    assert "1 reviews name findings that this flight does not have, as nobody" in told_
    found = rows(tmp_path / "out")
    assert (found[made.name(6)]["review"], found[made.name(6)]["remark"]) == ("rejected", "a cable <b>")
    assert (found[made.name(2)]["review"], found[made.name(2)]["remark"]) == ("confirmed", "grade S2")
    order = [attrs["data-id"] for tag, attrs in Page(page(tmp_path / "out")).elements if tag == "article"]
    assert order[-1] == made.name(6), "rejected ones stand last"


WRONG = json.dumps(
    {"schema": "spanhawk/review/1", "flight_id": made.FLIGHT, "reviews": [{"crack_id": "x", "verdict": "ok"}]}
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not whole JSON"),
        ("[]", "schema is 'list'"),
        ('{"schema": "spanhawk/review/2"}', "spanhawk/review/2"),
        ('{"schema": "spanhawk/review/1", "flight_id": "other", "reviews": []}', "'other'"),
        (WRONG, "'ok'"),
    ],
)
def test_a_review_that_is_none_is_refused(flight: Path, tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "review.json").write_text(text)
    with pytest.raises(UsageError, match=re.escape(why)):
        told(flight, tmp_path / "out", review=tmp_path / "review.json")
    assert not (tmp_path / "out").exists()


def test_bands_of_ones_own_and_shipped_ones(flight: Path, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        'default = "own"\n[tables.own]\nsource = "our office"\nedges_mm = [0.45]\n'
        'names = ["fine", "wide"]\nmeanings = ["", ""]\n'
    )
    told(flight, tmp_path / "out", bands=str(tmp_path / "own.toml"))
    assert [rows(tmp_path / "out")[made.name(n)]["band"] for n in (4, 6)] == ["fine", "wide"]
    told(flight, tmp_path / "aci", bands="ACI 224R-01")
    assert rows(tmp_path / "aci")[made.name(6)]["band"] == "over 0.41 mm"
    (tmp_path / "bad.toml").write_text((tmp_path / "own.toml").read_text().replace("[0.45]", "[0.45, 0.1]"))
    with pytest.raises(ConfigError, match="rising"):
        told(flight, tmp_path / "bad", bands=str(tmp_path / "bad.toml"))
    with pytest.raises(UsageError, match="EN 1992-1-1"):
        told(flight, tmp_path / "bad", bands="nothing")


def test_an_upper_bound_claims_no_band(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    change(copy, 5, width_mm=None, width_at_most_mm=1.6)
    change(copy, 6, width_mm=None, width_at_most_mm=0.15)
    told(copy, tmp_path / "out")
    found = rows(tmp_path / "out")
    assert (found[made.name(5)]["band"], found[made.name(5)]["width_at_most_mm"]) == ("", "1.6")
    assert found[made.name(6)]["band"] == "up to 0.2 mm"


def test_photos_with_a_place_get_a_geo_txt_as_opendronemap_reads_it(tmp_path: Path) -> None:
    from datetime import datetime, timezone

    from edge import evidence
    from edge.frames import Frame, Moment
    from edge.navigation import Attitude, Fix, FixKind, NavState

    flight = made.write(tmp_path / "flight", 1)
    photo = next((flight / "photos").glob("*.jpg"))
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


def test_a_missing_library_is_named(flight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=re.escape("pip install 'spanhawk[report]'")):
        told(flight, tmp_path / "out")


def test_the_command(flight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(flight), "--out", str(tmp_path / "out")]) == 0
    assert "6 findings, 6 with a photo" in capsys.readouterr().err
    assert main(["report", str(flight), "--out", str(tmp_path / "out")]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_the_drone_does_not_load_it() -> None:
    heavy = {"jinja2", "pyogrio", "edge.ground"}
    code = f"import sys, edge.pipeline, edge.settings; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_coverage_is_told_first_and_drawn_on_map_and_wall(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    patches = [made.patch("0.3", 0.0, 3.0), made.patch("2.0", 3.0, 5.0), made.patch("blurred", 5.0, 6.0)]
    document = {"type": "FeatureCollection", "schema": "spanhawk/coverage/1", "probability": 0.9, "features": patches}
    (copy / "coverage.geojson").write_text(json.dumps(document))
    told(copy, tmp_path / "out")
    seen = Page(page(tmp_path / "out"))
    assert "Of 12.0 m² that were looked at, 6.0 m² were not seen well enough for cracks of 0.3 mm" in seen.text
    assert seen.text.index("not seen well enough") < seen.text.index("Summary")
    assert "with a probability of 90 %" in seen.text
    assert "not for cracks of 2 mm: blurred" in seen.text
    drawn = [attrs["class"] for tag, attrs in seen.elements if tag == "polygon"]
    assert drawn == ["area good", "area fair", "area poor"] * 2, "once on the map, once on the wall"


def test_unconfirmed_findings_stand_behind_confirmed_ones(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    change(copy, 6, state="tentative")
    change(copy, 5, state="withdrawn")
    told(copy, tmp_path / "out")
    order = [attrs["data-id"] for tag, attrs in Page(page(tmp_path / "out")).elements if tag == "article"]
    assert order == [made.name(number) for number in (4, 3, 2, 1, 6)]
    assert "1 more were withdrawn" in Page(page(tmp_path / "out")).text


def test_replay_pictures_are_found_by_their_frame_and_a_structure_has_its_own_axes(tmp_path: Path) -> None:
    flight = made.write(tmp_path / "flight", 1)
    change(flight, 1, place={"frame": "structure:Pier 3", "path_m": [[1.0, 0.2, 2.0], [1.0, 0.2, 3.0]]})
    document = json.loads((flight / "cracks.geojson").read_text())
    document["features"][0]["geometry"] = None
    (flight / "cracks.geojson").write_text(json.dumps(document))
    (flight / "photos").rename(tmp_path / "elsewhere")
    (flight / "frames.jsonl").unlink()
    told(flight, tmp_path / "out", photos=tmp_path / "elsewhere")
    one = rows(tmp_path / "out")[made.name(1)]
    assert (one["element"], one["station_m"], one["offset_m"], one["height_m"]) == ("Pier 3", "1.0", "0.2", "2.5")
    assert one["photo"].startswith("photos/")
    assert "it was changed" not in page(tmp_path / "out")
    assert "there is no map" in Page(page(tmp_path / "out")).text


def test_names_that_mean_harm_are_names(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    names = [
        "=cmd|' /C calc'!A0",
        "</script><img src=x onerror=alert(1)>",
        "../../../etc/passwd",
        "\u202e@SUM(1)",
        "-" * 9000,
    ]
    text = (copy / "cracks.geojson").read_text() + "\0" + (copy / "detections.jsonl").read_text()
    for number, name in enumerate(names, 1):
        text = text.replace(json.dumps(made.name(number)), json.dumps(name))
    cracks, _, lines = text.partition("\0")
    (copy / "cracks.geojson").write_text(cracks)
    (copy / "detections.jsonl").write_text(lines.replace(f'"{made.FLIGHT}-0000000', '"../../../../etc/passwd'))
    reviews = [{"crack_id": name, "verdict": "confirmed", "grade": "=1+1", "remark": "+1\n=2"} for name in names]
    document = {"schema": "spanhawk/review/1", "flight_id": made.FLIGHT, "reviews": reviews}
    (copy / "review.json").write_text(json.dumps(document))
    out = tmp_path / "out"
    told(copy, out, dxf=True)
    cells = rows(out)
    assert set(cells) == {"'" + name if name[0] in "=-" else name for name in names} | {made.name(6)}
    assert all(cells[name]["remark"] == "'+1\n=2" for name in cells if name != made.name(6))
    seen = Page(page(out))
    assert not [attrs for _, attrs in seen.elements if any(key.startswith("on") for key in attrs)]
    assert {path.name for path in tmp_path.iterdir()} <= {copy.name, "out"}
    assert len(list((out / "photos").iterdir())) == 6, "found by their hashes, not by what they are called"


def test_two_flights_in_one_folder_are_told(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    lines = (copy / "detections.jsonl").read_text()
    (copy / "detections.jsonl").write_text(lines + lines.replace(f'"{made.FLIGHT}"', '"another"'))
    assert f"detections of 2 flights lie in one folder ({made.FLIGHT}, another)" in told(copy, tmp_path / "out")


def test_a_flight_that_saw_nothing_says_that_nothing_is_known(tmp_path: Path) -> None:
    flight = tmp_path / "flight"
    flight.mkdir()
    (flight / "summary.json").write_text(json.dumps({"schema": "spanhawk/flight/1", "flight_id": "f", "frames": 0}))
    told(flight, tmp_path / "out")
    text = Page(page(tmp_path / "out")).text
    assert text.index("Nothing is known of what was seen") < text.index("Nothing was found. Read above")
    assert rows(tmp_path / "out") == {}
