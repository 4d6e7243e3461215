"""The container with a ground station in it, and how a proof starts, stops, installs and hears the daemon."""

from __future__ import annotations

import json
import time

from tests.system.container import Container
from tests.system.payload import Payload

CONFIG = """\
vehicle = "drone1"
[camera]
backend = "synthetic"
fps = 5.0
width_px = 640
height_px = 480
[masks]
threads = 1
[navigation]
backend = "fixed"
lat_deg = 51.0543
lon_deg = 3.7174
alt_amsl_m = 12.0
[outbox]
path = "/var/lib/spanhawk/outbox.db"
[flight]
evidence_dir = "/var/lib/spanhawk/evidence"
max_temperature_deg_c = 1000.0
[mqtt]
url = "mqtt://localhost:1883"
username = "drone1"
password_file = "credential:mqtt-password"
"""
BROKER = """\
listener 1883 127.0.0.1
allow_anonymous false
password_file /etc/mosquitto/passwords
"""
CONF = "/etc/spanhawk/spanhawk.toml"
INSTALL_S = 600  # no goal, only an end


class Flight:
    """The container, and what the ground heard in it."""

    def __init__(self, box: Container, payload: Payload) -> None:
        self.box = box
        self.payload = payload

    def prepare(self) -> None:
        """What is installed later, a broker with a password, a listener on the ground, the home of a user."""
        box, payload = self.box, self.payload
        box.copy(payload.checkout, "/root/checkout")
        box.copy(payload.wheel, f"/root/{payload.wheel.name}")
        box.copy(payload.deb, "/root/spanhawk.deb")
        box.copy(payload.wheelhouse(), "/root/wheelhouse")
        box.write("/etc/hosts", "127.0.0.1 localhost\n")  # as Debian's installer leaves it
        box.write("/etc/mosquitto/conf.d/test.conf", BROKER)
        box.run(
            "mosquitto_passwd -b -c /etc/mosquitto/passwords drone1 s3cret && chown mosquitto: /etc/mosquitto/passwords"
        )
        box.run("systemctl restart mosquitto")
        box.run("systemd-run --unit=ear --property=Restart=always --property=StandardOutput=append:/run/heard "
                "mosquitto_sub -u drone1 -P s3cret -i ear -c -q 1 -t 'spanhawk/#' -F '%U\t%t\t%p'")  # fmt: skip
        for folder, mode in (("/home/pilot", "755"), ("/root", "700"), ("/var/lib/other", "777")):
            box.run(f"install -d -m {mode} {folder} && echo secret >{folder}/secret && chmod 644 {folder}/secret")
        box.write("/etc/spanhawk/credentials/mqtt-password", "s3cret\n", 0o600)

    def heard(self, topic: str = "detections") -> list[tuple[float, dict[str, object]]]:
        """When (seconds of the wall clock) and what arrived on a topic of drone1."""
        text = self.box.try_run("cat /run/heard").stdout
        rows = [line.split("\t", 2) for line in text.splitlines() if line.count("\t") >= 2]
        return [(float(at), json.loads(body)) for at, name, body in rows if name == f"spanhawk/drone1/{topic}"]

    def start(self) -> tuple[float, float]:
        """Start the daemon; returns seconds to READY and from the start to the first new detection at the broker."""
        before, begun = len(self.heard()), time.time()
        self.box.run("systemctl start spanhawk")
        ready = self.ready_s()
        self.box.wait("a detection at the broker", lambda: len(self.heard()) > before, 90)
        return ready, self.heard()[before][0] - begun

    def ready_s(self) -> float:
        """From the start of the main process to READY, by systemd's own clock."""
        started, ready = (
            int(self.box.show(name)) for name in ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
        )
        return (ready - started) / 1e6

    def now(self) -> str:
        """For ``journal(since=…)``."""
        return f"{time.time():.3f}"

    def active(self) -> bool:
        """Whether the daemon is up."""
        return self.box.show("ActiveState") == "active"

    def using(self) -> str:
        """The version in use."""
        return self.box.run("basename $(readlink /opt/spanhawk/current)").strip()

    def install(self, wheel: str, code: int = 0) -> str:
        """Run the installer; returns all it said."""
        command = (
            f"/root/checkout/systemd/install.sh install --no-apt --wheelhouse /root/wheelhouse --wheel {wheel} 2>&1"
        )
        return self.box.run(command, code, INSTALL_S)

    def wait_detection(self, seconds: float = 90) -> None:
        """Wait for one more detection at the broker."""
        before = len(self.heard())
        self.box.wait("another detection at the broker", lambda: len(self.heard()) > before, seconds)

    def set_config(self, text: str) -> None:
        """Write the configuration, as its owner has it."""
        self.box.write(CONF, text)
        self.box.run(f"chown root:spanhawk {CONF} && chmod 640 {CONF}")


def recorded(flight: Flight) -> list[tuple[float, dict[str, object]]]:
    lines = flight.box.run(f"spanhawk outbox list --limit 100000 --config {CONF}").splitlines()
    return [(0.0, json.loads(line)) for line in lines]
