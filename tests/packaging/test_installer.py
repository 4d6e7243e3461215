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


def versions(board: Path, **links: str) -> None:
    """Two more versions, and what ``current``, ``previous`` and ``unconfirmed`` say."""
    for name in ("0.2.0-aaaaaaaa", "0.3.0-bbbbbbbb"):
        shutil.copytree(board / "opt/versions/0.1.0-12345678", board / "opt/versions" / name)
    for path in (board / "opt/versions").iterdir():
        (path / ".complete").touch()
        (path / "packages").write_text("pinned\n")
    for name, to in links.items():
        if name == "unconfirmed":
            (board / "opt/unconfirmed").write_text(f"{to}\n")
        else:
            (board / "opt" / name).unlink(missing_ok=True)
            (board / "opt" / name).symlink_to(f"versions/{to}")


def state(board: Path) -> dict[str, str]:
    """What is in use, what was before, and what comes back when this one does not come up."""
    found = {
        name: (board / "opt" / name).readlink().name
        for name in ("current", "previous")
        if (board / "opt" / name).is_symlink()
    }
    unconfirmed = board / "opt/unconfirmed"
    return found | ({"unconfirmed": unconfirmed.read_text().strip()} if unconfirmed.exists() else {})


def test_what_never_came_up_is_nothing_to_fall_back_to(board: Path) -> None:
    """0.1.0 flew, 0.2.0 was put on and never started, 0.3.0 comes over it: 0.1.0 is kept, and comes back."""
    versions(board, current="0.2.0-aaaaaaaa", previous="0.1.0-12345678", unconfirmed="0.1.0-12345678")
    assert run(board, "switch_to 0.3.0-bbbbbbbb; forget_old_versions").returncode == 0
    assert state(board) == {
        "current": "0.3.0-bbbbbbbb", "previous": "0.1.0-12345678", "unconfirmed": "0.1.0-12345678",
    }  # fmt: skip
    assert not (board / "opt/versions/0.2.0-aaaaaaaa").exists()
    ran = run(board, "comes_up() { true; }\nfallback")
    assert (ran.returncode, state(board)) == (0, {"current": "0.1.0-12345678"})
    assert "0.3.0-bbbbbbbb did not come up; 0.1.0-12345678 is in use again" in ran.stderr
    assert not (board / "opt/versions/0.3.0-bbbbbbbb").exists()


def test_an_upgrade_that_fails_over_one_that_never_came_up_goes_back_to_what_flew(board: Path) -> None:
    versions(board, current="0.2.0-aaaaaaaa", previous="0.1.0-12345678", unconfirmed="0.1.0-12345678")
    doctor = board / "opt/versions/0.3.0-bbbbbbbb/venv/bin/spanhawk"
    doctor.parent.mkdir(parents=True)
    doctor.write_text("#!/bin/sh\n")
    doctor.chmod(0o755)
    comes_up = 'comes_up() { [ "$(current)" = 0.1.0-12345678 ]; }\njournalctl() { :; }\n'
    ran = run(board, f"{comes_up}START=yes\nupgrade_to 0.3.0-bbbbbbbb")
    assert (ran.returncode, state(board)) == (75, {"current": "0.1.0-12345678"})
    assert "0.1.0-12345678 is in use again; 0.3.0-bbbbbbbb was left" in ran.stderr
    assert (board / "opt/versions/0.1.0-12345678/.complete").exists()


def test_a_fallback_that_was_cut_off_deletes_no_version_in_use(board: Path) -> None:
    """The link was switched back; the power went before that was confirmed."""
    versions(board, current="0.1.0-12345678", unconfirmed="0.1.0-12345678")
    ran = run(board, "comes_up() { false; }\nfallback")
    assert (ran.returncode, state(board)) == (0, {"current": "0.1.0-12345678"})
    assert "nothing to fall back to from 0.1.0-12345678" in ran.stderr
    assert (board / "opt/versions/0.1.0-12345678/.complete").exists()


def test_what_flew_may_be_put_on_again_over_one_that_never_came_up(board: Path) -> None:
    versions(board, current="0.2.0-aaaaaaaa", previous="0.1.0-12345678", unconfirmed="0.1.0-12345678")
    elsewhere = "check_machine requirements_file find_wheel host_files first_configuration"
    words = "\n".join(f"{name}() {{ :; }}" for name in elsewhere.split())
    ran = run(board, f"{words}\nversion_name() {{ echo 0.1.0-12345678; }}\nAPT=no START=no WHEEL=x\nput_on")
    assert (ran.returncode, state(board)) == (0, {"current": "0.1.0-12345678"}), ran.stderr
    assert [path.name for path in (board / "opt/versions").iterdir()] == ["0.1.0-12345678"]


# What put_on needs of a machine, without one; the daemon of 0.2.0 does not come up, that of 0.1.0 does.
ELSEWHERE = """
check_machine() { :; }; requirements_file() { :; }; find_wheel() { :; }; host_files() { :; }; journalctl() { :; }
first_configuration() { :; }; final_doctor() { :; }; version_name() { echo 0.2.0-aaaaaaaa; }
comes_up() { [ "$(current)" = 0.1.0-12345678 ]; }
APT=no WHEEL=x
"""


def checks(board: Path, version: str, code: int) -> None:
    """Let this version's own check of the configuration end with ``code``."""
    doctor = board / "opt/versions" / version / "venv/bin/spanhawk"
    doctor.parent.mkdir(parents=True)
    doctor.write_text(f"#!/bin/sh\nexit {code}\n")
    doctor.chmod(0o755)


@pytest.mark.parametrize(
    ("check", "code", "words"),
    [
        (0, 75, "0.2.0-aaaaaaaa does not come up; going back to 0.1.0-12345678"),
        (78, 78, "0.2.0-aaaaaaaa fails its own check with this configuration (see above); 0.1.0-12345678 stays in use"),
    ],
)
def test_a_version_that_never_came_up_and_is_put_on_again_goes_or_stays_as_it_is_told(
    board: Path, check: int, code: int, words: str
) -> None:
    """0.2.0 came with --no-start. Nobody may be told to edit and restart what the fallback is about to take away."""
    versions(board, current="0.2.0-aaaaaaaa", previous="0.1.0-12345678", unconfirmed="0.1.0-12345678")
    checks(board, "0.2.0-aaaaaaaa", check)
    ran = run(board, f"{ELSEWHERE}START=yes\nput_on")
    assert (ran.returncode, state(board)) == (code, {"current": "0.1.0-12345678"}), ran.stderr
    assert words in ran.stderr
    assert "systemctl restart" not in ran.stderr
    assert not (board / "opt/versions/0.2.0-aaaaaaaa").exists()
    assert (board / "opt/versions/0.1.0-12345678/.complete").exists()


def test_a_version_that_never_came_up_is_confirmed_when_it_is_put_on_again_and_comes_up(board: Path) -> None:
    versions(board, current="0.2.0-aaaaaaaa", previous="0.1.0-12345678", unconfirmed="0.1.0-12345678")
    checks(board, "0.2.0-aaaaaaaa", 0)
    ran = run(board, f"{ELSEWHERE}comes_up() {{ true; }}\nSTART=yes\nput_on")
    assert (ran.returncode, state(board)) == (0, {"current": "0.2.0-aaaaaaaa", "previous": "0.1.0-12345678"})
    assert "0.2.0-aaaaaaaa is in use; 0.1.0-12345678 is kept for: spanhawk-install rollback" in ran.stderr


def test_the_advice_to_edit_and_restart_is_given_only_where_nothing_would_take_the_version_away(board: Path) -> None:
    versions(board, current="0.2.0-aaaaaaaa", previous="0.1.0-12345678")
    ran = run(board, f"{ELSEWHERE}START=yes\nput_on")
    assert ran.returncode == 0
    assert "edit" in ran.stderr
    assert "then: sudo systemctl restart spanhawk" in ran.stderr
    assert state(board) == {"current": "0.2.0-aaaaaaaa", "previous": "0.1.0-12345678"}


@pytest.mark.parametrize("name", ["0.2.0-aaaaaaaa", "0.3.0-bbbbbbbb"])
def test_a_fallback_that_waits_for_the_installer_does_not_take_away_what_it_put_on(board: Path, name: str) -> None:
    """0.2.0 ended while the installer was at work: its fallback waits for the lock, and then finds another version."""
    versions(board, current="0.2.0-aaaaaaaa", previous="0.1.0-12345678", unconfirmed="0.1.0-12345678")
    checks(board, name, 0)
    ran = run(
        board,
        f"""{ELSEWHERE}id() {{ echo 0; }}
        flock() {{ echo >{board}/waits; command flock "$@"; }}
        mkfifo {board}/waits
        exec 8>"$ROOT/.lock"; command flock 8
        set -m # a process group of its own, as systemd ends a service whole
        (exec 8>&-; main fallback) & waiting=$!
        read -r <{board}/waits
        systemctl() {{
          case $* in --version) echo systemd 252 ;; "stop spanhawk-fallback") kill -- -$waiting ;; esac
        }}
        version_name() {{ echo {name}; }}
        START=no; put_on
        exec 8>&-
        wait $waiting || true""",
    )
    assert ran.returncode == 0, ran.stderr
    assert f"{name} is in use from the next start on; if it does not come up then, 0.1.0-12345678 comes" in ran.stderr
    assert state(board) == {"current": name, "previous": "0.1.0-12345678", "unconfirmed": "0.1.0-12345678"}


@pytest.mark.parametrize("name", ["0.2.0-aaaaaaaa", "0.3.0-bbbbbbbb"])
def test_a_version_that_fails_its_check_leaves_no_board_without_a_daemon(board: Path, name: str) -> None:
    """0.2.0 had ended, and the installer ended the fallback that was to bring 0.1.0 back: nothing ran any more."""
    versions(board, current="0.2.0-aaaaaaaa", previous="0.1.0-12345678", unconfirmed="0.1.0-12345678")
    checks(board, name, 78)
    ran = run(
        board,
        f"""{ELSEWHERE}
        systemctl() {{
          case $* in
            --version) echo systemd 252 ;;
            "show -p ActiveState --value spanhawk") echo failed ;;
            "show -p ActiveState --value spanhawk-fallback") echo activating ;;
            "start spanhawk") echo "starts $(current)" ;;
          esac
        }}
        version_name() {{ echo {name}; }}
        START=yes; put_on""",
    )
    assert ran.returncode == 78
    starts = "0.1.0-12345678" if name.startswith("0.2.0") else "0.2.0-aaaaaaaa"  # whose end starts its fallback
    assert ran.stdout.splitlines() == [f"starts {starts}"]


@pytest.mark.parametrize(
    ("active", "started"), [("active", True), ("activating", True), ("failed", False), ("inactive", False)]
)
def test_a_daemon_that_waits_for_its_next_try_is_started_again_after_doctor(
    board: Path, active: str, started: bool
) -> None:
    """An absent accelerator ends it each second; doctor at the end of an install stops it for its look."""
    does = f'echo "$*" >>{board}/asked; case $1 in show) echo {active};; is-active) [ {active} = active ];; esac'
    ran = run(board, f"systemctl() {{ {does}; }}\njournalctl() {{ :; }}\nfinal_doctor")
    assert ran.returncode == 0, ran.stderr
    asked = (board / "asked").read_text().splitlines()
    assert ("start spanhawk" in asked[asked.index("start spanhawk-doctor") :]) is started
