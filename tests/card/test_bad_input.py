"""What cannot become a card is refused in one sentence, with an exit code, and leaves nothing behind."""

from __future__ import annotations

import lzma
import shutil
from pathlib import Path

import pytest

from tests.card import raspios
from tests.card.test_card import KEY, TOOLS, card

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}: make system-packages"
)
GOOD = f"""\
vehicle = "drone7"
[card]
hostname = "drone7"
user = "inspector"
ssh_keys = ["{KEY}"]
"""


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("parts")
    return raspios.make(folder), raspios.make_deb(folder)


@pytest.fixture
def refused(parts, tmp_path, capsys):
    """Make a card from odd parts; returns the exit code and the sentence, and sees that nothing was left."""

    def attempt(toml: str = GOOD, image: Path = parts[0], deb: Path = parts[1]) -> tuple[int, str]:
        (tmp_path / "card.toml").write_text(toml, encoding="utf-8")
        code = card(image, tmp_path, deb)
        assert sorted(path.name for path in tmp_path.iterdir() if "drone" in path.name) == []
        said = capsys.readouterr().err
        assert said.count("\n") == 1, said
        return code, said

    return attempt


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (GOOD.replace("hostname", "hostnam"), "card.hostnam: unknown key; did you mean hostname?"),
        (GOOD.replace('"drone7"\nuser', '"Drone 7"\nuser'), "card.hostname: got 'Drone 7'"),
        (GOOD.replace("inspector", "root"), "card.user: got 'root'"),
        (GOOD.replace("inspector", "spanhawk"), "card.user: got 'spanhawk'"),
        (GOOD.replace("inspector", "operator"), "has a user or group operator of its own"),
        (GOOD.replace(f'"{KEY}"', ""), "neither ssh_keys nor password"),
        (GOOD.replace("AAAAC3", "AAAA"), "card.ssh_keys: got 'ssh-ed25519"),
        (GOOD + 'wifi_ssid = "a"\nwifi_password = "short"\n', "card.wifi_password: has 5 bytes"),
        (GOOD + 'wifi_ssid = "a"\nwifi_password = "ö"\nwifi_country = "BE"\n', "card.wifi_password: has 2 bytes"),
        (GOOD + 'wifi_ssid = "a"\n', "card.wifi_country: missing"),
        (GOOD + 'wifi_password = "long enough"\n', "card.wifi_ssid: missing"),
        (GOOD + 'password = "two\\nlines"\n', "card.password: is empty or has a control character"),
        (GOOD + '[mqtt]\nurl = "mqtt://a"\nuser_name = "x"\n', "mqtt.user_name: unknown key; did you mean username?"),
        (GOOD + '[mqtt]\nurl = "mqtt://a"\nusername = "a"\npassword_file = "credential:nope"\n', "credential:nope"),
        (GOOD + '[card.credentials]\n"ca.pem" = "nowhere.pem"\n', "card.credentials.ca.pem: cannot read"),
        ('vehicle = "drone7"\n', "no table [card]"),
        ("vehicle = \n", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_named_by_its_key(refused, toml, words):
    code, said = refused(toml)
    assert code == 78
    assert words in said


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\x1f\x8b\x08", "packed with gzip, not xz; unpack it first with gunzip"),
        (b"PK\x03\x04", "packed with zip"),
        (b"\x28\xb5\x2f\xfd", "packed with Zstandard"),
        (b"\xfd7zXZ\x00\x00\x04", "is damaged or cut off"),
        (b"", "no partition table"),
        (b"a letter", "no partition table"),
    ],
)
def test_what_is_no_image(refused, tmp_path, head, words):
    path = tmp_path / "x.img"
    path.write_bytes(head + bytes(3000) if head else b"")
    code, said = refused(image=path)
    assert code == 2
    assert words in said


def test_an_image_that_is_not_there(refused, tmp_path):
    code, said = refused(image=tmp_path / "nowhere.img")
    assert code == 2
    assert "No such file" in said


def test_an_image_that_was_cut_off(refused, parts, tmp_path):
    path = tmp_path / "cut.img"
    path.write_bytes(parts[0].read_bytes()[:-4096])
    code, said = refused(image=path)
    assert code == 2
    assert "is too small" in said


def test_a_packed_image_that_was_cut_off(refused, parts, tmp_path):
    whole = tmp_path / "whole.xz"
    whole.write_bytes(lzma.compress(parts[0].read_bytes(), preset=0))
    path = tmp_path / "cut.img.xz"
    path.write_bytes(whole.read_bytes()[:-1000])
    code, said = refused(image=path)
    assert code == 2
    assert "is damaged or cut off" in said


def test_an_image_of_another_computer(refused, tmp_path):
    code, said = refused(image=raspios.make(tmp_path, boot=False))
    assert code == 2
    assert "is no Raspberry Pi image" in said
    assert "no config.txt and no cmdline.txt" in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "armhf"}, "is for armhf, arm64 is needed; take the 64-bit image"),
        ({"installed": {"dpkg": "1", "python3": "3.11.2-1"}}, "has no cloud-init"),
        ({"installed": {"dpkg": "1", "cloud-init": "25"}}, "has no python3"),
        (
            {"installed": {"dpkg": "1", "cloud-init": "25", "python3": "3.11.2-1"}},
            "has 3.11; make deb BOARD=arm64-python3.11",
        ),
        (
            {"installed": {"dpkg": "1", "cloud-init": "25", "python3": "3.13.5-1", "udev": "1"}},
            "lacks systemd, and the board may have no network",
        ),
    ],
)
def test_a_system_that_does_not_fit(refused, tmp_path, change, words):
    code, said = refused(image=raspios.make(tmp_path, **change))
    assert code == 2
    assert words in said


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "amd64"}, "is for amd64 and the image for arm64; make deb BOARD=arm64-python3.13"),
        ({"python": "3.11"}, "is for Python 3.11"),
        ({"name": "cowsay"}, "is the package cowsay, not spanhawk"),
    ],
)
def test_a_package_that_does_not_fit(refused, tmp_path_factory, change, words):
    code, said = refused(deb=raspios.make_deb(tmp_path_factory.mktemp("deb"), **change))
    assert code == 2
    assert words in said


def test_a_package_that_is_none(refused, tmp_path):
    (tmp_path / "x.deb").write_text("not one")
    code, said = refused(deb=tmp_path / "x.deb")
    assert code == 2
    assert "is no Debian package" in said


def test_a_full_boot_partition(refused, parts, tmp_path):
    path = tmp_path / "full.img"
    shutil.copy(parts[0], path)
    (tmp_path / "filler").write_bytes(bytes((38 << 20) + (600 << 10)))
    raspios.run("mcopy", "-i", f"{path}@@{raspios.BOOT_START}", str(tmp_path / "filler"), "::filler")
    code, said = refused(image=path)
    assert code == 2
    assert "the boot partition has 1." in said or "the boot partition has 0." in said


def test_the_source_is_not_overwritten(parts, tmp_path, capsys):
    image = tmp_path / "drone.img"
    shutil.copy(parts[0], image)
    (tmp_path / "card.toml").write_text(GOOD)
    assert card(image, tmp_path, parts[1]) == 2
    assert "is the image itself" in capsys.readouterr().err
    assert image.read_bytes() == parts[0].read_bytes()
