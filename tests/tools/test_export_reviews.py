"""``spanhawk export`` and what a person said under the names of the report: of merged cracks, and of areas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from edge.cli import main
from edge.ground.report.source import FlightOnDisk
from tests.ground.report import made

SIZE = (640, 480)


def spalling(one: dict[str, Any], *, east_m: float | None, cm2: float) -> dict[str, Any]:
    """The detection as one of area damage; ``east_m`` None: without a place."""
    place = {"method": "none"} if east_m is None else {"method": "surface", "frame": made.FRAME, "east_m": east_m}
    outline = {"outline_px": [[100, 100], [200, 100], [200, 180]], "area_px": 4000, "area_cm2": cm2, "extent_mm": 250}
    return one | {
        "crack_id": None, "kind": "spalling", "crack": None, "size": None, "area": outline,
        "place": place | {"north_m": 0.0, "up_m": 1.0},
    }  # fmt: skip


@pytest.fixture
def flight(tmp_path: Path) -> Path:
    """One crack by the names of three, two views of an area, and another area: six pictures."""
    folder = made.write(tmp_path / "flight", 6, size=SIZE)
    lines = [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]
    for line, east_m, cm2 in zip(lines[3:], (0.0, 0.02, None), (300.0, 320.0, 50.0), strict=True):
        line["properties"] = spalling(line["properties"], east_m=east_m, cm2=cm2)
    (folder / "detections.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    cracks = [made.feature(n, None, state="withdrawn", merged_into=made.name(n + 1)) for n in (1, 2)]
    cracks.append(made.feature(3, None))
    (folder / "cracks.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": cracks}))
    return folder


def review(flight: Path, verdict: str, *, cracks: str | None = None) -> None:
    """Say the same of all that the report shows; ``cracks``: another verdict for those."""
    shown = [one["properties"] for one in FlightOnDisk(flight).flight().cracks]
    names = [one["crack_id"] for one in shown if one["state"] != "withdrawn"]
    assert names == [made.name(3), "d5", "d6"], "d5 is the better view of d4's area"
    said = dict.fromkeys(names, verdict) | {names[0]: cracks or verdict}
    reviews = [{"crack_id": name, "verdict": verdict} for name, verdict in said.items()]
    document = {"schema": "spanhawk/review/1", "flight_id": made.FLIGHT, "reviews": reviews}
    (flight / "review.json").write_text(json.dumps(document))


def exported(flight: Path, kind: str) -> Path:
    out = flight.with_name(kind)
    assert main(["export", str(flight), f"--{kind}", "--out", str(out)]) == 0
    return out


def test_what_was_rejected_in_the_report_is_drawn_in_no_format(flight: Path) -> None:
    review(flight, "rejected")
    files = list(exported(flight, "labelme").glob("*.json"))
    assert len(files) == 6
    assert all(json.loads(path.read_text())["shapes"] == [] for path in files)
    document = json.loads((exported(flight, "coco") / "annotations.json").read_text())
    assert (len(document["images"]), document["annotations"]) == (6, [])
    images = list(ET.parse(exported(flight, "cvat") / "annotations.xml").getroot().iter("image"))
    assert [len(image) for image in images] == [0] * 6


def test_pictures_of_which_all_was_reviewed_in_the_report_become_masks(
    flight: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    review(flight, "confirmed")
    out = exported(flight, "masks")
    assert "left out" not in capsys.readouterr().err
    assert {kind: len(list((out / "masks" / kind).iterdir())) for kind in ("crack", "spalling")} == {
        "crack": 6,
        "spalling": 6,
    }
    review(flight, "rejected")
    assert main(["export", str(flight), "--masks", "--out", str(flight.with_name("rejected"))]) == 0
    assert len(list(flight.with_name("rejected").joinpath("negatives").iterdir())) == 6
    assert not flight.with_name("rejected").joinpath("images").exists()


def test_what_was_said_before_a_merge_counts_until_the_crack_that_stands_is_reviewed(flight: Path) -> None:
    said = {made.name(1): "rejected", made.name(2): "rejected"}

    def drawn(said: dict[str, str], name: str) -> list[int]:
        reviews = [{"crack_id": crack, "verdict": verdict} for crack, verdict in said.items()]
        document = {"schema": "spanhawk/review/1", "flight_id": made.FLIGHT, "reviews": reviews}
        (flight / "review.json").write_text(json.dumps(document))
        out = flight.with_name(name)
        assert main(["export", str(flight), "--labelme", "--out", str(out)]) == 0
        return [len(json.loads(path.read_text())["shapes"]) for path in sorted(out.glob("*.json"))][:3]

    assert drawn(said, "before") == [0, 0, 1]
    assert drawn(said | {made.name(3): "confirmed"}, "after") == [1, 1, 1]


def test_masks_over_an_earlier_set_leave_nothing_of_it_and_everything_else(flight: Path) -> None:
    review(flight, "confirmed")
    out = exported(flight, "masks")
    foreign = {out / "mine.png", out / "images" / "notes.txt", out / "masks" / "crack" / "notes.txt"}
    for path in foreign:
        path.write_text("mine")
    review(flight, "confirmed", cracks="rejected")
    assert main(["export", str(flight), "--masks", "--overwrite", "--out", str(out)]) == 0
    of = {part: {path.stem for path in (out / part).iterdir()} for part in ("images", "negatives", "masks/spalling")}
    photos = [path.stem for path in sorted((flight / "photos").iterdir())]
    assert of == {
        "images": {*photos[3:], "notes"},
        "negatives": set(photos[:3]),
        "masks/spalling": set(photos[3:]),
    }
    assert [path.name for path in (out / "masks" / "crack").iterdir()] == ["notes.txt"]
    assert all(path.read_text() == "mine" for path in foreign)


def on_the_map(flight: Path, name: str) -> list[str]:
    """The cracks that a played flight shows on its map."""
    reader = pytest.importorskip("mcap.reader", reason="the extra [mcap] is not installed")
    out = flight.with_name(name)
    assert main(["export", str(flight), "--mcap", "--out", str(out)]) == 0
    with (out / "flight.mcap").open("rb") as file:
        messages = [message for _, _, message in reader.make_reader(file).iter_messages(topics=["/cracks"])]
    shown = [json.loads(json.loads(message.data)["geojson"])["features"] for message in messages]
    return [feature["id"] for features in shown for feature in features]


def test_a_played_flight_has_no_withdrawn_and_no_rejected_crack_on_its_map(
    flight: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert on_the_map(flight, "unreviewed") == [made.name(3)]
    review(flight, "confirmed")
    assert on_the_map(flight, "confirmed") == [made.name(3)]
    review(flight, "confirmed", cracks="rejected")
    assert on_the_map(flight, "rejected") == []
    (flight / "cracks.geojson").write_bytes(b'{"features": "\xff"}')
    capsys.readouterr()
    assert on_the_map(flight, "damaged") == []
    assert "cracks.geojson: is damaged" in capsys.readouterr().err
