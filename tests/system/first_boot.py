"""Proofs of a card's first boot in a container: without a network, cut off, damaged, full, and to the end."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

from tests.system.flight import CONFIG, INSTALL_S, Flight

HERE = "/boot/firmware/spanhawk"
REPORT = "/boot/firmware/spanhawk-first-boot.txt"
KILLS = 3 if os.environ.get("CI") else 10
"""How often the first boot is killed: each costs half an installation, and CI has half an hour for all it does."""


def card_first_boot(flight: Flight) -> str:
    """A card's first boot needs no network, goes on after a power cut, says why it fails, leaves no secret."""
    box, here = flight.box, HERE
    _insert(flight)
    box.write(f"{here}/spanhawk.toml", CONFIG + "# a bit fell over\n")
    box.run(f"sh {here}/first-boot.sh install", 78)
    report = box.run("cat /boot/firmware/spanhawk-first-boot.txt")
    assert report.startswith("spanhawk first boot: FAILED\n"), report
    assert "spanhawk.toml on the boot partition is damaged or missing; write the card again" in report, report
    assert box.try_run("test -e /etc/spanhawk/spanhawk.toml").returncode != 0
    box.write(f"{here}/spanhawk.toml", CONFIG)

    box.run("mkdir /usr/share/spanhawk && mount -t tmpfs -o size=20m full /usr/share/spanhawk")
    box.run(f"sh {here}/first-boot.sh install", 75)
    report = box.run("cat /boot/firmware/spanhawk-first-boot.txt")
    assert report.startswith("spanhawk first boot: FAILED\n"), report
    assert "No space left on device" in report.split("What the installer said")[0], report
    assert not flight.active()
    box.run("umount /usr/share/spanhawk")

    begun = time.monotonic()
    box.run(f"sh {here}/first-boot.sh prepare")
    box.wait("half a package", lambda: box.try_run("test -e /usr/share/spanhawk/packages").returncode == 0, 120)
    box.run("systemctl kill --signal=KILL spanhawk-card; systemctl stop spanhawk-card")
    assert not flight.active()
    report = box.run("cat /boot/firmware/spanhawk-first-boot.txt")
    assert report.startswith("spanhawk first boot: GOING ON\n"), report
    box.run(f"sh {here}/first-boot.sh prepare")  # as cloud-init does on the next boot
    box.wait("the end", _done(flight), INSTALL_S)
    box.wait("rest", lambda: box.show("ActiveState", "spanhawk-card") == "inactive", 60)
    took = time.monotonic() - begun
    report = box.run("cat /boot/firmware/spanhawk-first-boot.txt")
    assert report.startswith("spanhawk first boot: DONE\n"), report
    assert "spanhawk runs" in report, report
    assert flight.active()
    flight.wait_detection()
    assert "spanhawk runs" in box.run("spanhawk-install status")
    assert box.run(f"ls {here}").split() == ["SHA256SUMS", "first-boot.sh"]
    assert box.run("stat -c '%a %U' /etc/spanhawk/credentials/mqtt-password").split() == ["600", "root"]

    since = box.show("InactiveEnterTimestampMonotonic", "spanhawk-card")
    box.run(f"sh {here}/first-boot.sh prepare")  # every boot from now on
    assert box.show("InactiveEnterTimestampMonotonic", "spanhawk-card") == since
    _take_out(flight)
    return f"cut and gone on, {took:.0f} s"


def card_first_boot_killed(flight: Flight) -> str:
    """A card's first boot that is killed at random moments (ten; three in CI) goes on each time; nothing half flies."""
    box, chance, moments = flight.box, random.Random(), []
    _insert(flight)
    begun = time.monotonic()
    box.run(f"sh {HERE}/first-boot.sh prepare")
    box.wait("the end", _done(flight), INSTALL_S)
    whole_s = time.monotonic() - begun
    _take_out(flight)

    _insert(flight)
    for _ in range(KILLS):
        box.try_run("systemctl reset-failed spanhawk-card")  # a boot begins to count anew
        begun = time.monotonic()
        box.run(f"sh {HERE}/first-boot.sh prepare")
        time.sleep(chance.uniform(0, whole_s))
        if _done(flight)():
            break
        box.run("systemctl kill --signal=KILL spanhawk-card; systemctl stop spanhawk-card")
        said = box.run("tail -n 1 /var/lib/spanhawk-card/log 2>/dev/null || true").strip().split("UTC  ")[-1]
        moments.append(f"{time.monotonic() - begun:.1f} s ({said})")
        if flight.active():
            box.run("test -e $(readlink -f /opt/spanhawk/current)/.complete")
    box.try_run("systemctl reset-failed spanhawk-card")
    box.run(f"sh {HERE}/first-boot.sh prepare")
    box.wait("the end", _done(flight), INSTALL_S)
    box.wait("rest", lambda: box.show("ActiveState", "spanhawk-card") == "inactive", 60)
    assert box.run(f"cat {REPORT}").startswith("spanhawk first boot: DONE\n")
    box.run("dpkg --verify spanhawk && systemctl is-active --quiet spanhawk")
    flight.wait_detection()
    _take_out(flight)
    return f"{whole_s:.0f} s undisturbed; killed {len(moments)} times: {', '.join(moments)}"


def _insert(flight: Flight) -> None:
    """The card's payload, as make card writes it."""
    box, payload = flight.box, flight.payload
    box.run("rm -rf /etc/spanhawk")
    box.copy(payload.checkout.parent / "first-boot.sh", f"{HERE}/first-boot.sh")
    box.copy(payload.deb, f"{HERE}/spanhawk.deb")
    box.copy(payload.checkout / "systemd/host/sysusers-spanhawk.conf", f"{HERE}/sysusers-spanhawk.conf")
    box.write(f"{HERE}/spanhawk.toml", CONFIG)
    box.write(f"{HERE}/credentials/mqtt-password", "s3cret\n")
    box.run(f"cd {HERE} && sha256sum first-boot.sh *.deb *.conf *.toml credentials/* >SHA256SUMS")


def _done(flight: Flight) -> Callable[[], bool]:
    return lambda: flight.box.try_run("test -e /var/lib/spanhawk-card/done").returncode == 0


def _take_out(flight: Flight) -> None:
    box = flight.box
    box.run(
        "systemctl stop spanhawk-card; dpkg -r spanhawk 2>&1; rm -rf /boot/firmware/spanhawk* /var/lib/spanhawk-card"
    )
    box.run("rm -f /etc/systemd/system/spanhawk-card.service && systemctl daemon-reload")
