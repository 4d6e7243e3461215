"""A card made from an image of Raspberry Pi OS's layout: judged by Debian's own FAT checker and cloud-init."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from card.__main__ import main
from card.cloud import wpa_key
from edge import settings
from tests.card import raspios
from tests.card.raspios import BOOT_SIZE, BOOT_START, run

TOOLS = ("sfdisk", "mkfs.vfat", "mkfs.ext4", "mcopy", "debugfs", "dpkg-deb", "openssl")
pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}: make system-packages"
)
PASSWORD = 'it\'s "göod": {#} \\ 🔑 %s'
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4Zl3l0pAG8Hn5KqCqN0QkGgHxYkzTnK5T7lJm8rW2v me@laptop"
TOML = f"""\
vehicle = "drone7"   # painted on the arm

[card]
hostname = "drone7"
user = "inspector"
ssh_keys = ["{KEY}"]
password = "s3cret"
wifi_ssid = "Brücke 'A' \\"1\\""
wifi_password = {json.dumps(PASSWORD, ensure_ascii=False)}
wifi_country = "BE"
uart = true
mqtt_password = "broker's"

[card.credentials]
"ca.pem" = "ca.pem"

[camera]
backend = "picamera"

[mqtt]
url = "mqtts://ground.local:8883"
username = "drone7"
password_file = "credential:mqtt-password"
ca_file = "credential:ca.pem"
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> tuple[Path, Path]:
    """An image and a package, never written to."""
    folder = tmp_path_factory.mktemp("parts")
    return raspios.make(folder), raspios.make_deb(folder)


@pytest.fixture(scope="module")
def made(parts, tmp_path_factory) -> Path:
    """A folder with drone.img and its manifest, made from the packed image."""
    folder = tmp_path_factory.mktemp("made")
    image, deb = parts
    run("xz", "-k", "-1", str(image))
    (folder / "card.toml").write_text(TOML, encoding="utf-8")
    (folder / "ca.pem").write_text("a certificate\n")
    assert card(f"{image}.xz", folder, deb) == 0
    return folder


@pytest.fixture(scope="module")
def boot(made) -> Path:
    """The boot partition's files, as a laptop shows them."""
    folder = made / "boot"
    folder.mkdir()
    run("mcopy", "-s", "-i", f"{made / 'drone.img'}@@{BOOT_START}", "::", str(folder))
    return folder


def card(image: Path | str, folder: Path, deb: Path) -> int:
    return main([str(image), str(folder / "drone.img"), "--config", str(folder / "card.toml"), "--deb", str(deb)])


def test_nothing_but_the_boot_partition_is_written(parts, made):
    before, after = parts[0].read_bytes(), (made / "drone.img").read_bytes()
    assert len(before) == len(after)
    assert before[:BOOT_START] == after[:BOOT_START]
    assert before[BOOT_START + BOOT_SIZE :] == after[BOOT_START + BOOT_SIZE :]
    assert before != after


def test_the_boot_partition_is_sound(made, tmp_path):
    data = (made / "drone.img").read_bytes()[BOOT_START : BOOT_START + BOOT_SIZE]
    (tmp_path / "fat").write_bytes(data)
    run("fsck.vfat", "-n", str(tmp_path / "fat"))


def test_the_image_is_its_owners_alone(made):
    assert (made / "drone.img").stat().st_mode & 0o777 == 0o600
    assert not list(made.glob(".*part*"))


def test_what_is_installed_is_there_whole(parts, boot):
    assert (boot / "spanhawk/spanhawk.deb").read_bytes() == parts[1].read_bytes()
    assert (boot / "spanhawk/credentials/mqtt-password").read_text() == "broker's\n"
    assert (boot / "spanhawk/credentials/ca.pem").read_text() == "a certificate\n"
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=boot / "spanhawk", check=True)


def test_the_configuration_is_the_files_own_without_the_board(boot):
    text = (boot / "spanhawk/spanhawk.toml").read_text(encoding="utf-8")
    assert "painted on the arm" in text
    assert "s3cret" not in text
    assert "[card" not in text
    assert settings.read(boot / "spanhawk/spanhawk.toml").vehicle == "drone7"


def test_the_user_that_the_image_has_may_be_the_cards_and_packages_lie_beside_it(parts, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    further = raspios.make_deb(tmp_path, architecture="all", name="cowsay")
    (tmp_path / "card.toml").write_text(
        TOML.replace('"inspector"', '"pi"').replace("uart = true", f'packages = ["{further.name}"]')
    )
    (tmp_path / "ca.pem").write_text("a certificate\n")
    assert card(parts[0], tmp_path, parts[1]) == 0
    image = f"{tmp_path / 'drone.img'}@@{BOOT_START}"
    assert further.name in run("mdir", "-b", "-i", image, "::spanhawk/packages")
    (user,) = yaml.safe_load(run("mtype", "-i", image, "::user-data"))["users"]
    assert user["name"] == "pi"


def test_the_serial_port_is_the_autopilots(boot):
    assert (boot / "cmdline.txt").read_text() == raspios.CMDLINE.replace("console=serial0,115200 ", "")
    lines = (boot / "config.txt").read_text().splitlines()
    assert lines[:2] == ["dtparam=audio=on", "[all]"]
    assert "enable_uart=1" in lines


def test_a_users_password_is_hashed_as_shadow_has_it(boot):
    (user,) = yaml.safe_load((boot / "user-data").read_text(encoding="utf-8"))["users"]
    # Of cloud-init's three words for a password, the only hash that a user gets who is there already, as pi.
    _, kind, salt, _ = user["hashed_passwd"].split("$")
    assert kind == "6"
    assert run("openssl", "passwd", "-6", "-salt", salt, "s3cret").strip() == user["hashed_passwd"]
    assert user["ssh_authorized_keys"] == [KEY]


@pytest.mark.parametrize(  # IEEE 802.11i-2004, annex H.4.2
    ("password", "ssid", "key"),
    [
        ("password", "IEEE", "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"),
        ("ThisIsAPassword", "ThisIsASSID", "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"),
    ],
)
def test_the_wifi_key_is_the_standards(password, ssid, key):
    assert wpa_key(ssid, password) == key


def test_the_manifest_is_what_imager_asks_for(made):
    (entry,) = json.loads((made / "drone.img.rpi-imager-manifest").read_text())["os_list"]
    image = made / "drone.img"
    assert entry["extract_sha256"] == hashlib.sha256(image.read_bytes()).hexdigest()
    assert entry["extract_size"] == entry["image_download_size"] == image.stat().st_size
    assert entry["url"] == image.as_uri()
    assert entry["init_format"] == "cloudinit-rpi"
    # required by its schema (doc/json-schema/os-list-schema.json)
    assert {"name", "description", "icon", "release_date", "devices"} <= set(entry)


needs_cloud_init = pytest.mark.skipif(shutil.which("cloud-init") is None, reason="needs cloud-init")


@needs_cloud_init
def test_cloud_init_accepts_the_user_data(boot):
    assert "Valid" in run("cloud-init", "schema", "--config-file", str(boot / "user-data"))


@needs_cloud_init
def test_cloud_init_reads_the_wifi(boot, tmp_path):
    run("cloud-init", "devel", "net-convert", "-p", str(boot / "network-config"), "-k", "yaml", "-O", "netplan",
        "-D", "debian", "-d", str(tmp_path))  # fmt: skip
    (netplan,) = tmp_path.rglob("*.yaml")
    ((ssid, access),) = yaml.safe_load(netplan.read_text())["network"]["wifis"]["wlan0"]["access-points"].items()
    assert ssid == "Brücke 'A' \"1\""
    assert access == {"password": wpa_key(ssid, PASSWORD)}


@needs_cloud_init
def test_cloud_init_finds_a_new_instance_and_the_script_of_every_boot(boot):
    """By the code of cloud-init that reads ``seedfrom: file:///boot/firmware``."""
    code = (
        "import sys; from cloudinit import handlers, util; found = util.read_seeded(sys.argv[1]);"
        "print(found[0]['instance-id']); print(handlers.type_from_starts_with(found[2].decode()))"
    )
    instance, kind = run("/usr/bin/python3", "-c", code, f"{boot}/").split()
    assert instance.startswith("spanhawk-drone7-")
    assert kind == "text/cloud-boothook"
