"""What every proof on the emulated board has in hand: the card, the board, and how to hear the daemon on it."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from card import __main__ as card
from tests.arm64.board.machine import Board
from tests.system.container import FailedError
from tests.system.flight import CONFIG

PAYLOAD = "/boot/firmware/spanhawk"
REPORT = "/boot/firmware/spanhawk-first-boot.txt"
OUTBOX = "/var/lib/spanhawk/outbox.db"
PYTHON = "/opt/spanhawk/current/venv/bin/python"
INSTALL_S = 2400  # no goal, only an end
ROOT = Path(__file__).parents[3]
TEST_TOOLS = ("pytest>=8.3", "hypothesis>=6.110")
# A frame takes the emulator some seconds.
SLOW_CONFIG = CONFIG.replace("fps = 5.0\nwidth_px = 640\nheight_px = 480", "fps = 0.2\nwidth_px = 512\nheight_px = 384")
CARD = """
[card]
hostname = "drone1"
user = "inspector"
ssh_keys = ["{key}"]
mqtt_password = "s3cret"
"""


class Bench:
    """The folder with the card's image and the board that runs from it."""

    def __init__(self, folder: Path, base: Path, start: Sequence[str], deb: Path, cuts: int) -> None:
        self.folder, self.base, self.deb, self.cuts = folder, base, deb, cuts
        self._start = start
        self.key = folder / "key"
        if not self.key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key], check=True)
        self.board = self.with_disk("card")

    def with_disk(self, name: str) -> Board:
        """A board with the disk of this name; not powered."""
        return Board(self.folder / f"{name}.img", self._start, self.key, self.folder)

    def card_toml(self, name: str) -> Path:
        """The file that a person edits, as ``name``.toml."""
        toml, key = self.folder / f"{name}.toml", self.key.with_suffix(".pub").read_text().strip()
        toml.write_text(SLOW_CONFIG + CARD.format(key=key))
        return toml

    def make_card(self, name: str = "card") -> Path:
        """``make card`` on the base image; the image it wrote."""
        toml, image = self.card_toml(name), self.folder / f"{name}.img"
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = card.main([str(self.base), str(image), "--config", str(toml), "--deb", str(self.deb)])
        if code != 0:
            raise FailedError(f"make card ended with {code}: {said.getvalue()}")
        return image

    def spare_disk(self, name: str) -> Board:
        """A board with a copy of the card as it is now, for a proof that spoils it."""
        _copy_sparse(self.board.disk, self.folder / f"{name}.img")
        return self.with_disk(name)

    def tests_archive(self) -> Path:
        """What runs this checkout's tests on the board beside the installed package: a tar with the folder checkout."""
        archive, wheels = self.folder / "tests.tar", self.folder / "checkout/wheels"
        remove(wheels.parent)
        fetch = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--only-binary=:all:",
                 "--python-version=3.13", "--platform=manylinux2014_aarch64", "--platform=manylinux_2_28_aarch64",
                 f"--dest={self.folder}/downloads", *TEST_TOOLS]  # fmt: skip
        subprocess.run(fetch, check=True)
        for wheel in sorted((self.folder / "downloads").glob("*.whl")):
            shutil.unpack_archive(wheel, wheels, "zip")
        for name in ("tests", "models/configs"):
            shutil.copytree(ROOT / name, wheels.parent / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy2(ROOT / "pyproject.toml", wheels.parent)
        subprocess.run(["tar", "-C", self.folder, "-cf", archive, "checkout"], check=True)
        return archive

    def up(self) -> Board:
        """The board, powered and with its daemon ready."""
        if not self.board.powered:
            self.board.boot()
        self.board.wait("the service is ready", "systemctl is-active --quiet spanhawk", 600)
        return self.board


def recorded(board: Board) -> set[str]:
    """The ids of all detections in the outbox, as ``spanhawk outbox list`` tells them."""
    lines = board.run(f"spanhawk outbox list --limit 100000 --outbox {OUTBOX}").splitlines()
    return {json.loads(line)["id"] for line in lines}


def heard(board: Board, topic: str, count: int, seconds: int) -> list[dict[str, Any]]:
    """What a broker's other client hears."""
    command = f"timeout {seconds + 30} mosquitto_sub -t 'spanhawk/drone1/{topic}' -C {count} -W {seconds}"
    return [json.loads(line) for line in board.run(command, timeout_s=seconds + 60).splitlines()]


def _copy_sparse(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, target], check=True)


def remove(folder: Path) -> None:
    """The folder and all images in it."""
    shutil.rmtree(folder, ignore_errors=True)
