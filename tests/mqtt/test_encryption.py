"""TLS against a real broker: certificates on both sides, and what is said where they do not fit."""

import logging
import random

import pytest

from tests.mqtt.broker import mosquitto
from tests.mqtt.certificates import authority, signed
from tests.mqtt.publishing import DETECTIONS, publisher_at, wait


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    authority(folder, "ca")
    authority(folder, "stranger")
    signed(folder, "broker", "ca")
    signed(folder, "drone", "ca")
    signed(folder, "foreign", "stranger")
    signed(folder, "old", "ca", days=-1)
    return folder


def encrypted(folder, certificate="broker"):
    return (
        f"cafile {folder / 'ca.pem'}", f"certfile {folder / certificate}.pem", f"keyfile {folder / certificate}.key",
        "require_certificate true",
    )  # fmt: skip


def own(folder, name="drone", ca="ca"):
    return {"ca_file": folder / f"{ca}.pem", "cert_file": folder / f"{name}.pem", "key_file": folder / f"{name}.key"}


def test_encrypted_with_certificates_on_both_sides(tmp_path, certificates):
    with (
        mosquitto(tmp_path, listener_lines=encrypted(certificates)) as broker,
        publisher_at(broker, **own(certificates)) as publisher,
    ):
        assert wait(publisher, lambda: publisher.connected)
        for n in range(20):
            assert wait(publisher, lambda n=n: publisher.send(str(n), DETECTIONS, random.Random(n).randbytes(30_000)))
        got = []
        assert wait(publisher, lambda: got.extend(publisher.receipts()) or len(got) == 20)
        assert [receipt for receipt in got if receipt.refused] == []


@pytest.mark.parametrize(
    ("given", "broker_certificate", "why"),
    [
        (
            lambda folder: own(folder, ca="stranger"),
            "broker",
            "set mqtt.ca_file to the certificate of the authority that signed it",
        ),
        (lambda folder: {"ca_file": folder / "ca.pem"}, "broker", "does it ask for a certificate"),
        (lambda folder: own(folder, "foreign"), "broker", "does it ask for a certificate"),
        (own, "old", "check the clock of this computer"),
    ],
    ids=["wrong authority", "no certificate", "foreign certificate", "expired"],
)
def test_encryption_that_fails_says_why(tmp_path, certificates, given, broker_certificate, why):
    with (
        mosquitto(tmp_path, listener_lines=encrypted(certificates, broker_certificate)) as broker,
        publisher_at(broker, **given(certificates)) as publisher,
    ):
        assert wait(publisher, lambda: why in str(publisher.health())), publisher.health()
        assert not publisher.connected
        assert publisher.sessions == 0


def test_the_wrong_scheme_is_told(tmp_path, certificates, caplog):
    caplog.set_level(logging.INFO)
    with mosquitto(tmp_path) as plain, publisher_at(plain, url=plain.url.replace("mqtt", "mqtts")) as publisher:
        assert wait(publisher, lambda: "is this its mqtts" in str(publisher.health())), publisher.health()
    with (
        mosquitto(tmp_path, listener_lines=encrypted(certificates)) as broker,
        publisher_at(broker, url=f"mqtt://localhost:{broker.port}") as publisher,
    ):
        assert wait(publisher, lambda: "does it require mqtts://" in str(publisher.health())), publisher.health()


def test_a_certificate_for_another_name(tmp_path, certificates):
    with (
        mosquitto(tmp_path, listener_lines=encrypted(certificates)) as broker,
        publisher_at(broker, url=f"mqtts://127.0.0.1:{broker.port}", **own(certificates)) as publisher,
    ):
        assert wait(publisher, lambda: "as it is in the certificate" in str(publisher.health())), publisher.health()
