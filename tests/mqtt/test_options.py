"""What a configuration can get wrong, and that no sentence shows a password."""

import logging
from pathlib import Path

import pytest

from edge.mqtt.address import Address, parse_url
from edge.mqtt.paho import Options, open_publisher
from edge.mqtt.tls import read_password
from edge.support import config
from edge.support.clock import SystemClock
from edge.support.errors import ConfigError
from tests.mqtt.certificates import authority, openssl


def open_with(**given):
    return open_publisher(Options(**given), SystemClock(), vehicle="drone", last_will=b"")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://broker", Address("broker", 1883, False)),
        ("mqtt://10.0.0.2:2000/", Address("10.0.0.2", 2000, False)),
        ("mqtts://Broker.Example:8884", Address("broker.example", 8884, True)),
        ("mqtts://[fe80::1]", Address("fe80::1", 8883, True)),
    ],
)
def test_good_addresses(url, address):
    assert parse_url(url) == address
    assert parse_url(str(address)) == address


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("10.0.0.2", "write it as mqtt://host:1883"),
        ("broker:1883", "write it as mqtt://host:1883"),
        ("tcp://broker", "mqtt://host:1883 or, encrypted"),
        ("ws://broker", "mqtt://host:1883 or, encrypted"),
        ("mqtt://", "names no host"),
        ("mqtt://:1883", "names no host"),
        ("mqtt://bro ker", "names no host"),
        ("mqtt://broker:99999", "Port out of range"),
        ("mqtt://broker:x", "Port could not be cast"),
        ("mqtt://broker:0", "port 0"),
        ("mqtt://broker/topic", "nothing may follow the port"),
        ("mqtt://broker?x=1", "nothing may follow the port"),
        ("mqtt://[::1", "mqtt.url"),
    ],
)
def test_bad_addresses(url, why):
    with pytest.raises(ConfigError, match=why):
        Options(url=url)


@pytest.mark.parametrize("url", ["mqtt://ann:hunter2@broker", "ann:hunter2@broker:1883", "mqtt://hunter2@broker"])
def test_a_password_in_the_address_is_refused_and_not_repeated(url):
    with pytest.raises(ConfigError, match="holds a user name") as caught:
        Options(url=url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"keepalive_s": 0}, "keepalive_s"),
        ({"window": 0}, "window"),
        ({"max_payload_bytes": 10}, "max_payload_bytes"),
        ({"ca_file": Path("ca.pem")}, "need an encrypted url, as mqtts://localhost:8883"),
        ({"password_file": Path("p")}, "without mqtt.username"),
        ({"url": "mqtts://h", "key_file": Path("k")}, "key_file is given without mqtt.cert_file"),
    ],
)
def test_options_that_do_not_fit(given, why):
    with pytest.raises(ConfigError, match=why):
        Options(**given)


def test_the_configuration_table_fills_it():
    options = config.build(Options, {"url": "mqtt://b", "password_file": "/p", "username": "ann"}, "mqtt")
    assert options.password_file == Path("/p")
    with pytest.raises(ConfigError, match="did you mean keepalive_s"):
        config.build(Options, {"keepalive": 3}, "mqtt")
    with pytest.raises(ConfigError, match=r"'5', '3\.1\.1'"):
        config.build(Options, {"protocol": "4"}, "mqtt")


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "cannot read"), (b"", "is empty"), (b"\nhunter2", "is empty"), (b"hunter2\xff", "not UTF-8")],
    ids=["absent", "empty", "second line", "binary"],
)
def test_password_files(tmp_path, content, why):
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=why) as caught:
        open_with(username="ann", password_file=path)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None or "hunter2" not in repr(caught.value.__cause__)


def test_the_password_is_shown_nowhere(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "password"
    path.write_text("hunter2\n")
    path.chmod(0o644)
    options = Options(url="mqtt://127.0.0.2:9", username="ann", password_file=path)
    with open_publisher(options, SystemClock(), vehicle="drone", last_will=b"") as publisher:
        publisher.wake.wait(5)
        shown = [repr(options), repr(publisher), str(publisher.health()), repr(vars(publisher)), caplog.text]
    assert not [text for text in shown if "hunter2" in text]
    assert "can be read by every user" in caplog.text
    assert "unencrypted" in caplog.text


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("one", "two"):
        authority(folder, name)
    openssl(folder, "ec", "-in", "one.key", "-aes128", "-passout", "pass:hunter2", "-out", "locked.key")
    (folder / "text").write_text("no certificate")
    return folder


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"ca_file": "absent"}, "mqtt.ca_file: cannot read"),
        ({"ca_file": "text"}, "holds no certificate"),
        ({"cert_file": "absent"}, "mqtt.cert_file: cannot read"),
        ({"cert_file": "one.pem", "key_file": "absent"}, "mqtt.key_file: cannot read"),
        ({"cert_file": "one.pem", "key_file": "two.key"}, "does not belong to it"),
        ({"cert_file": "one.pem", "key_file": "locked.key"}, "not encrypted"),
        ({"cert_file": "one.pem"}, "must be PEM files"),
        ({"cert_file": "text", "key_file": "one.key"}, "must be PEM files"),
        ({"key_file": "one.key"}, "without mqtt.cert_file"),
    ],
)
def test_certificate_files_that_cannot_work(certificates, given, why):
    files = {key: certificates / name for key, name in given.items()}
    with pytest.raises(ConfigError, match=why):
        open_with(url="mqtts://broker", **files)


def test_a_password_saved_by_notepad_is_the_password(tmp_path):
    """With the byte-order mark in it the broker says "Not authorized", and nobody sees why."""
    path = tmp_path / "password"
    path.write_bytes("hünter2\r\n".encode("utf-8-sig"))
    path.chmod(0o600)
    assert read_password(path) == "hünter2"
