"""``spanhawk run`` as a process, against a real broker: what the ground sees, and what a signal does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import cv2
import jsonschema
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge import settings
from edge.daemon.notify import Systemd
from edge.daemon.record import FlightRecord
from edge.daemon.service import MAX_BAD_IN_A_ROW, Service
from edge.detections.coverage import schema as coverage_schema
from edge.detections.cracks import revision_id
from edge.detections.wire import schema
from edge.flights.reader import FlightFolder
from edge.flights.verify import verify
from edge.frames import Frame, Moment
from edge.masks import Runtime
from edge.navigation import nowhere
from edge.outbox import LetterState
from edge.outbox.reader import open_reader
from edge.outbox.sqlite import Options, open_outbox
from edge.support.clock import ManualClock, SystemClock
from edge.support.errors import ConfigError, DeviceError
from tests.mqtt.broker import Broker, mosquitto
from tests.pictures import concrete, frame

PATIENCE_S = 90.0  # for events that are certain to come; never waited out
FRAMES = 3_000

CONFIG = """
vehicle = "drone1"
[camera]
backend = "folder"
path = "{folder}/frames"
fps = 10.0
[masks]
backend = "dark"
[navigation]
backend = "fixed"
lat_deg = 51.0543
lon_deg = 3.7174
[outbox]
path = "{folder}/outbox.db"
min_free_bytes = 0
[mqtt]
url = "{url}"
[flight]
snapshot_dir = "{folder}/snapshots"
folder_dir = "{folder}/flights"
min_free_mb = 0
max_temperature_deg_c = 1000.0
"""


class Ground:
    """A subscriber that remembers."""

    def __init__(self, broker: Broker) -> None:
        self.seen: list[mqtt.MQTTMessage] = []
        self._news = threading.Condition()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_message = self._on_message
        self._client.on_connect = lambda client, *_: [client.subscribe(each, 1) for each in ("spanhawk/#", "answers/#")]
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._news:
            self.seen.append(message)
            self._news.notify_all()

    def find(self, topic: str, wanted: Any = lambda document: True) -> dict[str, Any]:
        """The first document on ``topic`` that is ``wanted``; waits for it."""

        def search() -> dict[str, Any] | None:
            for message in self.seen:
                if message.topic == topic and message.payload:
                    document: dict[str, Any] = json.loads(message.payload)
                    if wanted(document):
                        return document
            return None

        with self._news:
            assert self._news.wait_for(lambda: search() is not None, PATIENCE_S), f"nothing on {topic}"
            found = search()
        assert found is not None
        return found

    def ask(self, payload: bytes, correlation: bytes) -> dict[str, Any]:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ResponseTopic = "answers/test"
        properties.CorrelationData = correlation
        self._client.publish("spanhawk/drone1/commands", payload, qos=1, properties=properties)
        with self._news:
            assert self._news.wait_for(lambda: self._answer(correlation) is not None, PATIENCE_S)
            answer = self._answer(correlation)
        assert answer is not None
        return answer

    def _answer(self, correlation: bytes) -> dict[str, Any] | None:
        for message in self.seen:
            if getattr(message.properties, "CorrelationData", None) == correlation and message.topic == "answers/test":
                document: dict[str, Any] = json.loads(message.payload)
                return document
        return None

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def daemon(config: Path, notify: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, **({"NOTIFY_SOCKET": str(notify), "WATCHDOG_USEC": "2000000"} if notify else {})}
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "run", "--config", str(config)],
        stderr=subprocess.PIPE, text=True, env=environment, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        print(process.communicate()[1])  # shown by pytest where the test fails


def written(folder: Path, url: str, extra: str = "") -> Path:
    """A configuration whose camera plays one cracked picture for longer than any test here lasts."""
    frames = folder / "frames"
    if not frames.exists():
        frames.mkdir()
        assert cv2.imwrite(str(frames / "00000.png"), concrete())
        for number in range(1, FRAMES):
            os.link(frames / "00000.png", frames / f"{number:05d}.png")
    path = folder / "spanhawk.toml"
    path.write_text(CONFIG.format(folder=folder, url=url) + extra, encoding="utf-8")
    return path


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


def test_one_bad_frame_does_not_end_the_flight_but_many_do(tmp_path: Path) -> None:
    config = written(tmp_path, "mqtt://127.0.0.1:1")
    service = Service(settings.read(config), SystemClock(), Systemd("", ""))
    bad = frame()
    for _ in range(MAX_BAD_IN_A_ROW - 1):
        service._bad_frame(bad, ValueError("a crack's numbers are finite"))
    with pytest.raises(ValueError, match="finite"):
        service._bad_frame(bad, ValueError("a crack's numbers are finite"))


def test_any_error_in_a_frame_counts_as_a_bad_frame_and_is_reported_for_a_minute(tmp_path: Path) -> None:
    """The documents promise twenty in a row; an IndexError used to end the daemon at the first."""
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc))
    service = Service(settings.read(written(tmp_path, "mqtt://127.0.0.1:1")), clock, Systemd("", ""))
    pipeline, ground = Mock(), Mock()
    pipeline.process.side_effect = IndexError("index 4 is out of bounds")
    service._process(frame(), pipeline, ground)
    assert service._bad_frame_lately() == "frame 0 could not be processed (IndexError: index 4 is out of bounds)"
    clock.advance(61 * 10**9)
    assert service._bad_frame_lately() is None, "long over: the flight is not degraded for ever"
    pipeline.process.side_effect = DeviceError("the accelerator is gone")
    with pytest.raises(DeviceError):
        service._process(frame(), pipeline, ground)


def test_a_record_that_cannot_be_written_is_told_and_costs_no_frame(tmp_path: Path) -> None:
    """Of a number that JSON does not know, as of a full disk: the letter is in the outbox, the flight goes on."""
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc))
    service = Service(settings.read(written(tmp_path, "mqtt://127.0.0.1:1")), clock, Systemd("", ""))
    segmenter, pipeline = MagicMock(), MagicMock()
    segmenter.model, segmenter.sha256 = "dark", None
    segmenter.runtime = Runtime(backend="dark", library="none", accelerator="cpu", threads=None)
    service._record = FlightRecord(service._settings, service._flight, segmenter, clock)
    outcome = pipeline.process.return_value
    outcome.payloads, outcome.evidence, outcome.revisions, outcome.features = (), None, (), ()
    outcome.frame.seq, outcome.moment.at, outcome.record = 0, clock.utc(), {"range_m": float("nan")}
    outcome.mask.classes, outcome.mask.frame = (), frame()
    outcome.stage_ms, outcome.left_out, outcome.mask.looked_share, outcome.suppressed = {}, 0, 1.0, {}
    service._process(frame(), pipeline, Mock())
    assert service._bad_frame_lately() is None
    assert "is not complete (ValueError: Out of range float values" in str(service._record.health())
    service._record.finish(pipeline)  # seals, and closes its files


def test_resend_asks_delivery_which_forgets_what_it_learnt_and_not_the_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past delivery, letters of a size that the broker refused once would be parked again without a try."""
    delivery, control = Mock(), Mock()
    delivery.return_value.retry.return_value = 3
    monkeypatch.setattr("edge.daemon.service.Delivery", delivery)
    monkeypatch.setattr("edge.daemon.service.Control", control)
    config = settings.read(written(tmp_path, "mqtt://127.0.0.1:1"))
    service = Service(config, ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc)), Systemd("", ""))
    outbox = Mock()
    service._ground(Mock(), outbox, Mock(), Mock(), Mock(), Mock())
    actions = control.call_args.args[2]
    assert actions["resend"]() == {"retried": 3}
    delivery.return_value.retry.assert_called_once_with(confirmed=True)
    outbox.retry.assert_not_called()


def test_a_snapshot_says_how_old_it_is_and_leaves_the_room_that_detections_need(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc), 100 * 10**9)
    config = written(tmp_path, "mqtt://127.0.0.1:1")
    service, camera = Service(settings.read(config), clock, Systemd("", "")), Mock()
    seen_at = datetime(2026, 6, 1, tzinfo=timezone.utc)
    picture = Frame(5, clock.monotonic_ns(), None, concrete())
    service._newest = Mock(frame=picture, nav=nowhere(0), moment=Moment(seen_at, synced=True))
    clock.advance(90 * 10**9)
    kept = service._snapshot(camera)
    assert (kept["age_s"], kept["seen_at"]) == (90.0, "2026-06-01T00:00:00.000Z")
    config.write_text(config.read_text(encoding="utf-8").replace("min_free_mb = 0", "min_free_mb = 1000000000"))
    full = Service(settings.read(config), clock, Systemd("", ""))
    full._newest = service._newest
    with pytest.raises(OSError, match="MB left, 1000000000 are for detections"):
        full._snapshot(camera)


@pytest.mark.parametrize("first", [True, False], ids=["first frame", "next frame"])
@pytest.mark.parametrize(("timeout_s", "held_off"), [(30.0, True), (2.0, False)])
def test_the_watchdog_waits_for_a_slow_camera_and_for_no_other(
    tmp_path: Path, timeout_s: float, held_off: bool, first: bool
) -> None:
    """One frame in ten seconds and a watchdog of 15 s: two frames late is no reason to kill the daemon."""
    clock, notify = ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc)), tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(notify))
        systemd.setblocking(False)
        config = written(tmp_path, "mqtt://127.0.0.1:1")
        service = Service(settings.read(config), clock, Systemd(str(notify), "15000000"))
        if not first:
            service._meter.add(clock.monotonic_ns(), {}, 0)
        clock.advance(20 * 10**9)
        camera, ground = Mock(timeout_s=timeout_s), Mock()
        camera.health.return_value = None
        service._hold_off_watchdog(camera, ground)
        if held_off:
            assert systemd.recv(100) == b"WATCHDOG=1"
        else:
            with pytest.raises(BlockingIOError):
                systemd.recv(100)
