"""``spanhawk export``: what other programs open, and the way back by ``python -m models import``."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest

from edge.cli import main
from tests.pictures import concrete

ODD = "ribben \u05e9\u05dc\u05d5\u05dd \U0001f309 <script>alert(1)</script> " + "x" * 10_000


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cracked photos and a clean one, replayed."""
    folder = tmp_path_factory.mktemp("flight")
    (folder / "photos").mkdir()
    for name, seed, cracked in (("a", 1, True), ("b", 2, False), ("c", 3, True)):
        rgb = concrete(seed=seed, cracked=cracked)
        rgb = rgb[::-1, :250] if name == "c" else rgb  # another crack, not another view of the first
        assert cv2.imwrite(str(folder / "photos" / f"{name}.png"), np.ascontiguousarray(rgb[..., ::-1]))
    assert main(["replay", str(folder / "photos"), "--out", str(folder / "out"), "--backend", "dark"]) == 0
    return folder / "out"


def found(flight: Path) -> list[dict[str, Any]]:
    lines = (flight / "detections.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["properties"] for line in lines]


def pictured(flight: Path) -> dict[str, list[dict[str, Any]]]:
    """By picture, the findings of its frame."""
    by_file: dict[str, list[dict[str, Any]]] = {}
    for one in found(flight):
        by_file.setdefault(one["evidence"]["file"], []).append(one)
    return by_file


def review(flight: Path, copy: Path, verdicts: dict[str, str]) -> Path:
    """A copy of the flight with a review."""
    import shutil

    shutil.copytree(flight, copy)
    reviews = [
        {"crack_id": name, "verdict": verdict, "grade": None, "remark": ODD, "by": ODD, "at": "2026-06-01T12:00:00Z"}
        for name, verdict in verdicts.items()
    ]
    flight_id = json.loads((flight / "summary.json").read_text(encoding="utf-8"))["flight_id"]
    document = {"schema": "spanhawk/review/1", "flight_id": flight_id, "reviews": reviews}
    (copy / "review.json").write_text(json.dumps(document), encoding="utf-8")
    return copy


def test_a_replay_keeps_the_best_view_of_each_crack_and_verifies(flight: Path) -> None:
    assert main(["verify", str(flight)]) == 0
    assert pictured(flight)
    cracks = json.loads((flight / "cracks.geojson").read_text(encoding="utf-8"))["features"]
    shown = [one for one in cracks if one["properties"]["state"] != "withdrawn"]
    kept = {one["evidence"]["sha256"] for one in found(flight)}
    assert shown
    assert {one["properties"]["best"]["evidence_sha256"] for one in shown} <= kept


# pycocotools 2.0.11 has an array type of before NumPy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_coco_is_read_by_pycocotools(flight: Path, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    assert main(["export", str(flight), "--coco", "--out", str(tmp_path / "out")]) == 0
    read = coco.COCO(str(tmp_path / "out" / "annotations.json"))
    assert sorted(read.anns) == list(range(1, len(found(flight)) + 1))
    for image in read.dataset["images"]:
        findings = pictured(flight)[image["file_name"]]
        mine = read.loadAnns(read.getAnnIds(imgIds=image["id"]))
        assert len(mine) == len(findings)
        for annotation, one in zip(mine, findings, strict=True):
            mask = read.annToMask(annotation)
            path = np.asarray(one["crack"]["path_px"]).round().astype(int)
            hit = mask[path[:, 1].clip(0, mask.shape[0] - 1), path[:, 0].clip(0, mask.shape[1] - 1)].mean()
            assert hit > 0.95, "the crack's middle lies within its mask"
            assert abs(int(mask.sum()) - annotation["area"]) <= 0.1 * annotation["area"]


def test_labelme_is_read_by_labelme(flight: Path, tmp_path: Path) -> None:
    assert main(["export", str(flight), "--labelme", "--out", str(tmp_path / "out")]) == 0
    files = sorted((tmp_path / "out").glob("*.json"))
    assert [path.stem for path in files] == sorted(Path(name).stem for name in pictured(flight))
    for path in files:
        document = json.loads(path.read_text(encoding="utf-8"))
        assert (path.parent / document["imagePath"]).is_file()
        first = pictured(flight)[f"{path.stem}.jpg"][0]["crack"]["path_px"]
        assert np.abs(np.asarray(document["shapes"][0]["points"]) - 0.5 - first).max() < 0.02


def test_cvat_polylines(flight: Path, tmp_path: Path) -> None:
    assert main(["export", str(flight), "--cvat", "--out", str(tmp_path / "out")]) == 0
    root = ET.parse(tmp_path / "out" / "annotations.xml").getroot()
    assert root.findtext("version") == "1.1"
    for image in root.iter("image"):
        findings = pictured(flight)[image.attrib["name"]]
        assert len(image.findall("polyline")) == len(findings)
        assert image.attrib["width"] == str(findings[0]["frame_width_px"])


def test_confirmed_become_masks_rejected_hard_negatives_and_unreviewed_wait(
    flight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_file = sorted(pictured(flight).items())
    (first, confirmed), (second, rejected) = by_file[0], by_file[-1]
    verdicts = {one["crack_id"]: "confirmed" for one in confirmed}
    folder = review(flight, tmp_path / "one", verdicts)
    assert main(["export", str(folder), "--masks", "--out", str(tmp_path / "a")]) == 0
    assert "nobody reviewed are left out" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "a" / "images").iterdir()] == [first]
    folder = review(flight, tmp_path / "two", {**verdicts, **{one["crack_id"]: "rejected" for one in rejected}})
    assert main(["export", str(folder), "--masks", "--out", str(tmp_path / "b")]) == 0
    assert [path.name for path in (tmp_path / "b" / "negatives").iterdir()] == [second]
    mask = cv2.imread(str(tmp_path / "b" / "masks" / "crack" / f"{Path(first).stem}.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask)) == {0, 255}


def test_nothing_is_overwritten_unasked_and_lost_pictures_are_named(
    flight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").touch()
    assert main(["export", str(flight), "--coco", "--out", str(out)]) == 2
    folder = review(flight, tmp_path / "copy", {})
    gone = next((folder / "photos").iterdir())
    gone.unlink()
    with (folder / "detections.jsonl").open("ab") as file:
        file.write(b'{"type": "Fea')
    assert main(["export", str(folder), "--coco", "--out", str(out), "--overwrite"]) == 0
    said = capsys.readouterr().err
    assert f"photos/{gone.name}: is missing or damaged" in said
    assert "is cut off" in said


@pytest.mark.parametrize("kind", ["labelme", "coco", "cvat"])
def test_labels_come_back(flight: Path, tmp_path: Path, kind: str) -> None:
    from models.cli import main as models

    assert main(["export", str(flight), f"--{kind}", "--out", str(tmp_path / kind)]) == 0
    assert main(["export", str(flight), "--masks", "--unreviewed", "--out", str(tmp_path / "masks")]) == 0
    assert models(["import", str(tmp_path / kind), "--out", str(tmp_path / "back")]) == 0
    for path in (tmp_path / "masks" / "masks" / "crack").iterdir():
        mine = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) > 0
        back = cv2.imread(str(tmp_path / "back" / "masks" / "crack" / path.name), cv2.IMREAD_UNCHANGED) > 0
        assert (mine & back).sum() / (mine | back).sum() > 0.7


def test_labels_with_other_names_sizes_and_classes_are_named_and_the_rest_is_done(
    flight: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from models.cli import main as models

    assert main(["export", str(flight), "--labelme", "--out", str(tmp_path / "l")]) == 0
    files = sorted((tmp_path / "l").glob("*.json"))
    document = json.loads(files[0].read_text(encoding="utf-8"))
    line = {"label": ODD, "points": [[5, 5], [50, 50]], "shape_type": "line", "flags": {}}
    document["shapes"] += [line, {**line, "label": "crack", "shape_type": "cuboid"}, "nonsense"]
    files[0].write_text(json.dumps(document), encoding="utf-8")
    other = {**document, "imageWidth": 7}
    (tmp_path / "l" / "other.json").write_text(json.dumps(other), encoding="utf-8")
    lost = {**document, "imagePath": "../lost.jpg"}
    (tmp_path / "l" / "lost.json").write_text(json.dumps(lost), encoding="utf-8")
    (tmp_path / "l" / "cut.json").write_text('{"shapes": [', encoding="utf-8")
    back = tmp_path / "back"
    assert models(["import", str(tmp_path / "l"), "--out", str(back), "--class", "crack"]) == 0
    said = caplog.text
    for words in ("is none of crack", "'cuboid'", "lost.jpg", "cut.json", "7 x"):
        assert words in said, words
    # The cuboid is a crack that nobody can draw: its picture without it would teach that nothing is there.
    assert [path.stem for path in (back / "masks" / "crack").iterdir()] == [path.stem for path in files[1:]]
    assert models(["import", str(tmp_path / "l"), "--out", str(back)]) == 2


def test_the_commands_of_the_page_run_as_they_stand(
    flight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import re

    from models.cli import main as models

    page = (Path(__file__).parents[2] / "docs" / "flights.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    commands = [line.split() for block in blocks for line in block.splitlines()]
    assert len(commands) == 6
    shutil.copytree(flight, tmp_path / "spanhawk-demo")
    monkeypatch.chdir(tmp_path)
    for command in (one for one in commands if one[0] in ("spanhawk", "python")):
        assert (main(command[1:]) if command[0] == "spanhawk" else models(command[3:])) == 0, command
    assert any((tmp_path / "corrected" / "masks" / "crack").iterdir())


def test_mcap_is_read_by_its_own_reader_and_fits_its_own_schemas(flight: Path, tmp_path: Path) -> None:
    reader = pytest.importorskip("mcap.reader", reason="the extra [mcap] is not installed")
    import base64

    import jsonschema

    copy = tmp_path / "flight"
    shutil.copytree(flight, copy)
    frames = [json.loads(line) for line in (copy / "frames.jsonl").read_text().splitlines()]
    # Looks east along the horizon, then straight down heading north; the third knows no accuracy and no height.
    for frame, lat_deg, angles, ellipsoid_m in zip(
        frames, (51.0, 52.0, 53.0), ((0, 0, 90), (0, -90, 0), (None,) * 3), (60.5, 61.0, None), strict=True
    ):
        frame |= {"lat_deg": lat_deg, "lon_deg": 3.7, "alt_ellipsoid_m": ellipsoid_m, "h_accuracy_m": 0.5}
        frame |= {"v_accuracy_m": None if ellipsoid_m is None else 0.8}
        frame |= dict(zip(("roll_deg", "pitch_deg", "yaw_deg"), angles, strict=True))
    frames.append(frames[0] | {"exposed_utc": "not a time"})
    (copy / "frames.jsonl").write_text("".join(json.dumps(frame) + "\n" for frame in frames))
    assert main(["export", str(copy), "--mcap", "--out", str(tmp_path / "out")]) == 0
    by_topic: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    with (tmp_path / "out" / "flight.mcap").open("rb") as file:
        for schema, channel, message in reader.make_reader(file).iter_messages():
            body = json.loads(message.data)
            jsonschema.validate(body, json.loads(schema.data))
            assert channel.message_encoding == "json"
            by_topic.setdefault(channel.topic, []).append((message.log_time, body))
    images = [body for _, body in by_topic["/camera"]]
    kept = sorted(path.read_bytes() for path in (copy / "photos").iterdir())
    assert sorted(base64.b64decode(one["data"]) for one in images) == kept
    drawn = [body["points"] for _, body in by_topic["/camera/findings"]]
    assert [len(one) for one in drawn] == [len(one) for one in pictured(flight).values()]
    first = next(iter(pictured(flight).values()))[0]["crack"]["path_px"][0]
    assert list(drawn[0][0]["points"][0].values()) == pytest.approx([at + 0.5 for at in first], abs=0.01)
    assert [at for at, _ in by_topic["/camera"]] == [at for at, _ in by_topic["/camera/findings"]]
    fixes = [body for _, body in by_topic["/position"]]
    assert [one.get("altitude") for one in fixes] == [60.5, 61.0, None]
    assert [one["position_covariance"][::4] for one in fixes] == [
        pytest.approx([0.25, 0.25, 0.64]),
        pytest.approx([0.25, 0.25, 0.64]),
        [0.0, 0.0, 0.0],
    ]
    assert [one["position_covariance_type"] for one in fixes] == [2, 2, 0]
    turns = [body["pose"]["orientation"] for _, body in by_topic["/pose"]]
    axes = [[rotated(turn, axis) for axis in np.eye(3)] for turn in turns]
    # The camera's right, down and forward in east, north, up.
    assert np.round(axes[0], 6).tolist() == [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    assert np.round(axes[1], 6).tolist() == [[1, 0, 0], [0, -1, 0], [0, 0, -1]]
    assert json.loads(by_topic["/cracks"][0][1]["geojson"])["type"] == "FeatureCollection"


def rotated(turn: dict[str, float], vector: np.ndarray) -> np.ndarray:
    """``vector`` turned by a unit quaternion, by its defining formula."""
    axis = np.array([turn["x"], turn["y"], turn["z"]])
    return np.asarray(vector + 2 * np.cross(axis, np.cross(axis, vector) + turn["w"] * vector))


def test_painted_masks_come_back_corrected(flight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from models.cli import main as models

    assert main(["export", str(flight), "--masks", "--unreviewed", "--out", str(tmp_path / "m")]) == 0
    first, *rest = sorted((tmp_path / "m" / "masks" / "crack").iterdir())
    painted = cv2.imread(str(first), cv2.IMREAD_GRAYSCALE)
    painted[:20] = 255  # corrected by hand
    cv2.imwrite(str(first), painted)
    for path in rest:  # erased
        cv2.imwrite(str(path), np.zeros_like(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)))
    assert models(["import", str(tmp_path / "m"), "--out", str(tmp_path / "back")]) == 0
    assert (cv2.imread(str(tmp_path / "back" / "masks" / "crack" / first.name), 0) == painted).all()
    assert {path.stem for path in (tmp_path / "back" / "images").iterdir()} == {first.stem}
    assert {path.stem for path in (tmp_path / "back" / "negatives").iterdir()} == {path.stem for path in rest}
    capsys.readouterr()


@pytest.mark.parametrize(
    ("name", "mask", "words"),
    [
        ("a.png", np.zeros((5, 5), np.uint8), "5 x 5 pixels, the picture has 40 x 30"),
        ("a.png", np.arange(1200, dtype=np.uint8).reshape(30, 40), "holds more than black and white"),
        ("b.png", np.zeros((30, 40), np.uint8), "has no picture of its name"),
        ("a.png", None, "cannot be"),
    ],
)
def test_masks_that_cannot_be_used_are_named(
    tmp_path: Path, name: str, mask: np.ndarray | None, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    from models.cli import main as models

    source = tmp_path / "s"
    for folder in ("images", "masks"):
        (source / folder).mkdir(parents=True)
    ones = np.zeros((30, 40), np.uint8)
    ones[3:6] = 1
    for stem in ("a", "c"):
        cv2.imwrite(str(source / "images" / f"{stem}.png"), np.full((30, 40, 3), 128, np.uint8))
    cv2.imwrite(str(source / "masks" / "c.png"), ones)
    if mask is None:
        (source / "masks" / name).write_bytes(b"no picture")
    else:
        cv2.imwrite(str(source / "masks" / name), mask)
    assert models(["import", str(source), "--out", str(tmp_path / "x")]) == 2, "no class is named"
    assert models(["import", str(source), "--out", str(tmp_path / "o"), "--class", "crack"]) == 0
    assert words in caplog.text
    assert [path.name for path in (tmp_path / "o" / "images").iterdir()] == ["c.png"]
    assert (cv2.imread(str(tmp_path / "o" / "masks" / "crack" / "c.png"), 0) == ones * 255).all()


@pytest.mark.skipif(importlib.util.find_spec("labelme") is None, reason="pip install --group labelme, 200 MB")
def test_labelme_opens_its_files(flight: Path, tmp_path: Path) -> None:
    assert main(["export", str(flight), "--labelme", "--out", str(tmp_path / "l")]) == 0
    # In a process of its own: it leaves files open, which is a warning and so an error here.
    code = """import json, sys
from pathlib import Path
from labelme import LabelFile
for path in sorted(Path(sys.argv[1]).glob("*.json")):
    one = LabelFile(str(path))
    print(json.dumps([Path(one.imagePath).name, [[s["label"], s["shape_type"], len(s["points"])] for s in one.shapes]]))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "l")], capture_output=True, text=True, check=True)
    opened = dict(json.loads(line) for line in done.stdout.splitlines())
    assert opened == {
        name: [[one["kind"], "linestrip", len(one["crack"]["path_px"])] for one in all_of_it]
        for name, all_of_it in pictured(flight).items()
    }
