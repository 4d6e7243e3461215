from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.mqtt import Publisher, memory
from edge.support.clock import Clock, ManualClock, SystemClock
from edge.support.errors import EXIT_CONFIG, EXIT_TRY_AGAIN, ConfigError
from edge.tools.doctor import Level, broker
from edge.tools.doctor.validity import of_file
from tests.mqtt import certificates
from tests.mqtt.broker import Ear, free_port, mosquitto
from tests.tools.doctor.bench import bench


def test_one_message_reaches_the_broker_and_no_status_is_touched(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as real, Ear(real) as ear:
        result = broker.message(bench(tmp_path, SystemClock(), mqtt={"url": real.url}))
        assert ear.wait_heard("spanhawk/drone1/doctor")
        topics = {topic for topic, *_ in ear.heard}
    assert result.level is Level.OK, result
    assert topics == {"spanhawk/drone1/doctor"}
    assert json.loads(ear.payloads("spanhawk/drone1/doctor")[0])["schema"] == "spanhawk/doctor-message/1"


def test_no_broker(tmp_path: Path) -> None:
    result = broker.message(bench(tmp_path, SystemClock(), mqtt={"url": f"mqtt://localhost:{free_port()}"}))
    assert (result.level, result.exit_code) == (Level.FAIL, EXIT_TRY_AGAIN)
    assert "start the broker" in str(result.fix)


@pytest.mark.parametrize(("after_s", "level"), [(9.0, Level.OK), (20.0, Level.FAIL)])
def test_a_link_that_takes_nine_seconds_to_connect_is_not_an_absent_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_s: float, level: Level
) -> None:
    """Connecting may take ten seconds before the publisher itself calls it failed; the doctor gave up after five."""
    opened: list[memory.MemoryPublisher] = []

    class Link(ManualClock):
        def wait(self, event: threading.Event, timeout_s: float) -> bool:
            done = super().wait(event, timeout_s)
            if self.monotonic_ns() > after_s * 1e9 and not opened[0].connected:
                opened[0].come_up()
            if opened[0].connected:
                opened[0].deliver()
            return done

    def open_slowly(options: memory.Options, clock: Clock, **given: Any) -> Publisher:
        publisher = memory.MemoryPublisher(memory.Options(at_once=False), clock, given["vehicle"], given["last_will"])
        opened.append(publisher)
        return publisher

    monkeypatch.setattr(memory, "open_publisher", open_slowly)
    result = broker.message(
        bench(tmp_path, Link(datetime(2026, 6, 1, tzinfo=timezone.utc)), mqtt={"backend": "memory"})
    )
    assert result.level is level, result


def test_a_broker_that_does_not_let_us_write(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic read #\n")
    with mosquitto(tmp_path, config_lines=(f"acl_file {rules}",)) as real:
        result = broker.message(bench(tmp_path, SystemClock(), mqtt={"url": real.url}))
    assert result.level is Level.FAIL
    assert "Not authorized" in result.found


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("papers")
    certificates.authority(folder, "ca")
    certificates.signed(folder, "drone1", "ca", days=400)
    certificates.signed(folder, "broker", "ca", days=100)
    return folder


def test_dates_are_those_openssl_gives(papers: Path) -> None:
    now = datetime.now(timezone.utc)
    for name, days in (("ca", 2), ("drone1", 400)):
        (validity,) = of_file("cert_file", papers / f"{name}.pem")
        assert abs(validity.ends - validity.begins - timedelta(days=days)) < timedelta(minutes=1)
        assert abs(validity.begins - now) < timedelta(minutes=10)


def test_no_certificate_in_the_file(papers: Path, tmp_path: Path) -> None:
    for name, content in (("key.pem", (papers / "ca.key").read_bytes()), ("torn.pem", _torn(papers / "ca.pem"))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=name):
            of_file("cert_file", tmp_path / name)
    with pytest.raises(ConfigError, match="cannot read"):
        of_file("cert_file", tmp_path / "nothing.pem")


def _torn(path: Path) -> bytes:
    """A PEM block whose base64 is sound and whose certificate is not whole."""
    first, *body, last = path.read_bytes().splitlines()
    return b"\n".join([first, *body[: len(body) // 2], last])


@pytest.mark.parametrize(
    ("days", "level", "word"),
    [(-1, Level.FAIL, "valid"), (1, Level.WARN, "ca.pem"), (30, Level.FAIL, "ca.pem"), (500, Level.FAIL, "valid")],
)
def test_certificates_by_their_dates(papers: Path, tmp_path: Path, days: int, level: Level, word: str) -> None:
    clock = ManualClock(datetime.now(timezone.utc) + timedelta(days=days))
    table = {
        "url": f"mqtts://localhost:{free_port()}",
        "ca_file": str(papers / "ca.pem"),
        "cert_file": str(papers / "drone1.pem"),
        "key_file": str(papers / "drone1.key"),
    }
    result = broker.certificates(bench(tmp_path, clock, mqtt=table))
    assert result.level is level
    assert word in result.found
    assert result.exit_code == (EXIT_CONFIG if level is Level.FAIL else 0)


def test_the_brokers_own_certificate_is_looked_at(papers: Path, tmp_path: Path) -> None:
    lines = (f"certfile {papers / 'broker.pem'}", f"keyfile {papers / 'broker.key'}")
    with mosquitto(tmp_path, listener_lines=lines) as real:
        looked = bench(tmp_path, SystemClock(), mqtt={"url": real.url, "ca_file": str(papers / "broker.pem")})
        assert "broker" in broker.certificates(looked).found
        later = bench(tmp_path, ManualClock(datetime.now(timezone.utc) + timedelta(days=101)), mqtt={"url": real.url})
        assert broker.certificates(later).level is Level.FAIL


def test_nothing_to_look_at(tmp_path: Path) -> None:
    assert broker.certificates(bench(tmp_path)).level is Level.NOT_APPLICABLE
