"""A report from the ground's store, and a crack's history over the flights that it knows."""

import csv
import json
import re
from datetime import datetime, timezone

import numpy as np
import pytest

from edge.cli import main
from edge.detections.cracks import crack_id
from edge.ground import Batch, CoverageRow
from edge.ground.incoming import read
from edge.ground.report import bands, earlier
from edge.ground.report.findings import gather
from edge.ground.report.stored import FlightInStore
from edge.ground.stores import open_store
from edge.ground.web.live import Live
from edge.surface.geodetic import to_wgs84
from tests.ground.letters import as_bytes, clock, crack, detection
from tests.ground.report import made

EARLIER = "enu@51.0535940,3.7203210,40.00ell"
"""Another flight began elsewhere: its zero is 0.8 m further south, 0.2 m further east and 12.3 m lower."""


def fill(url, *, sigma_m=0.02, earlier=(), seqs=range(1, 5)):
    """A store with the made flight of four cracks, and an earlier flight of those numbers with other widths."""
    now = [made.feature(number, "ab" * 32) for number in range(1, 5)]
    before = []
    for number, moved_m, width in earlier:
        path = np.asarray(made.feature(number, None)["properties"]["place"]["path_m"]) + np.array([0.0, 0.0, moved_m])
        on_earth = np.asarray(to_wgs84(made.FRAME, path))
        feature = made.feature(number, None, flight_id="spring", first_seen="2025-03-01T09:00:00.000Z")
        found = feature["properties"]
        found |= {"last_seen": "2025-03-01T09:30:00.000Z", "place": {"frame": EARLIER, "path_m": back(on_earth)}}
        found["width_mm"] = {"value": width, "sigma": 0.02, "low": width - 0.04, "high": width + 0.04}
        found["number"] = len(before) + 1
        found["crack_id"] = feature["id"] = crack_id("made", "spring", found["number"])
        feature["geometry"]["coordinates"] = on_earth.tolist()
        before.append(feature)
    with open_store(url, clock()) as store:
        batch = Batch()
        at = datetime(2026, 6, 2, tzinfo=timezone.utc)
        for feature in now + before:
            assert read("spanhawk/made/cracks", as_bytes(feature), at, batch) is None
        for flight, names in ((made.FLIGHT, seqs), ("spring", range(1, 3))):
            for seq in names:
                one = made.detection(seq, f"{flight}-{seq:08d}.jpg", "ab" * 32, (640, 480), seq)
                one["properties"] |= detection(seq, "made", flight)["properties"] | {
                    "crack_id": made.name(seq),
                    "place": {"method": "surface", "sigma_m": None if sigma_m is None else [sigma_m] * 3},
                }
                one["id"] = one["properties"]["id"]
                assert read("spanhawk/made/detections", as_bytes(one), at, batch) is None
        store.add(batch)


def back(on_earth):
    """Longitude, latitude, height as metres of EARLIER, by a way of its own: Newton on the forward formula."""
    found = []
    for target in on_earth:
        point = np.zeros(3)
        for _ in range(6):
            off = target - np.asarray(to_wgs84(EARLIER, point[None])[0])
            point += off * (70_000.0, 111_240.0, 1.0)
        found.append(point.round(4).tolist())
    return found


def write(tmp_path, url, *more):
    out = tmp_path / f"report{len(list(tmp_path.iterdir()))}"
    code = main(["report", "--store", url, "--flight", made.FLIGHT, "--out", str(out), *more])
    return code, out


def history(out):
    """By width of the finding now: the words of its table of earlier flights."""
    html = (out / "index.html").read_text(encoding="utf-8")
    cards = re.findall(r"<article.*?</article>", html, re.DOTALL)
    return {
        float(re.search(r'class="key">([\d.]+)', card)[1]): " ".join(re.sub(r"<[^>]+>", " ", past[1]).split())
        for card in cards
        if (past := re.search(r'<table class="small past">(.*?)</table>', card, re.DOTALL))
    }


def test_a_flight_is_reported_from_the_store_with_what_has_not_arrived(tmp_path, url, capsys):
    fill(url, seqs=(1, 2, 4))
    photos = made.write(tmp_path / "card", 4) / "photos"
    code, out = write(tmp_path, url, "--photos", str(photos))
    told = capsys.readouterr().err
    assert code == 0, told
    assert "1 detections of this flight have not arrived (numbers 3)" in told
    rows = list(csv.DictReader((out / "cracks.csv").read_text("utf-8-sig").splitlines()))
    assert [float(row["width_mean_mm"]) for row in rows] == [0.4, 0.3, 0.2, 0.1]
    assert [row["photo"].rpartition("-")[2] for row in rows] == ["00000004.jpg", "", "00000002.jpg", "00000001.jpg"]
    html = (out / "index.html").read_text(encoding="utf-8")
    assert "1 detections of this flight have not arrived" in html
    assert "was changed" in html, "the pictures of the card are not those that the letters name"


def test_a_flight_that_was_brought_in_is_reported_with_the_grounds_pictures(tmp_path, capsys):
    """From the store alone; elsewhere its pictures are named with --photos, and where they are not is said."""
    url, folder = str(tmp_path / "g.db"), made.write(tmp_path / "flight", 3)
    lines = [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]
    for line in lines:
        seq = line["properties"]["frame_seq"]
        line["properties"] |= detection(seq, "made", made.FLIGHT)["properties"] | {"crack_id": made.name(seq)}
        line["id"] = line["properties"]["id"]
    (folder / "detections.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    flown = {path.name: path.read_bytes() for path in (folder / "photos").iterdir()}
    assert main(["ground", "import", str(folder), "--store", url]) == 0
    assert "3 new pictures" in capsys.readouterr().err
    code, out = write(tmp_path, url)
    assert (code, "3 findings, 3 with a photo\n" in (told := capsys.readouterr().err)) == (0, True), told
    assert {path.name: path.read_bytes() for path in (out / "photos").glob("*.jpg")} == flown
    (tmp_path / "g-pictures").rename(tmp_path / "elsewhere")
    code, _ = write(tmp_path, url, "--photos", str(tmp_path / "elsewhere"))
    assert (code, "3 findings, 3 with a photo\n" in (told := capsys.readouterr().err)) == (0, True), told
    code, _ = write(tmp_path, url)
    told = capsys.readouterr().err
    assert "3 findings, 0 with a photo" in told
    assert f"of 3 findings none is in {tmp_path / 'g-pictures'}; --photos DIR names where they lie" in told


def test_cracks_are_known_again_by_their_place(tmp_path):
    url = str(tmp_path / "ground.db")
    # 1 has grown by 0.05 mm (measured to 0.06), 2 by 0.1 mm, 3 is 2 m off, and 4 has two at its place.
    fill(url, earlier=[(1, 0.01, 0.05), (2, 0.0, 0.1), (3, 2.0, 0.3), (4, 0.0, 0.4), (4, 0.02, 0.2)])
    code, out = write(tmp_path, url)
    assert code == 0
    past = history(out)
    assert sorted(past) == [0.1, 0.2, 0.4]
    assert "2025-03-01 spring" in past[0.1]
    assert "no change that can be measured (less than 0.06 mm)" in past[0.1]
    assert "0.10 mm wider now (± 0.06 mm)" in past[0.2]
    assert past[0.4].count("2 findings lie so near to each other that nobody can tell which is which") == 1
    assert "wider" not in past[0.4]


def test_places_without_a_stated_accuracy_are_not_compared(tmp_path, capsys):
    url = str(tmp_path / "ground.db")
    fill(url, sigma_m=None, earlier=[(1, 0.0, 0.1)])
    code, out = write(tmp_path, url)
    assert code == 0
    assert history(out) == {}
    assert "the earlier flight spring is not compared: nobody states how well" in capsys.readouterr().err


def test_a_folder_gets_its_history_from_the_store(tmp_path):
    url = str(tmp_path / "ground.db")
    fill(url, earlier=[(2, 0.0, 0.1)])
    folder = made.write(tmp_path / "flight", 3)
    lines = [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]
    for line in lines:
        line["properties"]["place"]["sigma_m"] = [0.02, 0.02, 0.02]
    (folder / "detections.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "report"
    assert main(["report", str(folder), "--store", url, "--out", str(out)]) == 0
    assert list(history(out)) == [0.2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--flight", "f"], "name the store"),
        (["--store", "ground.db"], "name one flight"),
        (["flown", "--flight", "f", "--store", "ground.db"], "name one flight"),
        (["--flight", "f", "--store", "nowhere/ground.db"], "no such file"),
        (["flown", "--store", "zero.db"], "--store zero.db: it is empty; name the one that spanhawk ground keeps"),
        (["--flight", "f", "--store", "ground.db"], "not in the store ground.db; it has, newest first: f1 (a), f1 (b)"),
        (["--flight", "f1", "--store", "ground.db"], "2 vehicles flew one of that name; add --vehicle (a, b)"),
        (["flown", "--vehicle", "a"], "--vehicle belongs to --flight"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "zero.db").touch()
    with open_store("ground.db", clock()) as store:
        batch = Batch()
        for vehicle in "ba":
            read(f"spanhawk/{vehicle}/cracks", as_bytes(crack(1, 1, vehicle)), clock().utc(), batch)
        store.add(batch)
    assert main(["report", "--out", "report", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
    assert (tmp_path / "zero.db").stat().st_size == 0


def test_a_flight_is_read_page_by_page(tmp_path, monkeypatch):
    url = str(tmp_path / "ground.db")
    fill(url)
    monkeypatch.setattr("edge.ground.report.stored._PAGE", 3)
    monkeypatch.setattr("edge.ground.report.earlier._PAGE", 3)
    flight = FlightInStore(url, made.FLIGHT).flight()
    assert (flight.detections, len(flight.cracks), len(flight.views)) == (4, 4, 4)


def test_a_shift_that_most_cracks_agree_on_parts_neighbours():
    """Cracks 10 cm apart, places good for 30 cm, and an earlier flight that lies 8 cm beside this one."""
    random = np.random.default_rng(3)
    places_m = np.cumsum(random.uniform(0.1, 0.3, 12))
    now = [made_course(f"n{at}", x) for at, x in enumerate(places_m)]
    before = [made_course(f"b{at}", x - 0.08 + random.normal(0, 0.005)) for at, x in enumerate(places_m)]
    found = dict(earlier._pairs(now, before, 0.6))
    assert {name: (past.flight_id[1:], past.among) for name, past in found.items()} == {
        f"n{at}": (str(at), 1) for at in range(12)
    }
    assert max(past.apart_m for past in found.values()) < 0.03
    # Evenly spaced ones look the same one place further on: nothing says which shift is right.
    now = [made_course(f"n{at}", 0.1 * at) for at in range(12)]
    before = [made_course(f"b{at}", 0.1 * at - 0.03) for at in range(12)]
    assert all(past.among > 1 and past.width_mm is None for _, past in earlier._pairs(now, before, 0.6))


def made_course(name, x_m):
    """An upright crack; its own name stands for its flight's, so that a pair can be told."""
    found = {"crack_id": name, "flight_id": name, "kind": "crack", "last_seen": "2025", "width_mm": {"value": 1.0}}
    found["place"] = {"frame": "structure:Pier", "path_m": [[x_m, 0.0, 0.0], [x_m, 0.0, 1.0]]}
    course = earlier._course({"properties": found})
    assert course is not None
    return course


def test_the_source_of_a_replay_is_not_called_changed(tmp_path, capsys):
    folder = made.write(tmp_path / "flight", 1)
    lines = [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]
    (photo,) = (folder / "photos").iterdir()
    lines[0]["properties"]["frame_name"] = "IMG_7"
    (folder / "detections.jsonl").write_text(json.dumps(lines[0]) + "\n")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "IMG_7.jpg").write_bytes(photo.read_bytes() + b"another file")
    photo.unlink()
    out = tmp_path / "report"
    assert main(["report", str(folder), "--photos", str(tmp_path / "source"), "--out", str(out)]) == 0
    html = (out / "index.html").read_text(encoding="utf-8")
    assert "photos/IMG_7.jpg" in html
    assert "was changed" not in html


def test_a_wall_has_one_name_in_the_report_and_on_the_ground_s_page(tmp_path):
    """Three cracks on a wall of two charts, which its coverage outlines together, and one 5 m behind it."""
    url, behind_m = str(tmp_path / "ground.db"), 5.0 * np.cross(made.ALONG, [0.0, 0.0, 1.0])
    flown = [made.feature(number, None) for number in (4, 3, 2, 1)]  # the newest revision is the first crack's
    for one, chart in zip(flown, (9, 1, 2, 1), strict=True):
        one["properties"]["chart"]["number"] = chart
    path = np.asarray(flown[0]["properties"]["place"]["path_m"]) + behind_m
    flown[0]["properties"]["place"]["path_m"] = path.tolist()
    seen = made.patch("0.3", 0.0, 3.0)
    seen["properties"]["chart"]["numbers"] = [1, 2]
    document = {"type": "FeatureCollection", "features": [seen, {"type": "Feature"}, 7]}
    with open_store(url, clock()) as store:
        batch = Batch(coverage=[CoverageRow("made", made.FLIGHT, as_bytes(document))])
        for one in flown:
            assert read("spanhawk/made/cracks", as_bytes(one), datetime(2026, 6, 2, tzinfo=timezone.utc), batch) is None
        store.add(batch)
        asked = [("vehicle", "made"), ("flight_id", made.FLIGHT)]
        live = Live(store, None, bands.load(None), clock()).walls(asked)["walls"]
    found, _, _ = gather(FlightInStore(url, made.FLIGHT).flight(), bands.load(None), {})
    reported = {one.crack_id: (one.face, one.flat_m.round(3).tolist()) for one in found}
    assert reported == {crack: (one["name"], course) for one in live for crack, course in one["cracks"]}
    names = [reported[made.name(number)][0] for number in (1, 2, 3, 4)]
    assert names == ["Wall 1"] * 3 + ["Wall 2"]


def test_a_wall_of_a_flight_s_first_minutes_keeps_its_side_on_the_ground_s_page(tmp_path):
    """Its views are the oldest of many; without them its name says no side, and it may be drawn from behind."""
    url, nav = str(tmp_path / "ground.db"), {"attitude": {"yaw_deg": made.HEADING_DEG}}
    flown = [made.feature(number, None) for number in (1, 2)]
    path = np.asarray(flown[1]["properties"]["place"]["path_m"]) + 5.0 * np.cross(made.ALONG, [0.0, 0.0, 1.0])
    flown[1]["properties"]["place"]["path_m"] = path.tolist()
    flown[1]["properties"]["chart"]["number"] = 2

    def seen(store, *numbers):
        batch = Batch()
        for seq in numbers:
            name = made.name(1 if seq == 1 else 2)
            one = detection(seq, "made", made.FLIGHT, crack_id=name, frame_seq=seq, nav=nav if seq < 500 else None)
            assert read("spanhawk/made/detections", as_bytes(one), datetime.now(timezone.utc), batch) is None
        store.add(batch)

    with open_store(url, clock()) as store:
        batch = Batch()
        for one in flown:
            assert read("spanhawk/made/cracks", as_bytes(one), datetime.now(timezone.utc), batch) is None
        store.add(batch)
        live = Live(store, None, bands.load(None), clock())

        def names():
            found = live.walls([("vehicle", "made"), ("flight_id", made.FLIGHT)])["walls"]
            return [one["name"] for one in found]

        seen(store, 1)
        assert names() == ["Wall 1, facing SE", "Wall 2"]
        seen(store, *range(2, 600))
        assert names() == ["Wall 1, facing SE", "Wall 2, facing SE"]
        live = Live(store, None, bands.load(None), clock())  # a ground that is started anew
        assert names() == ["Wall 1, facing SE", "Wall 2, facing SE"]
    _, _, found = gather(FlightInStore(url, made.FLIGHT).flight(), bands.load(None), {})
    assert [one.name for one in found] == ["Wall 1, facing SE", "Wall 2, facing SE"]
