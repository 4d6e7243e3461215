"""Who may look: tokens, names of this machine, TLS, wrong tokens held up, and a configuration that cannot be served."""

import base64
import socket
import subprocess

import pytest

from edge.cli import main
from edge.ground.settings import GroundOptions
from edge.support.access import Guesses, listen
from edge.support.clock import ManualClock
from edge.support.errors import ConfigError, TryAgainError
from tests.ground.letters import BEGIN

TOKEN = "0123456789abcdef"


def token_file(folder, text=TOKEN):
    path = folder / "token"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def test_without_a_token_only_names_of_this_machine_are_answered(client):
    for host, status in (
        ("localhost:80", 200), ("127.0.0.1", 200), ("[::1]:9", 200), ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
    ):  # fmt: skip
        assert client.get("/live/fleet", host=host).status == status


def test_a_token_opens_and_nothing_else_does(serving, tmp_path):
    client = serving(http_token_file=token_file(tmp_path))

    def basic(text):
        return "Basic " + base64.b64encode(text.encode()).decode()

    for path in ("/", "/metrics", "/live/events", "/files/page.js", "/pictures/" + "0" * 64):
        asked = client.get(path)
        assert asked.status == 401
        assert "Basic" in asked.headers["www-authenticate"]
    for wrong in (
        "Bearer x",
        "Bearer",
        basic("me:" + TOKEN[:-1]),
        basic(TOKEN),
        "Basic ===",
        "Digest " + TOKEN,
        "\xe9",
    ):
        assert client.get("/metrics", Authorization=wrong).status == 401
    for right in (f"Bearer {TOKEN}", basic(f"anybody:{TOKEN}"), basic(f":{TOKEN}")):
        assert client.get("/metrics", Authorization=right, host="ground.example").status == 200


def test_other_machines_need_a_token_and_tls_or_a_word_on_plaintext(tmp_path):
    token = token_file(tmp_path)
    for more, words in (
        ({}, "http_token_file and http_cert_file"),
        ({"http_token_file": token}, "http_cert_file"),
        ({"allow_plaintext": True}, "http_token_file"),
    ):
        with pytest.raises(ConfigError, match=words):
            GroundOptions(http="0.0.0.0:8080", **more)
    GroundOptions(http="0.0.0.0:8080", http_token_file=token, allow_plaintext=True)
    GroundOptions(http="[::1]:8080")
    for wrong in ("8080", "localhost", "localhost:99999", "a b:80", "[::1:80", "http://localhost:80"):
        with pytest.raises(ConfigError, match=r"HOST:PORT|other machines"):
            listen(wrong, "ground.http")


def test_what_stands_in_the_configuration_is_checked_before_anything_is_served(tmp_path, serving, capsys):
    config = tmp_path / "ground.toml"
    for table, words in (
        ('http_token_file = "nowhere"', "cannot read nowhere"),
        (f'http_token_file = "{token_file(tmp_path, "short")}"', "16 or more"),
        (f'http_cert_file = "{config}"', "PEM files that belong together"),
        ('http_key_file = "k.pem"', "http_cert_file"),
        ('bands = "DIN 1"', "neither a file nor one of"),
        ('tiles = "/nowhere"', "there is no folder"),
    ):
        config.write_text(f"[ground]\n{table}\n")
        command = ["ground", "--config", str(config), "--store", str(tmp_path / "g.db"), "--http", "127.0.0.1:0"]
        assert main(command) == 78
        assert words in capsys.readouterr().err
    (tmp_path / "token").chmod(0o644)
    config.write_text(f'[ground]\nhttp_token_file = "{token_file(tmp_path)}"\n')
    (tmp_path / "token").chmod(0o644)
    assert main(["ground", "--config", str(config), "--store", str(tmp_path / "g.db"), "--http", "127.0.0.1:0"]) == 78
    assert "chmod 600" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(TryAgainError, match="cannot listen at"):
            serving(http=f"127.0.0.1:{taken.getsockname()[1]}")


def test_tls(serving, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {cert} -subj /CN=g"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    client = serving(http_cert_file=cert, http_key_file=key)
    assert client.site.url.startswith("https://")
    assert client.get("/collections").json["links"][0]["href"].startswith("https://")


def test_wrong_tokens_are_held_up_and_the_right_one_never_for_good(serving, tmp_path):
    time = ManualClock(BEGIN)
    guesses = Guesses(time)
    for _ in range(5):  # a person mistypes
        assert guesses.wait_s("10.0.0.9") == 0
        guesses.told("10.0.0.9", right=False)
    begun_ns, tried, sent_away = time.monotonic_ns(), 0, 0
    for _ in range(200):  # a program that asks again at once, in parallel: each try reserves its moment
        wait_s = guesses.wait_s("10.0.0.9")
        if wait_s is None:
            sent_away += 1
            time.advance(100_000_000)
        else:
            assert wait_s <= 4
            guesses.told("10.0.0.9", right=False)
            tried += 1
    assert sent_away > 100
    assert tried <= 12 + (time.monotonic_ns() - begun_ns) / 1e9  # one a second in the long run
    assert guesses.wait_s("10.0.0.8") == 0  # nobody else waits
    time.advance(5_000_000_000)
    assert guesses.wait_s("10.0.0.9") <= 4
    guesses.told("10.0.0.9", right=True)
    assert guesses.wait_s("10.0.0.9") == 0
    for n in range(5):
        guesses.told(f"2001:db8::{n}", right=False)
    guesses.wait_s("2001:db8::77")
    assert guesses.wait_s("2001:db8::78") > 0  # one network is one guesser
    time.advance(700_000_000_000)
    assert guesses.wait_s("2001:db8::1") == 0
    client = serving(http_token_file=token_file(tmp_path))
    for _ in range(6):
        assert client.get("/metrics", Authorization="Bearer wrong").status == 401
    assert client.get("/metrics").status == 401  # no token is no guess
    assert client.get("/metrics", Authorization=f"Bearer {TOKEN}").status == 200
