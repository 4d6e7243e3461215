"""systemd/install.sh up to where it needs a board: its functions run on folders of the test, as another systemd's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"


def run(folder: Path, then: str, version: str = "252 (252.39)") -> subprocess.CompletedProcess[str]:
    """What ``then`` does with the script's functions, as an ordinary user, on a systemd of this version."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    for name, does in (("systemctl", f'[ "$1" != --version ] || echo "systemd {version}"'), ("id", "echo 1000")):
        (tools / name).write_text(f"#!/bin/sh\n{does}\n")
        (tools / name).chmod(0o755)
    *functions, call = (UNITS / "install.sh").read_text(encoding="utf-8").splitlines()
    assert call == 'main "$@"'
    (folder / "functions.sh").write_text("\n".join(functions), encoding="utf-8")
    places = "\n".join(
        f"{name}={folder / where}"
        for name, where in (("ROOT", "opt"), ("UNITS", "units"), ("LOCAL", "local"), ("ETC", "etc"))
    )
    return subprocess.run(
        ["bash", "-c", f"source {folder}/functions.sh\n{places}\nlive() {{ false; }}\n{then}"],
        capture_output=True, text=True, env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
    )  # fmt: skip


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A version that is installed, and two credentials."""
    version = tmp_path / "opt" / "versions" / "0.1.0-12345678"
    version.mkdir(parents=True)
    shutil.copytree(UNITS, version / "systemd")
    (tmp_path / "opt" / "current").symlink_to("versions/0.1.0-12345678")
    (tmp_path / "etc" / "credentials").mkdir(parents=True)
    for name in ("mqtt-password", "flight-key"):
        (tmp_path / "etc" / "credentials" / name).touch()
    return tmp_path


def drop_ins(board: Path, unit: str) -> list[Path]:
    """Of a unit, in systemd's order: by name, whatever folder they are in (systemd.unit(5))."""
    folders = (board / "local/lib/systemd/system", board / "units")
    found = {path.name: path for folder in folders for path in (folder / f"{unit}.d").glob("*.conf")}
    return [found[name] for name in sorted(found)]


def test_before_systemd_250_no_unit_loads_a_folder_of_credentials(board: Path) -> None:
    ran = run(board, "link_units", "249 (249.11-0ubuntu3.12)")
    assert ran.returncode == 0, ran.stderr
    loading = []
    for unit in sorted(path.name for path in UNITS.glob("*.service")):
        loaded: list[str] = []
        for path in (board / "units" / unit, *drop_ins(board, unit)):
            for value in re.findall(r"^LoadCredential=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
                loaded = [*loaded, value] if value else []
        if loaded:
            loading.append(unit)
            wanted = [f"{name}:{board / 'etc/credentials' / name}" for name in ("flight-key", "mqtt-password")]
            assert sorted(loaded) == wanted, unit
    assert loading == ["spanhawk-doctor.service", "spanhawk-prune.service", "spanhawk.service"]


def test_a_newer_systemd_loads_the_folder(board: Path) -> None:
    assert run(board, "link_units").returncode == 0
    assert not list(board.glob("**/10-credentials.conf"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_doctor_is_walled_in_as_the_owner_changed_the_daemon(board: Path) -> None:
    """Asked of systemd itself: which drop-ins it reads, and in which order."""
    assert run(board, "link_units").returncode == 0
    (board / "units/spanhawk.service.d").mkdir()  # systemctl edit spanhawk, after the install
    own = board / "units/spanhawk.service.d/override.conf"
    own.write_text("[Service]\nIPAddressAllow=203.0.113.7\nExecStart=\nExecStart=/bin/false\n")
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "spanhawk-doctor.service"], capture_output=True, text=True,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "debug",
             "SYSTEMD_UNIT_PATH": f"{board}/units:{board}/local/lib/systemd/system:"},
    ).stdout  # fmt: skip
    unit = told[told.index("-> Unit spanhawk-doctor.service:") :]
    paths = [Path(path).resolve() for path in re.findall(r"DropIn Path: (\S+)", unit.partition("-> Unit ")[0] or unit)]
    source = (board / "opt/current/systemd").resolve()
    assert paths[:3] == [source / "spanhawk.service", own, source / "spanhawk-doctor.conf"]


def test_what_an_owner_changed_stays_when_it_is_taken_off(board: Path) -> None:
    assert run(board, "link_units", "249 (249.11)").returncode == 0
    own = board / "units/spanhawk.service.d/override.conf"
    own.write_text("[Service]\nNice=4\n")
    # What lies outside of the folders above is no part of this test.
    ran = run(board, 'rm() { case " $* " in *" /etc/"*) ;; *) command rm "$@" ;; esac; }\nuninstall', "249 (249.11)")
    assert ran.returncode == 0, ran.stderr
    left = {path for path in board.glob("**/*spanhawk*") if "etc" not in path.parts}
    assert left == {board / "units/spanhawk.service.d"}
    assert own.exists()


def test_status_takes_no_root_and_what_changes_something_does(board: Path) -> None:
    told = run(board, "main status")
    assert (told.returncode, told.stdout.splitlines()[0]) == (0, "0.1.0-12345678  in use")
    refused = run(board, "main rollback")
    assert refused.returncode == 2
    assert "needs root: sudo" in refused.stderr
