"""What the documentation tells people to copy is accepted."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

import card.__main__
import card.settings
from edge import settings
from edge.cli import main
from edge.detections.wire import SCHEMA
from edge.frames import picamera
from edge.support import config

ROOT = Path(__file__).parents[2]


def test_the_example_configuration_is_accepted() -> None:
    assert main(["config", "check", str(ROOT / "systemd" / "spanhawk.toml.example")]) == 0


EXAMPLES = {
    "systemd/spanhawk.toml.example": lambda path: config.load(path),
    "card/card.toml.example": lambda path: config.loads(card.settings.read(path).configuration, str(path)),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_leaves_flight_folders_and_asks_for_a_picture_of_some_size(example: str) -> None:
    """What docs/inspect.md reads, and no more pixels than every board gets through well within its watchdog."""
    read = settings.from_table(EXAMPLES[example](ROOT / example), example)
    assert read.flight.folder_dir == Path("/var/lib/spanhawk/flights")
    options = read.camera.options
    assert isinstance(options, picamera.Options)
    assert (options.width_px or 4608) * (options.height_px or 2592) <= 3_000_000
    # 16:9 keeps the width of 4:3 and of 16:9 sensors, which [scale] hfov_deg is about.
    assert (options.width_px or 0) * 9 == (options.height_px or 0) * 16


def test_the_serial_port_of_the_example_is_the_pins_on_a_card_and_step_by_step() -> None:
    """On a Pi 3 and 4 Bluetooth has /dev/ttyAMA0 until this overlay takes it away."""
    assert '\ndevice = "/dev/ttyAMA0"\n' in (ROOT / "systemd" / "spanhawk.toml.example").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert "`dtoverlay=disable-bt`" in page.partition("\n## 1. The board\n")[2].partition("\n## ")[0]
    for board in ("pi3", "pi4"):
        assert f"[{board}]\ndtoverlay=disable-bt\n" in card.__main__._UART


def test_what_stands_commented_in_the_example_is_known_and_exclusive_keys_are_named(tmp_path: Path) -> None:
    text = (ROOT / "systemd" / "spanhawk.toml.example").read_text(encoding="utf-8")
    exclusive = ("budget_ms", "second_look", "half_look")
    assert f"# One of {exclusive[0]}, {exclusive[1]} and {exclusive[2]}; two together are refused." in text
    for first, second in itertools.permutations(exclusive, 2):
        for wanted, code in (((first,), 0), ((first, second), 78)):
            table = re.sub(rf"^# ({'|'.join(wanted)}) = ", r"\1 = ", text, flags=re.MULTILINE)
            (tmp_path / "spanhawk.toml").write_text(table, encoding="utf-8")
            assert main(["config", "check", str(tmp_path / "spanhawk.toml")]) == code


def test_the_readme_installs_into_an_environment_of_its_own() -> None:
    """The Python of Debian 12 and of Raspberry Pi OS refuses packages of others (PEP 668)."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    befores = {
        after.split()[0]: before for before, told, after in (b.partition("pip install ") for b in blocks) if told
    }
    for extras in (".", "'.[report]'", "'.[ground]'"):
        assert "python3 -m venv .venv && . .venv/bin/activate\n" in re.sub(r" +#.*", "", befores[extras]), extras
    assert "\nmake leaflet " in befores["'.[ground]'"], "the map of the page goes into what pip installs"


def test_the_readme_stops_the_daemon_before_doctor_looks() -> None:
    """As docs/install.md, 5 does: while it runs, its outbox and its devices are its own."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    fly = readme.partition("\n## Fly\n")[2].partition("\n## ")[0]
    steps = re.findall(r"^sudo (systemctl \w+ spanhawk|spanhawk doctor)", fly, re.MULTILINE)
    assert steps == ["systemctl stop spanhawk", "spanhawk doctor", "systemctl start spanhawk"]


def test_the_schema_file_carries_the_schema_name() -> None:
    assert SCHEMA in (ROOT / "edge" / "detections" / "schema" / "detection-2.json").read_text(encoding="utf-8")
