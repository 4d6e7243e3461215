"""What is proved, in order; each function's first line is what is printed when it holds."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from tests.system.container import Container
from tests.system.payload import ROOT, Payload

CONFIG = """\
vehicle = "drone1"
[camera]
backend = "synthetic"
fps = 5.0
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
PAGE = ROOT / "docs" / "install.md"
BROKER = """\
listener 1883 127.0.0.1
allow_anonymous false
password_file /etc/mosquitto/passwords
"""
CONF = "/etc/spanhawk/spanhawk.toml"
READY_S, FIRST_DETECTION_S, BACK_S, EXPOSURE = 5.0, 10.0, 10.0, 1.3
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
        box.run(
            "dpkg-deb -x /root/spanhawk.deb /root/deb && mv /root/deb/usr/share/spanhawk/wheelhouse /root/wheelhouse"
        )
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
        self.box.wait("a detection at the broker", lambda: len(self.heard()) > before, 30)
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

    def wait_detection(self, seconds: float = 30) -> None:
        """Wait for one more detection at the broker."""
        before = len(self.heard())
        self.box.wait("another detection at the broker", lambda: len(self.heard()) > before, seconds)

    def set_config(self, text: str) -> None:
        """Write the configuration, as its owner has it."""
        self.box.write(CONF, text)
        self.box.run(f"chown root:spanhawk {CONF} && chmod 640 {CONF}")


def one_command(flight: Flight) -> str:
    """A fresh Debian 12 becomes a running service with one command."""
    box, payload = flight.box, flight.payload
    box.write("/root/mine.toml", CONFIG)
    begun = time.monotonic()
    said = box.run(
        "/root/checkout/systemd/install.sh install --no-apt --wheelhouse /root/wheelhouse "
        f"--wheel /root/{payload.wheel.name} --config /root/mine.toml 2>&1",
        timeout_s=INSTALL_S,
    )
    took = time.monotonic() - begun
    assert flight.active(), said
    assert "fit to fly" in said, said
    assert "checks failed" not in said, said
    assert box.run("stat -c %U:%G:%a /etc/spanhawk/spanhawk.toml /etc/spanhawk/credentials").split() == [
        "root:spanhawk:640", "root:root:700",
    ]  # fmt: skip
    assert box.run("systemctl is-enabled spanhawk spanhawk-prune.timer").split() == ["enabled", "enabled"]
    return f"{took:.0f} s with its doctor"


def units_are_sound(flight: Flight) -> str:
    """systemd-analyze verify finds nothing; exposure at most 1.3."""
    box = flight.box
    units = (
        "spanhawk.service spanhawk-doctor.service spanhawk-fallback.service spanhawk-prune.service spanhawk-prune.timer"
    )
    said = box.run(f"systemd-analyze verify {units} 2>&1")
    assert "spanhawk" not in said, said
    rated = box.run("systemd-analyze security --no-pager spanhawk.service")
    found = re.search(r"Overall exposure level for spanhawk.service: ([0-9.]+)", rated)
    assert found, rated
    assert float(found[1]) <= EXPOSURE, rated
    return f"exposure {found[1]}"


def ready_and_first_detection(flight: Flight) -> str:
    """READY within 5 s, the first detection at mosquitto within 10 s, logged in with the credential."""
    flight.box.run("systemctl stop spanhawk")
    ready, first = flight.start()
    assert ready <= READY_S, ready
    assert first <= FIRST_DETECTION_S, first
    assert flight.heard("status")[-1][1]["state"] in ("flying", "degraded")
    feature = flight.heard()[-1][1]
    assert feature["geometry"] is not None
    return f"READY after {ready:.1f} s, detection after {first:.1f} s"


def killed(flight: Flight) -> str:
    """SIGKILL: up again, and nothing recorded is lost."""
    box = flight.box
    before = {body["id"] for _, body in _outbox(flight)}
    assert before
    begun = time.monotonic()
    box.run("kill -9 $(systemctl show -p MainPID --value spanhawk)")
    box.wait("up again after SIGKILL", lambda: int(box.show("NRestarts")) >= 1 and flight.active(), 20)
    took = time.monotonic() - begun
    flight.wait_detection()
    lost = before - {body["id"] for _, body in _outbox(flight)}
    assert not lost, f"{len(lost)} letters lost"
    assert took <= BACK_S, took
    return f"READY again after {took:.1f} s, {len(before)} letters still there"


def _outbox(flight: Flight) -> list[tuple[float, dict[str, object]]]:
    lines = flight.box.run(f"spanhawk outbox list --limit 100000 --config {CONF}").splitlines()
    return [(0.0, json.loads(line)) for line in lines]


def frozen(flight: Flight) -> str:
    """A frozen daemon is aborted by the watchdog, named in the journal, and replaced."""
    box, since = flight.box, flight.now()
    restarts = int(box.show("NRestarts"))
    begun = time.monotonic()
    box.run("kill -STOP $(systemctl show -p MainPID --value spanhawk)")
    box.wait("the watchdog to notice", lambda: box.show("Result") == "watchdog" or not flight.active(), 25)
    noticed = time.monotonic() - begun
    box.wait("up again", lambda: int(box.show("NRestarts")) > restarts and flight.active(), 25)
    back = time.monotonic() - begun - noticed
    said = box.journal(since=since)
    assert "Watchdog timeout" in box.run(f"journalctl -u spanhawk --no-pager --since=@{since}"), said
    assert "Fatal Python error: Aborted" in said, said
    assert re.search(r'File ".*edge/', said), said
    flight.wait_detection()
    assert back <= BACK_S, back
    return f"noticed after {noticed:.1f} s (WatchdogSec=15), up again {back:.1f} s later"


def walls(flight: Flight) -> str:
    """The hardening is in force: what must not be possible is denied, what must be is possible."""
    box = flight.box
    box.copy(Path(__file__).with_name("probe.py"), "/opt/spanhawk/probe.py")
    box.write("/etc/systemd/system/spanhawk-probe.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n")
    box.run("mkdir -p /etc/systemd/system/spanhawk-probe.service.d && "
            "cd /etc/systemd/system/spanhawk-probe.service.d && "
            "ln -s /opt/spanhawk/current/systemd/spanhawk.service 10.conf && "
            "sed 's|^ExecStart=/.*|ExecStart=/opt/spanhawk/current/venv/bin/python /opt/spanhawk/probe.py|' "
            "/opt/spanhawk/current/systemd/spanhawk-doctor.conf > 20.conf && systemctl daemon-reload")  # fmt: skip
    box.run("systemctl start spanhawk-probe")
    found = json.loads(box.journal("spanhawk-probe").split("{", 1)[1].join(["{", ""]).splitlines()[0])
    possible = {name for name, result in found.items() if result == "possible"}
    wanted = {
        "write /var/lib/spanhawk", "write /var/cache/spanhawk", "write /run/spanhawk", "write /tmp",
        "read /proc/cpuinfo", "read /etc/spanhawk/spanhawk.toml", "read own credential",
    }  # fmt: skip
    assert possible == wanted, f"beyond the walls: {possible - wanted}; missing within: {wanted - possible}"
    box.run("rm -r /etc/systemd/system/spanhawk-probe.service* /opt/spanhawk/probe.py && systemctl daemon-reload")
    return f"{len(found) - len(wanted)} attempts denied, {len(wanted)} possible"


def as_fast_within(flight: Flight) -> str:
    """Inference within the walls is as fast as without; doctor finds the drone fit."""
    box = flight.box
    box.run("systemctl stop spanhawk")
    since = flight.now()
    box.run("systemctl start spanhawk-doctor")
    within = _tile_ms(box.journal("spanhawk-doctor", since))
    box.write(
        "/root/without.toml", CONFIG.replace("credential:mqtt-password", "/etc/spanhawk/credentials/mqtt-password")
    )
    without = _tile_ms(box.run("spanhawk doctor --config /root/without.toml"))
    assert box.run("find /var/lib/spanhawk -not -user spanhawk").strip() == ""
    document = json.loads(box.run("spanhawk doctor --config /root/without.toml --json 2>/dev/null"))
    assert document["fit"] is True
    assert within <= 1.5 * without + 2, (within, without)  # milliseconds, whole ones, on a busy machine
    box.run("systemctl start spanhawk")
    held = box.run(f"spanhawk doctor --config {CONF}", code=78)
    assert "systemctl stop spanhawk" in held
    return f"{within:.0f} ms a tile within, {without:.0f} ms without"


def _tile_ms(report: str) -> float:
    found = re.search(r"golden answer right, (\d+) ms a tile", " ".join(report.split()))
    assert found, report
    return float(found[1])


def wrong_configuration(flight: Flight) -> str:
    """A missing or half-written configuration: stopped once with 78 and a sentence, not restarted for ever."""
    box = flight.box
    for text, word in (
        (CONFIG[:100], "not valid TOML"),
        (CONFIG.replace("fps", "fsp"), "did you mean fps"),
        (None, "cannot read the configuration"),
    ):
        box.run("systemctl stop spanhawk")
        if text is None:
            box.run(f"mv {CONF} /root/away.toml")
        else:
            flight.set_config(text)
        since = flight.now()
        box.run("systemctl start spanhawk", code=1)
        time.sleep(2.5)  # longer than RestartSec
        seen = [box.show(name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")]
        assert seen == ["failed", "78", "0"], seen
        said = " ".join(box.journal(since=since).split())
        assert word in said, said
        told = " ".join(box.run(f"spanhawk doctor --config {CONF}", code=78).split())
        assert word in told, told
    flight.set_config(CONFIG)
    box.run("systemctl start spanhawk")
    return "half-written, misspelt, missing"


def wrong_bundle(flight: Flight) -> str:
    """A model bundle that was altered does not fly: 78, the file is named, doctor says the same."""
    box = flight.box
    box.run("mkdir -p /var/lib/spanhawk/bundles && "
            "cp -r /opt/spanhawk/current/venv/lib/python3*/site-packages/edge/masks/bundles/fast-unet "
            "/var/lib/spanhawk/bundles/mine && cd /var/lib/spanhawk/bundles/mine && "
            "printf x | dd of=model.tflite bs=1 seek=5000 conv=notrunc status=none")  # fmt: skip
    flight.set_config(CONFIG.replace("[masks]\n", '[masks]\nbundle = "/var/lib/spanhawk/bundles/mine"\n'))
    return _refused(flight, 78, "model.tflite: SHA-256 is", "copy the bundle again")


def _refused(flight: Flight, code: int, *words: str) -> str:
    """Start with what is in place: it must stop with ``code`` and ``words``, and doctor must say them too."""
    box = flight.box
    box.run("systemctl stop spanhawk")
    since = flight.now()
    box.run("systemctl start spanhawk", code=1)
    said = " ".join(box.journal(since=since).split())
    assert int(box.show("ExecMainStatus")) == code or code != 78, box.show("ExecMainStatus")
    box.run("systemctl stop spanhawk")
    told = " ".join(box.run(f"spanhawk doctor --config {CONF}", code=code).split())
    for word in words:
        assert word in said, (word, said)
        assert word in told, (word, told)
    flight.set_config(CONFIG)
    box.run("systemctl start spanhawk")
    return words[0]


def no_camera(flight: Flight) -> str:
    """No camera: the service is up, status says degraded with the reason, and doctor says the same."""
    flight.set_config(CONFIG.replace('"synthetic"\nfps = 5.0', '"v4l2"\ndevice = "/dev/video7"'))
    return _degraded(flight, "no /dev/video7", 69)


def no_network(flight: Flight) -> str:
    """No broker: the service is up, detections wait and arrive later; doctor names the broker."""
    box = flight.box
    box.run("systemctl stop spanhawk mosquitto")
    box.run("systemctl start spanhawk")
    box.wait("letters that wait", lambda: any(b["state"] == "pending" for _, b in _outbox(flight)), 20)
    waiting = {body["id"] for _, body in _outbox(flight) if body["state"] == "pending"}
    box.run("systemctl stop spanhawk")
    told = " ".join(box.run(f"spanhawk doctor --config {CONF}", code=75).split())
    assert "nothing listens there" in told
    assert "start the broker" in told
    box.run("systemctl start mosquitto spanhawk")
    box.wait("what waited", lambda: waiting <= {body.get("id") for _, body in flight.heard()}, 30)
    return f"{len(waiting)} detections waited and arrived"


def clock_in_1970(flight: Flight) -> str:
    """The clock stands in 1970: the service is up, detections say so, doctor says how to set it."""
    box = flight.box
    fake = "LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 DONT_FAKE_MONOTONIC=1"
    box.run("systemctl stop spanhawk")
    box.write("/etc/systemd/system/spanhawk.service.d/90-clock.conf",
              f'[Service]\nEnvironment={fake} "FAKETIME=@1970-01-01 00:10:00"\n')  # fmt: skip
    box.run("systemctl daemon-reload")
    flight.start()
    feature = flight.heard()[-1][1]
    properties = feature["properties"]
    assert isinstance(properties, dict)
    assert properties["seen_at"].startswith("1970-"), properties
    assert properties["clock_synced"] is False
    box.run("systemctl stop spanhawk")
    told = box.run(f"{fake} FAKETIME='@1970-01-01 00:10:00' spanhawk doctor --config {CONF}", code=75)
    assert "1970-01-01" in told
    assert "date -u -s" in told
    box.run(
        "rm /etc/systemd/system/spanhawk.service.d/90-clock.conf && systemctl daemon-reload && systemctl start spanhawk"
    )
    return "detections carry clock_synced: false"


def full_disk(flight: Flight) -> str:
    """A full disk at the start: said with the fix by service and doctor, tried again, up once there is room."""
    box = flight.box
    box.run("systemctl stop spanhawk && mount -t tmpfs -o size=4M,mode=750 card /var/lib/spanhawk && "
            "chown spanhawk: /var/lib/spanhawk && "
            "dd if=/dev/zero of=/var/lib/spanhawk/filler bs=1M 2>/dev/null; true")  # fmt: skip
    since = flight.now()
    box.try_run("timeout 20 systemctl start spanhawk")
    time.sleep(4)
    said = " ".join(box.journal(since=since).split())
    assert re.search("(the disk is full|storage is full)", said), said
    told = " ".join(box.run("systemctl stop spanhawk; spanhawk doctor --config " + CONF, code=75).split())
    assert re.search("(delete files|larger card)", told), told
    flight.set_config(
        CONFIG.replace("[outbox]\n", "[outbox]\nmin_free_bytes = 0\nballast_bytes = 0\nmax_bytes = 1048576\n")
    )
    box.try_run("systemctl start spanhawk")
    box.run("rm /var/lib/spanhawk/filler")
    box.wait("up once there is room", flight.active, 20)
    box.run("systemctl stop spanhawk && umount /var/lib/spanhawk")
    flight.set_config(CONFIG)
    box.run("systemctl start spanhawk")
    return "up by itself when there was room"


def _degraded(flight: Flight, word: str, code: int) -> str:
    """Restart with what is in place: it must be up and say ``word`` on status, and doctor must say it too."""
    box = flight.box
    box.run("systemctl stop spanhawk")
    before = len(flight.heard("status"))
    box.run("systemctl start spanhawk")

    def told_so() -> bool:
        return any(word in " ".join(map(str, body["reasons"])) for _, body in flight.heard("status")[before:])  # type: ignore[call-overload]

    box.wait(f"{word!r} on status", told_so, 20)
    assert flight.active()
    box.run("systemctl stop spanhawk")
    told = " ".join(box.run(f"spanhawk doctor --config {CONF}", code=code).split())
    assert word in told, told
    flight.set_config(CONFIG)
    box.run("systemctl start spanhawk")
    return word


def upgraded(flight: Flight) -> str:
    """An upgrade keeps configuration and flights, and what was recorded before is still delivered."""
    box, wheel = flight.box, flight.payload.better()
    box.copy(wheel, f"/root/{wheel.name}")
    box.run(f"echo '# mine' >> {CONF}")
    before = {body["id"] for _, body in _outbox(flight)}
    begun = time.monotonic()
    said = flight.install(f"/root/{wheel.name}")
    assert "+better-" in flight.using(), said
    assert "# mine" in box.run(f"cat {CONF}")
    assert before <= {body["id"] for _, body in _outbox(flight)}
    assert "+better" in box.run("spanhawk --version")
    flight.wait_detection()
    return f"{time.monotonic() - begun:.0f} s"


def altered_version(flight: Flight) -> str:
    """A version whose model was altered is never switched to."""
    return _not_taken(flight, flight.payload.altered(), 78, "fails its own check")


def crashing_version(flight: Flight) -> str:
    """A version that dies at the start is left again by itself."""
    return _not_taken(flight, flight.payload.crashing(), 75, "is in use again")


def _not_taken(flight: Flight, wheel: Path, code: int, word: str) -> str:
    box, before = flight.box, flight.using()
    box.copy(wheel, f"/root/{wheel.name}")
    said = flight.install(f"/root/{wheel.name}", code)
    assert word in said, said
    assert flight.using() == before
    assert flight.active()
    flight.wait_detection()
    assert box.run("test ! -e /opt/spanhawk/unconfirmed && echo confirmed").strip() == "confirmed"
    assert "+" not in box.run("basename $(readlink /opt/spanhawk/previous)")  # still the one to roll back to
    return f"{before} flies on"


def power_cut(flight: Flight) -> str:
    """Power cut just after the switch to a version that ends with 78: the next boot falls back by itself."""
    box, wheel, before = flight.box, flight.payload.refusing(), flight.using()
    box.copy(wheel, f"/root/{wheel.name}")
    # The installer is stopped dead where it would confirm: it never comes to its own fallback.
    text = (box.root / "root/checkout/systemd/install.sh").read_text(encoding="utf-8")
    confirming = '  if [ "$START" = no ] || comes_up; then\n'
    assert text.count(confirming) == 1
    box.run("cp -r /root/checkout /root/cut")
    box.write("/root/cut/systemd/install.sh", text.replace(confirming, f"  kill -9 $$\n{confirming}"), 0o755)
    box.try_run(
        f"/root/cut/systemd/install.sh install --no-apt --wheelhouse /root/wheelhouse --wheel /root/{wheel.name}",
        INSTALL_S,
    )
    assert "+refusing-" in flight.using()
    box.try_run("systemctl start spanhawk")  # what the next boot does
    box.wait("the version before", lambda: flight.using() == before and flight.active(), 60)
    flight.wait_detection()
    return f"{before} flies again"


def rolled_back(flight: Flight) -> str:
    """Rollback is one command, there and back, and keeps flights and configuration."""
    box, better = flight.box, flight.using()
    before = {body["id"] for _, body in _outbox(flight)}
    begun = time.monotonic()
    said = box.run("spanhawk-install rollback 2>&1")
    took = time.monotonic() - begun
    assert "+" not in flight.using(), said
    assert f"{better}  before" in box.run("spanhawk-install status")
    flight.wait_detection()
    box.run("spanhawk-install rollback 2>&1")
    assert flight.using() == better
    assert "# mine" in box.run(f"cat {CONF}")
    assert before <= {body["id"] for _, body in _outbox(flight)}
    return f"{took:.0f} s"


def taken_off(flight: Flight) -> str:
    """Uninstall leaves flights and configuration, and nothing else."""
    box = flight.box
    letters = len(_outbox(flight))
    box.run("spanhawk-install uninstall 2>&1")
    ours = ("/root", "/proc", "/var/log", "/var/lib/spanhawk/", "/etc/spanhawk/", "/var/cache/spanhawk", "/var/tmp")
    found = box.run("find / -xdev -iname '*spanhawk*' 2>/dev/null").split()
    left = [path for path in found if not path.startswith(ours)]
    assert sorted(left) == ["/etc/spanhawk", "/var/lib/spanhawk"], left
    box.run("test -s /var/lib/spanhawk/outbox.db && test -s /etc/spanhawk/spanhawk.toml")
    return f"{letters} letters stay"


def debian_package(flight: Flight) -> str:
    """The Debian package installs without a network, flies, and comes off again."""
    box, payload = flight.box, flight.payload
    begun = time.monotonic()
    said = box.run("dpkg -i /root/spanhawk.deb 2>&1", timeout_s=INSTALL_S)
    took = time.monotonic() - begun
    assert flight.active(), said
    flight.wait_detection()
    box.run("dpkg -r spanhawk 2>&1")
    box.run("test ! -e /opt/spanhawk && test -s /var/lib/spanhawk/outbox.db")
    return f"{payload.deb.name} ({payload.deb.stat().st_size // 1_000_000} MB), {took:.0f} s"


def as_documented(flight: Flight) -> str:
    """docs/install.md, command by command, as a new user types it."""
    box = flight.box
    box.run("rm -rf /var/lib/spanhawk /etc/spanhawk /etc/mosquitto/conf.d/test.conf && systemctl restart mosquitto")
    box.run("useradd -M -s /bin/bash pilot && echo 'pilot ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/pilot")
    # Stands for the package index, which is out of reach here.
    box.copy(flight.payload.builders(), "/srv/wheels")
    box.run("cp /root/wheelhouse/* /srv/wheels/ && rm -rf /root/wheelhouse /root/cut && chmod -R a+rX /srv/wheels")
    box.write("/etc/pip.conf", "[global]\nno-index = true\nfind-links = /srv/wheels\n")
    # Stands for apt's picamera2: only that it is seen beside the pinned numpy can be shown here.
    box.write("/usr/lib/python3/dist-packages/picamera2.py", "")
    box.run("cp -r /root/checkout /home/pilot/spanhawk && chown -R pilot: /home/pilot")
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    said, seen = [], ""
    for number, block in enumerate(blocks):
        box.write(f"/home/pilot/{number}.sh", f"set -e\n{block}", 0o755)
        said.append(
            box.run(
                f"cd /home/pilot && runuser -u pilot -- env HOME=/home/pilot bash {number}.sh 2>&1", timeout_s=INSTALL_S
            )
        )
        if number == 1:
            seen = box.run("/opt/spanhawk/current/venv/bin/python -c 'import picamera2, numpy; print(numpy.__file__)'")
    assert seen.startswith("/opt/spanhawk/packages/"), seen
    first = json.loads(
        next(line for text in said for line in text.splitlines() if line.startswith('{"type":"Feature"'))
    )
    assert first["properties"]["schema"] == "spanhawk/detection/1"
    return f"{sum(len(block.splitlines()) for block in blocks)} lines in {len(blocks)} blocks, to the first detection"


PROOFS: tuple[Callable[[Flight], str], ...] = (
    one_command, units_are_sound, ready_and_first_detection, killed, frozen, walls, as_fast_within,
    wrong_configuration, wrong_bundle, no_camera, no_network, clock_in_1970, full_disk,
    upgraded, rolled_back, altered_version, crashing_version, power_cut, taken_off, debian_package, as_documented,
)  # fmt: skip
