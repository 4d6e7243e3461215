"""A daemon as a process, its configuration, and somebody on the ground who listens and asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.mqtt.broker import Broker
from tests.pictures import concrete

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
