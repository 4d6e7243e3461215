"""What cloud-init reads from the boot partition at the first boot: user-data, network-config, meta-data, vendor-data.

Raspberry Pi Imager's settings page replaces user-data and network-config. What starts our own first boot is therefore
in vendor-data, which it leaves alone; and in user-data as well, for a system that ignores vendor-data. Both call the
same script, and a second call changes nothing.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import yaml

from card.settings import CardFile, CardOptions
from edge.support.errors import DeviceError

BOOT = "/boot/firmware"
"""Where Raspberry Pi OS mounts the boot partition."""
FIRST_BOOT = f"{BOOT}/spanhawk/first-boot.sh"
_GROUPS = (
    "adm", "dialout", "cdrom", "sudo", "audio", "video", "plugdev", "games", "users", "input", "render", "netdev",
    "gpio", "i2c", "spi",
)  # fmt: skip


def files(card: CardFile, payload_sha256: str) -> Mapping[str, str]:
    """The files in the boot partition's top folder, by name. Raises DeviceError where openssl is not installed.

    ``payload_sha256`` names what is installed: a card made again with other contents counts as a new instance.
    """
    user_data = _user_data(card.options)
    network = _network(card.options)
    all_of_it = repr((user_data, network, card.configuration, sorted(card.secrets.items()), payload_sha256))
    instance = f"spanhawk-{card.options.hostname}-{hashlib.sha256(all_of_it.encode()).hexdigest()[:12]}"
    return {
        "user-data": "#cloud-config\n" + _yaml(user_data),
        "network-config": _yaml({"network": network}),
        "meta-data": _yaml({"instance-id": instance, "local-hostname": card.options.hostname, "dsmode": "local"}),
        # Run by cloud-init on every boot: an install that a power cut ended goes on.
        "vendor-data": f"#cloud-boothook\n#!/bin/sh\nexec /bin/sh {FIRST_BOOT} prepare\n",
    }


def _user_data(options: CardOptions) -> dict[str, Any]:
    user: dict[str, Any] = {
        "name": options.user,
        "groups": ", ".join(_GROUPS),
        "shell": "/bin/bash",
        "sudo": "ALL=(ALL) ALL" if options.password else "ALL=(ALL) NOPASSWD:ALL",
        "lock_passwd": options.password is None,
    }
    if options.password is not None:
        user["hashed_passwd"] = crypt(options.password)  # not passwd, which leaves a user alone who is there, as pi
    if options.ssh_keys:
        user["ssh_authorized_keys"] = list(options.ssh_keys)
    return {
        "hostname": options.hostname,
        "manage_etc_hosts": True,
        "users": [user],
        "ssh_pwauth": options.password is not None,
        "bootcmd": [["/bin/sh", FIRST_BOOT, "prepare"]],
        "runcmd": [["systemctl", "enable", "--now", "ssh"]],
    }


def netplan(options: CardOptions) -> str:
    """The network as netplan reads it itself."""
    return _yaml({"network": _network(options)})


def _network(options: CardOptions) -> dict[str, Any]:
    # optional: the boot does not wait for a network that is not there.
    network: dict[str, Any] = {"version": 2, "ethernets": {"eth0": {"dhcp4": True, "optional": True}}}
    if options.wifi_ssid is not None:
        key = None if options.wifi_password is None else wpa_key(options.wifi_ssid, options.wifi_password)
        network["wifis"] = {
            "wlan0": {
                "dhcp4": True,
                "optional": True,
                "regulatory-domain": options.wifi_country,
                "access-points": {options.wifi_ssid: {} if key is None else {"password": key}},
            }
        }
    return network


def wpa_key(ssid: str, password: str) -> str:
    """The key that WPA derives from a password (IEEE 802.11i, annex H.4), as 64 hex digits.

    It goes through every layer of configuration files unharmed, whatever quotes or letters the password has.
    """
    return hashlib.pbkdf2_hmac("sha1", password.encode(), ssid.encode(), 4096, 32).hex()


def crypt(password: str) -> str:
    """The password as /etc/shadow has it (SHA-512). Raises DeviceError without openssl."""
    if shutil.which("openssl") is None:
        raise DeviceError("openssl is not installed, and a password is to be hashed; apt install openssl")
    ran = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=password, capture_output=True, text=True)
    if ran.returncode != 0:
        raise DeviceError(f"openssl does not hash the password ({ran.stderr.strip()}); look at its installation")
    return ran.stdout.strip()


def _yaml(value: Mapping[str, Any]) -> str:
    return str(yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=1000))
