"""What the daemon ends with 78 for, ``doctor --software`` says before an upgrade, and ``config check`` names."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import minisign
import numpy as np
import pytest

from edge import settings
from edge.cli import main
from edge.daemon.notify import Systemd
from edge.daemon.service import Service
from edge.support.clock import SystemClock
from edge.support.errors import EXIT_CONFIG, ConfigError
from edge.tools.doctor import Level, software
from tests.tools.doctor.bench import bench, toml

TOKEN = "0123456789abcdef"


def signing(folder: Path, **more: Any) -> dict[str, dict[str, Any]]:
    return {"flight": {"folder_dir": str(folder / "flights"), "min_free_mb": 0, **more}}


def serving(folder: Path, **more: Any) -> dict[str, dict[str, Any]]:
    return {**signing(folder), "pictures": {"listen": "127.0.0.1:0", **more}}


FAULTS: dict[str, tuple[Callable[[Path], dict[str, dict[str, Any]]], str]] = {
    "no token": (lambda folder: serving(folder, token_file=str(folder / "absent")), "pictures.token_file"),
    "no certificate": (lambda folder: serving(folder, cert_file=str(folder / "absent")), "pictures.cert_file"),
    "no key to sign": (lambda folder: signing(folder, sign_key=str(folder / "absent")), "flight.sign_key"),
    "no broker's password": (
        lambda folder: {
            **signing(folder),
            "mqtt": {"url": "mqtt://127.0.0.1:1", "username": "d", "password_file": str(folder / "absent")},
        },
        "mqtt.password_file",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_secret_that_is_missing_is_told_as_the_daemon_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    rooms, key = FAULTS[fault]
    (tmp_path / "frames").mkdir()
    assert cv2.imwrite(str(tmp_path / "frames" / "a.png"), np.full((64, 64, 3), 128, np.uint8))
    path = toml(tmp_path, camera={"backend": "folder", "path": str(tmp_path / "frames")}, **rooms(tmp_path))
    stop = threading.Event()
    stop.set()
    with pytest.raises(ConfigError) as ended:  # the truth: the daemon itself
        Service(settings.read(path), SystemClock(), Systemd("", "")).run(stop)
    assert str(ended.value).startswith(f"{key}: cannot read {tmp_path / 'absent'} (No such file or directory)")
    assert main(["doctor", "--software", "--json", "--config", str(path)]) == EXIT_CONFIG
    (row,) = (row for row in json.loads(capsys.readouterr().out)["checks"] if row["check"] == "secrets")
    assert (row["level"], row["found"]) == ("fail", str(ended.value).partition("; ")[0])
    assert main(["config", "check", str(path)]) == 0
    assert f"not on this computer: {key} {tmp_path / 'absent'}" in capsys.readouterr().err.splitlines()


def test_what_is_there_and_of_no_use_is_refused_by_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "short").write_text("short\n")
    path = toml(tmp_path, **serving(tmp_path, token_file=str(tmp_path / "short")))
    for command in (["config", "check", str(path)], ["doctor", "--software", "--config", str(path)]):
        assert main(command) == EXIT_CONFIG
        printed = capsys.readouterr()
        assert "has 5 characters, a token has 16 or more" in " ".join((printed.out + printed.err).split())


def test_good_secrets_are_named_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "key").write_bytes(bytes(minisign.KeyPair.generate().secret_key))
    rooms = serving(tmp_path, token_file=str(tmp_path / "token"))
    rooms["flight"]["sign_key"] = str(tmp_path / "key")
    found = software.secrets(bench(tmp_path, **rooms))
    assert (found.level, found.found) == (Level.OK, "can be used: pictures.token_file, flight.sign_key")


def test_pictures_that_nobody_is_served_need_no_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = toml(tmp_path, pictures={"token_file": str(tmp_path / "absent")})
    assert main(["config", "check", str(path)]) == 0
    assert "absent" not in capsys.readouterr().err
    found = software.secrets(bench(tmp_path, pictures={"token_file": str(tmp_path / "absent")}))
    assert found.level is Level.NOT_APPLICABLE
