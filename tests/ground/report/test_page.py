"""index.html: what it says, in which order, and what is drawn."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.ground.report import bands
from tests.ground.report import made
from tests.ground.report.reading import Page, change, copied, page, rows, told

pytest.importorskip("pyogrio", reason="the extra [report] is not installed")
pytest.importorskip("jinja2", reason="the extra [report] is not installed")


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
    assert "3 pictures dropped unseen" in text
    assert "not certain enough" not in text
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
    drawn = [attrs["class"] for _, attrs in seen.elements if (attrs.get("class") or "").startswith("area ")]
    assert drawn == ["area good", "area fair", "area poor"] * 2, "once on the map, once on the wall"
    told_by = [attrs["class"] for tag, attrs in seen.elements if (attrs.get("class") or "").startswith("chip shade")]
    assert told_by == ["chip shade good", "chip shade fair", "chip shade poor"] * 2, "by their colours, not by words"
    assert "Squares are damaged areas" not in seen.text
    # The line at 4 m is 20 units from the edge of the map: its figure would be cut.
    figures = re.findall(r'<text x="([\d.]+)" y="[\d.]+">(-?[\d.]+(?: m)?)</text>', page(tmp_path / "out"))
    assert all(float(x) + 8 * len(figure) <= 1000 for x, figure in figures)
    assert sum(figure.endswith(" m") for _, figure in figures) == 4, "one on each axis of map and wall"


def test_what_is_known_of_no_finding_has_neither_column_nor_table(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    for number in range(1, 7):
        change(copy, number, place=None, width_mm=None, length_mm=None, length_px=0.0, width_px={"value": 4.0})
    told(copy, tmp_path / "out")
    text = Page(page(tmp_path / "out")).text
    head = text.split("The length is of what was seen.")[1].split("unreviewed")[0]
    words = "No. Width or area Kind Views State Review 1 4.0 px, mm not known crack 4 confirmed"
    assert " ".join(head.split()) == words
    assert "No width was measured in millimetres" in text
    assert "Context" not in text


def test_without_millimetres_findings_are_told_and_sorted_in_pixels(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    for number, length_px in enumerate((50.4, 90.0, 70.0, 0.0, 80.0, 60.0), 1):
        change(copy, number, place=None, width_mm=None, length_mm=None, width_px=None, length_px=length_px)
    change(copy, 6, width_px={"value": 4.0})
    document = json.loads((copy / "cracks.geojson").read_text())
    document["features"][0]["geometry"] = None
    (copy / "cracks.geojson").write_text(json.dumps(document))
    lines = [json.loads(line) for line in (copy / "detections.jsonl").read_text().splitlines()]
    lines[0]["properties"]["nav"] = None
    lines[0]["properties"]["crack"]["width_px"] = {"mean": 2.0, "p95": 3.0, "at_most": 3.25}
    (copy / "detections.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    told(copy, tmp_path / "out")
    seen = Page(page(tmp_path / "out"))
    order = [attrs["data-id"] for tag, attrs in seen.elements if tag == "article"]
    assert order == [made.name(number) for number in (6, 2, 5, 3, 1, 4)], "a measured width, then the long before short"
    text = " ".join(seen.text.split())
    assert "6 4.0 px, mm not known 60 px, mm not known" in text
    assert "1 at most 3.25 px, mm not known 50 px, mm not known" in text
    articles = re.findall(r"<article.*?</article>", page(tmp_path / "out"), re.DOTALL)
    cards = {number: " ".join(Page(one).text.split()) for one, number in zip(articles, (6, 2, 5, 3, 1, 4), strict=True)}
    assert re.search(r"Place ?not known", cards[1])
    assert "Satellite fix" not in cards[1], "nothing had one"
    assert re.search(r"Place ?wall unknown.*Satellite fix ?good to 0.02 m", cards[2])
    keys = [attrs["data-sort"] for _, attrs in seen.elements if attrs.get("data-head") == "Length"]
    assert keys == ["60.0", "90.0", "80.0", "70.0", "50.4", ""]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")
def test_heads_of_tables_stand_on_every_printed_page(tmp_path: Path) -> None:
    told(made.write(tmp_path / "flight", 60, frames=2, size=(64, 48)), tmp_path / "out")
    printed = tmp_path / "out.pdf"
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}")
    command = ["chromium", *options, f"--print-to-pdf={printed}", str(tmp_path / "out" / "index.html")]
    subprocess.run(command, capture_output=True, check=True, timeout=120)
    text = subprocess.run(["pdftotext", "-layout", printed, "-"], capture_output=True, text=True, check=True).stdout
    pages = [one for one in text.split("\f") if "unreviewed" in one]
    assert len(pages) > 1
    assert all("Width or area" in one for one in pages)
    assert all("Findings by severity" not in one or "unreviewed" in one for one in text.split("\f")), "no lone heading"


def test_unconfirmed_findings_stand_behind_confirmed_ones(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    change(copy, 6, state="tentative")
    change(copy, 5, state="withdrawn")
    told(copy, tmp_path / "out")
    order = [attrs["data-id"] for tag, attrs in Page(page(tmp_path / "out")).elements if tag == "article"]
    assert order == [made.name(number) for number in (4, 3, 2, 1, 6)]
    assert "1 more finding withdrawn" in Page(page(tmp_path / "out")).text


def test_summary_and_what_was_held_back_count_what_there_is(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    for number in range(1, 5):
        change(copy, number, state="tentative")
    summary = json.loads((copy / "summary.json").read_text())
    summary["suppressed"] = {"weak": 18, "straight": 5, "curled": 0, "alone": 1}
    (copy / "summary.json").write_text(json.dumps(summary))
    told(copy, tmp_path / "out")
    text = " ".join(Page(page(tmp_path / "out")).text.split())
    assert "24 traces not certain enough to be reported as findings (18 weak, 5 straight, 1 alone)." in text
    assert "6findings 2confirmed 4tentative" in text


def test_a_flight_that_saw_nothing_says_that_nothing_is_known(tmp_path: Path) -> None:
    flight = tmp_path / "flight"
    flight.mkdir()
    (flight / "summary.json").write_text(json.dumps({"schema": "spanhawk/flight/1", "flight_id": "f", "frames": 0}))
    told(flight, tmp_path / "out")
    text = Page(page(tmp_path / "out")).text
    assert text.index("Nothing is known of what was seen") < text.index("Nothing was found. Read above")
    assert rows(tmp_path / "out") == {}
    assert "length in all" not in text


@pytest.mark.parametrize("known", ["summary", "frames"])
def test_a_flight_without_a_finding_has_its_day_and_what_its_clock_is_worth(tmp_path: Path, known: str) -> None:
    flight = made.write(tmp_path / "flight", 0)
    summary = {"flight_id": "f", "began_at": "2026-07-02T23:59:00.000Z", "ended_at": None, "clock_synced": False}
    if known == "summary":  # as the daemon leaves it
        (flight / "summary.json").write_text(json.dumps(summary))
    told(flight, tmp_path / "out")
    said = {"summary": "2026-07-02 by a clock that nothing has confirmed", "frames": "2026-06-01 "}
    assert f"Flight {'f' if known == 'summary' else made.FLIGHT}\n{said[known]}" in Page(page(tmp_path / "out")).text


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
