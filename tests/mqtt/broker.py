"""A real mosquitto on a port of its own, with its configuration, its death and its return, for tests."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE_S = 60.0  # for events that are certain to come; never waited out
_AGAIN_S = 1.0  # between two signals to a broker that is to end


def mosquitto_path() -> str:
    """Where mosquitto is; skips the test where it is not, except in CI, where it must be."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("mosquitto is not installed, and in CI it must be (apt install mosquitto mosquitto-clients)")
        pytest.skip("mosquitto is not installed (apt install mosquitto mosquitto-clients)")
    return found


def free_port() -> int:
    """A TCP port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """One mosquitto, started and ended by tests; what it logs is kept in ``log``."""

    def __init__(self, config: Path, port: int, scheme: str) -> None:
        self.port = port
        self.url = f"{scheme}://localhost:{port}"
        self.log: list[str] = []
        self._command = [mosquitto_path(), "-c", str(config), "-v"]
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._news = threading.Condition()

    def start(self) -> None:
        """Start it (again) on the same port and wait until it accepts connections."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        begun = len(self.log)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self.wait_log("running", since=begun):
            self.kill()
            pytest.fail("mosquitto does not start: " + " | ".join(self.log[begun:]))

    def stop(self) -> None:
        """End it as systemctl stop does (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing is answered, as on a radio link that died."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def wait_log(self, text: str, since: int = 0, count: int = 1) -> bool:
        """Wait until ``count`` lines logged after line ``since`` hold ``text``; False when none comes."""
        with self._news:
            return self._news.wait_for(lambda: sum(text in line for line in self.log[since:]) >= count, PATIENCE_S)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._news:
                    self.log.append(line.rstrip())
                    self._news.notify_all()

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        # mosquitto forgets a SIGTERM that comes between its line "running" and its main loop: it sets "run" only then.
        # So the signal is sent until it ends.
        for _ in range(round(PATIENCE_S / _AGAIN_S)):
            self._process.send_signal(number)
            if number != signal.SIGKILL:
                self._process.send_signal(signal.SIGCONT)  # a frozen one would not see it
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_AGAIN_S)
                break
        else:
            pytest.fail(f"mosquitto has not ended {PATIENCE_S:.0f} s after signal {number}")
        assert self._reader is not None
        self._reader.join(PATIENCE_S)
        self._process = None


@contextlib.contextmanager
def mosquitto(
    tmp_path: Path, *, config_lines: tuple[str, ...] = (), listener_lines: tuple[str, ...] = (), anonymous: bool = True
) -> Iterator[Broker]:
    """A running broker that ends with the block. ``listener_lines`` with certificates make it speak TLS."""
    port = free_port()
    folder = tmp_path / f"mosquitto-{port}"
    folder.mkdir()
    config = folder / "mosquitto.conf"
    lines = [
        *config_lines,
        f"listener {port} 127.0.0.1",
        f"allow_anonymous {str(anonymous).lower()}",
        *listener_lines,
    ]
    if os.geteuid() == 0:
        lines.append("user root")  # else it changes to a user who cannot read tmp_path
    config.write_text("\n".join(lines) + "\n")
    encrypted = any("certfile" in line for line in listener_lines)
    broker = Broker(config, port, "mqtts" if encrypted else "mqtt")
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


class Ear:
    """A consumer with its own plain MQTT client: keeps what it hears, and lets tests wait for it."""

    def __init__(self, broker: Broker, topic: str = "#", *, client_id: str = "ear", keep_session: bool = False) -> None:
        from paho.mqtt.client import Client, MQTTv5
        from paho.mqtt.enums import CallbackAPIVersion
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        self.heard: list[tuple[str, bytes, bool, object]] = []
        self._news = threading.Condition(threading.RLock())
        self.subscribed = 0
        self._topic = topic
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600 if keep_session else 0
        self._client.connect(
            "127.0.0.1", broker.port, keepalive=60, clean_start=not keep_session, properties=properties
        )
        self._client.loop_start()
        assert self.wait(lambda: self.subscribed), "the consumer could not subscribe"

    def wait(self, condition, patience_s: float = PATIENCE_S) -> bool:
        """Wait until ``condition()``, looked at after each message."""
        with self._news:
            return bool(self._news.wait_for(condition, patience_s))

    def wait_heard(self, topic: str, payload: bytes | None = None) -> bool:
        """Wait for a message on ``topic``."""
        return self.wait(lambda: any(t == topic and payload in (None, p) for t, p, _, _ in self.heard))

    def payloads(self, topic: str) -> list[bytes]:
        """What was heard on ``topic``, in order."""
        with self._news:
            return [payload for t, payload, _, _ in self.heard if t == topic]

    def say(
        self, topic: str, payload: bytes, *, retain: bool = False, reply_to=None, correlation=None, qos: int = 1
    ) -> None:
        """Publish and, at QoS 1, wait until the broker has it."""
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.PUBLISH)
        if reply_to is not None:
            properties.ResponseTopic = reply_to
        if correlation is not None:
            properties.CorrelationData = correlation
        self._client.publish(topic, payload, qos=qos, retain=retain, properties=properties).wait_for_publish(PATIENCE_S)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> "Ear":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _on_subscribe(self, client, userdata, mid, reasons, properties) -> None:
        with self._news:
            self.subscribed += 1
            self._news.notify_all()

    def _on_message(self, client, userdata, message) -> None:
        with self._news:
            self.heard.append((message.topic, message.payload, message.retain, message.properties))
            self._news.notify_all()
