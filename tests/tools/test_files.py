"""``spanhawk config check`` looks at what the configuration names, where it is on this computer."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
from pathlib import Path

import cv2
import pytest

from edge.cli import main
from edge.outbox.sqlite import Options, open_outbox
from edge.support.clock import SystemClock
from tests.pictures import concrete

CONFIG = """vehicle = "drone1"
[camera]
backend = "folder"
path = "{folder}/frames"
[masks]
backend = "dark"
[navigation]
{navigation}
[outbox]
path = "{outbox}"
[mqtt]
username = "drone"
password_file = "{folder}/{password}"
[flight]
snapshot_dir = "{folder}/{snapshots}"
"""
FIXED = 'backend = "fixed"\nlat_deg = 51.0\nlon_deg = 4.0'


def check(folder: Path, **named: str) -> int:
    """Write a configuration and check it."""
    given = {"navigation": FIXED, "outbox": f"{folder}/outbox.db", "password": "password", "snapshots": "new"}
    path = folder / "spanhawk.toml"
    path.write_text(CONFIG.format(folder=folder, **(given | named)), encoding="utf-8")
    return main(["config", "check", str(path)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "frames").mkdir()
    assert cv2.imwrite(str(tmp_path / "frames" / "a.png"), concrete())
    for name, content in {
        "password": b"secret\r\n", "utf16": "secret".encode("utf-16"), "empty": b"\nsecret\n", "text": b"hello" * 500,
        "huge": b"x" * 70_000,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    with open_outbox(Options(path=tmp_path / "ours.db", min_free_bytes=0), SystemClock()):
        pass
    shutil.copy(tmp_path / "text", tmp_path / "damaged.db")
    (tmp_path / "damaged.db.lock").touch()
    db = sqlite3.connect(tmp_path / "other.db")
    db.execute("CREATE TABLE somebody (s)")
    db.close()
    return tmp_path


@pytest.mark.parametrize("outbox", ["outbox.db", "ours.db", "damaged.db", "new/outbox.db"])
def test_what_the_daemon_can_use_or_make_is_good(folder: Path, capsys: pytest.CaptureFixture[str], outbox: str) -> None:
    assert check(folder, outbox=f"{folder}/{outbox}") == 0
    assert capsys.readouterr().err == f"{folder}/spanhawk.toml: good\n"


def test_what_is_not_on_this_computer_is_named_and_no_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "frames" / "a.png").unlink()
    (folder / "frames").rmdir()
    assert check(folder, password="on-the-drone") == 0
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"not on this computer: camera.path {folder}/frames",
        f"not on this computer: mqtt.password_file {folder}/on-the-drone",
    ]


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"password": "frames"}, "mqtt.password_file: cannot read .*frames .Is a directory"),
        ({"password": "utf16"}, "is not UTF-8 text"),
        ({"password": "empty"}, "the first line of .*empty is empty"),
        ({"password": "huge"}, "has 70000 bytes, MQTT takes 65535"),
        ({"outbox": "{folder}/frames"}, "frames is not a file; point outbox.path at a file"),
        ({"outbox": "{folder}/text/outbox.db"}, "text is not a folder, so .*outbox.db cannot be made"),
        ({"outbox": "{folder}/text"}, "cannot be read as an outbox .*point outbox.path at a file of its own"),
        ({"outbox": "{folder}/other.db"}, "another program's database"),
        ({"snapshots": "text"}, "flight.snapshot_dir: .*text is not a folder"),
        ({"snapshots": "text/below"}, "flight.snapshot_dir: .*text is not a folder, so .*below cannot be made"),
        ({"navigation": 'backend = "mavlink"\ndevice = "{folder}/text"'}, "text is no serial port"),
    ],
)
def test_what_is_there_and_of_no_use_is_refused_before_the_start(
    folder: Path, capsys: pytest.CaptureFixture[str], named: dict[str, str], told: str
) -> None:
    assert check(folder, **{key: value.replace("{folder}", str(folder)) for key, value in named.items()}) == 78
    said = capsys.readouterr().err
    assert said.startswith(f"spanhawk: {folder}/spanhawk.toml: ")
    assert re.search(told, said), said


def test_a_folder_that_only_others_may_look_into_takes_sudo(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As /var/lib/spanhawk and /etc/spanhawk/credentials are to the user who edits a copy of the configuration."""
    stat = os.stat

    def refused(path: str | Path, *more: object, **named: object) -> os.stat_result:
        if "closed" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", refused)
    assert check(folder, password="closed/secret") == 78
    assert f"mqtt.password_file: cannot look at {folder}/closed/secret (Permission denied); use sudo" in (
        capsys.readouterr().err
    )


def test_a_folder_without_pictures_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "frames" / "a.png").rename(folder / "a.png")
    assert check(folder) == 78
    assert "no image in this folder" in capsys.readouterr().err


@pytest.mark.parametrize("named", [".", "/"])
def test_a_folder_without_a_parent_is_a_folder(folder: Path, capsys: pytest.CaptureFixture[str], named: str) -> None:
    assert check(folder, snapshots="x") == 0
    path = folder / "spanhawk.toml"
    path.write_text(re.sub(r"snapshot_dir = .*", f'snapshot_dir = "{named}"', path.read_text()), encoding="utf-8")
    assert main(["config", "check", str(path)]) == 0
    assert "Traceback" not in capsys.readouterr().err
