"""``spanhawk run`` as a process, against a real broker: what the ground sees, and what a signal does."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edge import settings
from edge.daemon.notify import Systemd
from edge.daemon.service import Service
from edge.detections.coverage import schema as coverage_schema
from edge.detections.cracks import revision_id
from edge.detections.wire import schema
from edge.flights.reader import FlightFolder
from edge.flights.verify import verify
from edge.outbox import LetterState
from edge.outbox.reader import open_reader
from edge.outbox.sqlite import Options, open_outbox
from edge.support.clock import SystemClock
from edge.support.errors import ConfigError, SpanhawkError
from tests.daemon.world import PATIENCE_S, Ground, daemon, written
from tests.mqtt.broker import Broker, mosquitto


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with mosquitto(tmp_path) as running:
        yield running


def test_detections_status_telemetry_commands_and_a_clean_stop(tmp_path: Path, broker: Broker) -> None:
    ground = Ground(broker)
    notify = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(notify))
        systemd.settimeout(PATIENCE_S)
        with daemon(written(tmp_path, broker.url), notify) as process:
            _hear(systemd, b"READY=1")
            found = ground.find("spanhawk/drone1/detections")
            jsonschema.Draft202012Validator(schema()).validate(found)
            assert found["geometry"]["coordinates"][:2] == [3.7174, 51.0543]
            ground.find(
                "spanhawk/drone1/status", lambda s: s["state"] == "flying"
            )  # degraded while the machine is busy
            telemetry = ground.find("spanhawk/drone1/telemetry", lambda t: t["frames"] > 0 and t["outbox"]["confirmed"])
            assert telemetry["backend"]["name"] == "dark"
            assert telemetry["looked_share"] == 1.0
            assert set(telemetry["suppressed"]) == {"weak"}
            coverage = ground.find("spanhawk/drone1/coverage")
            jsonschema.Draft202012Validator(coverage_schema()).validate(coverage)
            assert coverage["flight_id"] == found["properties"]["flight_id"]
            _hear(systemd, b"WATCHDOG=1")
            _commands(ground, tmp_path)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        ground.find("spanhawk/drone1/status", lambda s: s["state"] == "offline")
    ground.close()
    _nothing_lost(tmp_path, ground)


def _hear(systemd: socket.socket, start: bytes) -> None:
    """Read what systemd is told until it begins with ``start``; the socket's timeout bounds it."""
    while not systemd.recv(500).startswith(start):
        pass


def _commands(ground: Ground, folder: Path) -> None:
    assert ground.ask(b'{"command": "ping", "id": "1"}', b"a")["ok"] is True
    assert ground.ask(b'{"command": "stop"}', b"b")["result"] == {"flying": False}
    assert ground.find("spanhawk/drone1/status", lambda s: s["state"] == "online")["flying"] is False
    assert ground.ask(b'{"command": "start"}', b"c")["result"] == {"flying": True}
    assert ground.ask(b'{"command": "resend"}', b"r")["result"]["retried"] > 0, "what was acknowledged goes out again"
    kept = ground.ask(b'{"command": "snapshot"}', b"d")["result"]
    assert (folder / "snapshots" / Path(kept["file"]).name).stat().st_size > 1000
    for number, bad in enumerate((b"{", b"[]", b'{"command": "fly"}', b"\xff", b'{"command": NaN}', b"[" * 3000)):
        answer = ground.ask(bad, b"bad%d" % number)
        assert answer["ok"] is False
        assert answer["error"]
    assert ground.ask(b'{"command": "ping"}', b"e")["ok"] is True, "still listening"


def _letter_id(document: dict[str, Any]) -> str:
    """A detection's own id; of a crack, the id of this revision of it."""
    revision = document["properties"].get("revision")
    return document["id"] if revision is None else revision_id(document["id"], revision)


def _nothing_lost(folder: Path, ground: Ground) -> None:
    topics = ("spanhawk/drone1/detections", "spanhawk/drone1/cracks")
    arrived = {_letter_id(json.loads(message.payload)) for message in ground.seen if message.topic in topics}
    with open_outbox(Options(path=folder / "outbox.db", min_free_bytes=0), SystemClock()) as outbox:
        kept = outbox.list(100_000)
    assert {one.letter.id for one in kept} >= arrived
    confirmed = {one.letter.id for one in kept if one.state is LetterState.CONFIRMED}
    assert confirmed <= arrived


def test_killed_and_restarted_delivers_the_rest_as_historical(tmp_path: Path, broker: Broker) -> None:
    broker.kill()
    config = written(tmp_path, broker.url)
    with daemon(config) as process:
        _until_kept(tmp_path / "outbox.db", 5, process)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    broker.start()
    ground = Ground(broker)
    with daemon(config) as process:
        late = ground.find("spanhawk/drone1/detections", lambda f: f["properties"]["historical"])
        fresh = ground.find("spanhawk/drone1/detections", lambda f: not f["properties"]["historical"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    ground.close()
    assert late["properties"]["flight_id"] != fresh["properties"]["flight_id"]
    killed, ended = (tmp_path / "flights" / one["properties"]["flight_id"] for one in (late, fresh))
    for folder, interrupted in ((killed, True), (ended, False)):
        verdict = verify(folder, tmp_path / "no-keys")
        assert verdict.intact, verdict.problems
        assert verdict.state.interrupted is interrupted, "sealed at the next start"
        assert next(FlightFolder(folder).detections())["properties"]["vehicle"] == "drone1"
        assert FlightFolder(folder).photos()
    assert FlightFolder(ended).summary["frames_not_recorded"] == 0
    assert FlightFolder(ended).cracks()


def _until_kept(path: Path, count: int, process: subprocess.Popen[str]) -> None:
    clock, never = SystemClock(), threading.Event()
    until_ns = clock.monotonic_ns() + round(PATIENCE_S * 1e9)
    while clock.monotonic_ns() < until_ns and process.poll() is None:
        if _kept(path) >= count:
            return
        clock.wait(never, 0.1)
    pytest.fail(f"the daemon kept fewer than {count} letters in {path}")


def _kept(path: Path) -> int:
    try:
        with open_reader(path) as outbox:
            return sum(outbox.counts().values())
    except ConfigError:  # not there yet, or there but still empty
        return 0


@pytest.mark.parametrize(
    ("extra", "code", "sentence"),
    [
        ("[camra]\n", 78, "camra: unknown key; did you mean camera?"),
        ("broken", 78, "not valid TOML"),
    ],
)
def test_a_wrong_configuration_ends_with_78(tmp_path: Path, extra: str, code: int, sentence: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "edge", "run", "--config", str(written(tmp_path, "mqtt://127.0.0.1:1", extra))],
        capture_output=True, text=True, timeout=PATIENCE_S, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ran.returncode == code
    assert sentence in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_wrong_bundle_ends_with_78_and_says_why_on_status(tmp_path: Path, broker: Broker) -> None:
    ground = Ground(broker)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    config = written(tmp_path, broker.url)
    config.write_text(
        config.read_text(encoding="utf-8").replace('backend = "dark"', f'backend = "litert"\nbundle = "{bundle}"'),
        encoding="utf-8",
    )
    ran = subprocess.run(
        [sys.executable, "-m", "edge", "run", "--config", str(config)],
        capture_output=True, text=True, timeout=PATIENCE_S, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ran.returncode == 78
    assert "card.json" in ran.stderr
    assert "Traceback" not in ran.stderr
    told = ground.find("spanhawk/drone1/status", lambda status: status["state"] == "offline")
    assert "card.json" in told["reasons"][0]
    ground.close()


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ('[pictures]\nlisten = "127.0.0.1:0"\ntoken_file = "{folder}/absent"', "pictures.token_file: cannot read"),
        ("", "flight.sign_key: cannot read"),
    ],
    ids=["gallery", "flight record"],
)
def test_whatever_cannot_begin_is_told_on_status(tmp_path: Path, broker: Broker, table: str, reason: str) -> None:
    """Of half of the failures the ground heard the last will alone, which names no reason."""
    ground, key = Ground(broker), "" if table else f'sign_key = "{tmp_path}/absent"'
    config = written(tmp_path, broker.url, f"{key}\n{table.format(folder=tmp_path)}\n")
    with pytest.raises(SpanhawkError, match=reason):
        Service(settings.read(config), SystemClock(), Systemd("", "")).run(threading.Event())
    told = ground.find("spanhawk/drone1/status", lambda status: status["state"] == "offline")
    assert told["reasons"][0].startswith(reason)
    ground.close()


def test_what_the_configuration_got_wrong_is_not_a_bad_frame(tmp_path: Path, broker: Broker) -> None:
    """source = "lores" with a camera that has no second stream is only seen at the first frame."""
    config = written(tmp_path, broker.url)
    text = config.read_text(encoding="utf-8").replace('backend = "dark"', 'backend = "litert"\nsource = "lores"')
    config.write_text(text, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "edge", "run", "--config", str(config)],
        capture_output=True, text=True, timeout=PATIENCE_S, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ran.returncode == 78
    assert "lores" in ran.stderr.splitlines()[-1]
