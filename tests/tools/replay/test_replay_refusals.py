"""What a replay refuses, skips or cannot finish: one sentence, the right exit code, and nothing of before touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.cli import main
from edge.support.errors import UsageError
from edge.tools.replay.source import find_recording
from tests.mqtt.broker import mosquitto
from tests.tools.replay.running import ROOT, fly, lines, summary, told_of


def test_absent_broker_keeps_everything_and_says_how_to_send_it(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.tools.replay.deliver.PATIENCE_S", 0.5)
    with mosquitto(tmp_path) as broker:
        url = broker.url
        broker.kill()  # SIGTERM so soon after the start can be lost: mosquitto 2.0 sets its handler before its flag
        assert fly(photos, tmp_path / "out", "--mqtt", url) == 75
        said = capsys.readouterr().err
        assert "did not reach the broker" in said
        assert "spanhawk outbox flush" in said
        broker.start()
        box = str(tmp_path / "out" / "outbox.db")
        assert main(["outbox", "flush", "--outbox", box, "--mqtt", url]) == 0
        assert main(["outbox", "list", "--outbox", box]) == 0
        states = [json.loads(line)["state"] for line in capsys.readouterr().out.splitlines()]
        assert states == ["confirmed"] * (len(lines(tmp_path / "out")) + told_of(tmp_path / "out"))
        assert main(["outbox", "flush", "--again", "--outbox", box, "--mqtt", url]) == 0
        assert f"{len(states)} letters delivered" in capsys.readouterr().err
        assert main(["outbox", "purge", "--outbox", box]) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["nowhere"], 2, "nowhere: no such file or folder"),
        (["empty"], 2, "no image"),
        (["photos", "--fps", "0"], 2, "--fps"),
        (["photos", "--fps", "nan"], 2, "--fps"),
        (["photos", "--nav-offset", "3"], 2, "--nav-offset"),
        (["photos", "--nav", "bad.csv", "--nav-offset", "inf"], 2, "--nav-offset"),
        (["photos", "--fps", "1e-300"], 2, "--fps"),
        (["damaged"], 2, "none of them can be read"),
        (["photos", "--masks", "--out", "mine"], 2, "files that no replay wrote"),
        (["photos", "--threads", "0"], 2, "--threads"),
        (["photos", "--vehicle", "a/b"], 2, "--vehicle"),
        (["photos", "--nav", "nowhere.csv"], 2, "nowhere.csv"),
        (["photos", "--nav", "bad.csv", "--fps", "1"], 78, "bad.csv"),
        (["photos", "--bundle", "empty", "--backend", "litert"], 78, "card.json"),
        (["photos", "--backend", "magic"], 78, "no backend 'magic'; known: "),
        (["photos", "--config", "typo.toml"], 78, "did you mean cracks?"),
        (["photos", "--mqtt", "http://x"], 78, "mqtt://"),
        (["photos", "--out", "file/out"], 2, "cannot write there"),
        (["text.txt"], 2, "text.txt"),
    ],
)
def test_bad_input_gets_one_sentence_and_the_right_code(
    photos: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "a.png").touch()
    (tmp_path / "mine" / "masks").mkdir(parents=True)
    (tmp_path / "mine" / "masks" / "a.png").write_text("ground truth")
    (tmp_path / "file").touch()
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "bad.csv").write_text("t_s,lat_deg,lon_deg\n0,51,3\n1,x,3\n")
    (tmp_path / "typo.toml").write_text("[crack]\n")
    usual = {"--backend": "dark", "--out": "out"}
    words = [word for name, value in usual.items() if name not in arguments for word in (name, value)]
    assert main(["replay", *words, *arguments]) == code
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("spanhawk: ")
    assert sentence in said


@pytest.mark.parametrize("ending", [".h265", ".HEVC", ".264", ".mts", ".mp4"])
def test_films_are_known_by_their_names_also_bare_streams(tmp_path: Path, ending: str) -> None:
    film = tmp_path / f"film{ending}"
    film.write_bytes(b"")
    assert find_recording(film).video


def test_what_is_neither_names_both_kinds(tmp_path: Path) -> None:
    (tmp_path / "film.docx").write_bytes(b"")
    with pytest.raises(UsageError, match=r"images end in .*\.jpg.*videos in .*\.hevc"):
        find_recording(tmp_path / "film.docx")


def test_a_second_replay_clears_the_first_ones_masks_and_a_failed_one_touches_nothing(
    photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert fly(photos, out, "--masks") == 0
    assert fly(photos, out, "--mqtt", "foo://x") == 78
    assert lines(out), "the earlier result is still there"
    (photos / "b.jpg").unlink()
    assert fly(photos, out, "--masks") == 0
    assert {path.stem for path in (out / "masks").iterdir()} == {"a", "c"}


def test_a_file_name_that_is_not_utf8(photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").rename(os.fsdecode(os.fsencode(photos) + b"/Br\xfccke.png"))
    assert fly(photos, tmp_path / "out", "--masks") == 0
    assert {document["properties"]["frame_name"] for document in lines(tmp_path / "out")} == {"Br\ufffdcke", "c"}
    assert (tmp_path / "out" / "masks" / "Br\ufffdcke.png").exists()


def test_one_bad_image_is_skipped_and_counted(photos: Path, tmp_path: Path) -> None:
    whole = (photos / "b.jpg").read_bytes()
    (photos / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (photos / "zero.png").touch()
    assert fly(photos, tmp_path / "out") == 0
    told = summary(tmp_path / "out")
    assert (told["frames"], told["skipped"], told["dropped"]) == (3, 2, 0)
    assert {bad["name"] for bad in told["skipped_files"]} == {"cut", "zero"}  # type: ignore[attr-defined]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.parametrize("size", ["64k", "8k", "4k"])
def test_a_full_disk_ends_with_75_and_keeps_whole_lines(photos: Path, tmp_path: Path, size: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    command = [
        sys.executable,
        "-m",
        "edge",
        "replay",
        str(photos),
        "--backend",
        "dark",
        "--out",
        str(disk),
        "--overlays",
    ]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert ran.returncode == 75, ran.stderr
        assert "No space left on device" in ran.stderr
        assert "Traceback" not in ran.stderr
        if (disk / "detections.jsonl").exists():
            for line in (disk / "detections.jsonl").read_text(encoding="utf-8").splitlines():
                json.loads(line)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
