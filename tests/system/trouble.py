"""Proofs about what is wrong around the service: configuration, model, camera, network, clock, disk."""

from __future__ import annotations

import re
import time

from tests.system.flight import CONF, CONFIG, Flight, recorded


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
    box.wait("letters that wait", lambda: any(b["state"] == "pending" for _, b in recorded(flight)), 90)
    # Of a crack several messages may wait, each under an id of its own; detections are told apart by theirs.
    pending = [body for _, body in recorded(flight) if body["state"] == "pending"]
    waiting = {body["id"] for body in pending if str(body["topic"]).endswith("/detections")}
    box.run("systemctl stop spanhawk")
    told = " ".join(box.run(f"spanhawk doctor --config {CONF}", code=75).split())
    assert "nothing listens there" in told
    assert "start the broker" in told
    box.run("systemctl start mosquitto spanhawk")
    box.wait("what waited", lambda: waiting <= {body.get("id") for _, body in flight.heard()}, 90)
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
    box.wait("up once there is room", flight.active, 90)
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

    box.wait(f"{word!r} on status", told_so, 90)
    assert flight.active()
    box.run("systemctl stop spanhawk")
    told = " ".join(box.run(f"spanhawk doctor --config {CONF}", code=code).split())
    assert word in told, told
    flight.set_config(CONFIG)
    box.run("systemctl start spanhawk")
    return word
