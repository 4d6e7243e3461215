"""Proofs about versions: upgraded, refused, rolled back, removed, from a package, and as the page says."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from tests.system.flight import CONF, CONFIG, INSTALL_S, Flight, recorded
from tests.system.payload import ROOT

PAGE = ROOT / "docs" / "install.md"


def upgraded(flight: Flight) -> str:
    """An upgrade keeps configuration and flights, and what was recorded before is still delivered."""
    box, wheel = flight.box, flight.payload.better()
    box.copy(wheel, f"/root/{wheel.name}")
    box.run(f"echo '# mine' >> {CONF}")
    before = {body["id"] for _, body in recorded(flight)}
    begun = time.monotonic()
    said = flight.install(f"/root/{wheel.name}")
    assert "+better-" in flight.using(), said
    assert "# mine" in box.run(f"cat {CONF}")
    assert before <= {body["id"] for _, body in recorded(flight)}
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


def doctor_tells_only(flight: Flight) -> str:
    """A doctor that finds a fault while a version is not confirmed yet leaves it in use; its start confirms it."""
    box, using, since = flight.box, flight.using(), flight.now()
    box.run("systemctl stop spanhawk && basename $(readlink /opt/spanhawk/previous) >/opt/spanhawk/unconfirmed")
    flight.set_config(CONFIG.replace("fps", "fsp"))
    box.run("systemctl start spanhawk-doctor", code=1)
    assert box.show("ExecMainStatus", "spanhawk-doctor") == "78"
    flight.set_config(CONFIG + "# mine\n")
    box.run("systemctl start spanhawk")
    box.run("systemctl reset-failed spanhawk-doctor && test ! -e /opt/spanhawk/unconfirmed")
    assert flight.using() == using
    assert "back to the version" not in box.journal("spanhawk-fallback", since)  # it was not started
    return f"{using} stays in use"


def power_cut(flight: Flight) -> str:
    """Power cut just after the switch to a version that dies at the start: the next boot falls back by itself."""
    box, wheel, before = flight.box, flight.payload.crashing(), flight.using()
    box.copy(wheel, f"/root/{wheel.name}")
    # The installer is stopped dead where it would confirm: it never comes to its own fallback.
    text = (box.root / "root/checkout/systemd/install.sh").read_text(encoding="utf-8")
    confirming = "  if comes_up; then\n    confirm\n"
    assert text.count(confirming) == 1
    box.run("cp -r /root/checkout /root/cut")
    box.write("/root/cut/systemd/install.sh", text.replace(confirming, f"  kill -9 $$\n{confirming}"), 0o755)
    box.try_run(
        f"/root/cut/systemd/install.sh install --no-apt --wheelhouse /root/wheelhouse --wheel /root/{wheel.name}",
        INSTALL_S,
    )
    assert "+crashing-" in flight.using()
    return _next_boot(flight, before)


def not_started(flight: Flight) -> str:
    """A version put on with --no-start that ends with 78 at the next boot: that boot falls back by itself."""
    box, wheel, before = flight.box, flight.payload.refusing(), flight.using()
    box.copy(wheel, f"/root/{wheel.name}")
    said = flight.install(f"/root/{wheel.name} --no-start")
    assert f"{before} comes back" in said, said
    assert f"not confirmed yet; before it: {before}" in box.run("spanhawk-install status")
    return _next_boot(flight, before)


def _next_boot(flight: Flight, before: str) -> str:
    """Start what is in use and was never up: ``before`` must come back, say so, and have all letters."""
    box, since = flight.box, flight.now()
    letters, failed = {body["id"] for _, body in recorded(flight)}, flight.using()
    box.try_run("systemctl start spanhawk")
    box.wait("the end", lambda: f"{before} is in use again" in box.journal("spanhawk-fallback", since), 60)
    assert f"{failed} did not come up; {before} is in use again" in box.journal("spanhawk-fallback", since)
    assert (flight.using(), flight.active(), box.show("Result", "spanhawk-fallback")) == (before, True, "success")
    assert letters <= {body["id"] for _, body in recorded(flight)}
    status = box.run("spanhawk-install status")
    assert failed not in status, status
    assert "not confirmed" not in status, status
    flight.wait_detection()
    return f"{before} flies again"


def rolled_back(flight: Flight) -> str:
    """Rollback is one command, there and back, and keeps flights and configuration."""
    box, better = flight.box, flight.using()
    before = {body["id"] for _, body in recorded(flight)}
    begun = time.monotonic()
    said = box.run("spanhawk-install rollback 2>&1")
    took = time.monotonic() - begun
    assert "+" not in flight.using(), said
    assert f"{better}  before" in box.run("spanhawk-install status")
    flight.wait_detection()
    box.run("spanhawk-install rollback 2>&1")
    assert flight.using() == better
    assert "# mine" in box.run(f"cat {CONF}")
    assert before <= {body["id"] for _, body in recorded(flight)}
    return f"{took:.0f} s"


def taken_off(flight: Flight) -> str:
    """Uninstall leaves flights and configuration, and nothing else."""
    box = flight.box
    letters = len(recorded(flight))
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
    box.run("dpkg --verify spanhawk && test ! -e /opt/spanhawk/current/venv/bin/pip")
    box.run("dpkg -r spanhawk 2>&1")
    box.run("test ! -e /opt/spanhawk && test ! -e /usr/share/spanhawk && test -s /var/lib/spanhawk/outbox.db")
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
    assert first["properties"]["schema"] == "spanhawk/detection/2"
    return f"{sum(len(block.splitlines()) for block in blocks)} lines in {len(blocks)} blocks, to the first detection"
