"""A password is kept as a hash that another program makes too, and only the right one is let in."""

import base64
import shutil
import subprocess

import pytest

from edge.cli import main
from edge.support.access import Door
from edge.support.errors import ConfigError, UsageError
from edge.support.password import Hashed, line_of

PASSWORD = "räder 12 uhr"


@pytest.fixture(scope="module")
def line():
    return line_of(PASSWORD)


def test_openssl_makes_the_same_hash(line):
    assert shutil.which("openssl"), "openssl is not here"
    _, log_n, salt, mark = line.split(":")
    options = [f"hexpass:{PASSWORD.encode().hex()}", f"hexsalt:{salt}", f"n:{2 ** int(log_n)}", "r:8", "p:1"]
    options += ["maxmem_bytes:100000000"]
    words = ["openssl", "kdf", "-keylen", "32", *(part for option in options for part in ("-kdfopt", option)), "SCRYPT"]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert told.strip().replace(":", "").lower() == mark


def test_the_door_lets_the_right_password_in_by_either_header(line):
    door = Door(line, "ground.http_token_file")
    basic = base64.b64encode(f"anybody:{PASSWORD}".encode()).decode()
    assert door.asks
    assert door.admits(f"Basic {basic}")
    assert door.admits(f"Basic {basic}")  # known again
    assert Door(line_of("a plain one of ascii")).admits("Bearer a plain one of ascii")
    # Neither nothing, nor another, nor the line itself that a thief of the file has.
    assert not any(door.admits(said) for said in (None, "Bearer ", "Bearer wrong password", f"Bearer {line}"))


def test_two_lines_of_one_password_differ_and_show_nothing_of_it(line):
    again = line_of(PASSWORD)
    assert again != line
    assert PASSWORD not in again
    assert Hashed(again, "key").admits(PASSWORD.encode())


@pytest.mark.parametrize("broken", ["scrypt:", "scrypt:15:00:11", "scrypt:60:" + "0" * 32 + ":" + "0" * 64, "scrypt:x"])
def test_a_line_that_is_no_hash_is_refused_by_the_name_of_its_file(broken):
    with pytest.raises(ConfigError, match=r"ground\.http_token_file.*no hash of a password.*spanhawk ground password"):
        Door(broken, "ground.http_token_file")


def test_a_password_that_is_too_short_is_refused():
    with pytest.raises(UsageError, match="10 characters or more, this one has 5"):
        line_of("short")


def test_the_command_prints_the_line(monkeypatch, capsys, tmp_path):
    typed = tmp_path / "typed"
    typed.write_text(f"{PASSWORD}\n", encoding="utf-8")
    with typed.open(encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert main(["ground", "password"]) == 0
    assert Hashed(capsys.readouterr().out.strip(), "key").admits(PASSWORD.encode())
