from __future__ import annotations

from pathlib import Path

import pytest

from edge import settings
from edge.support import config
from edge.support.errors import ConfigError

GOOD = """
vehicle = "drone1"
[camera]
backend = "synthetic"
[masks]
backend = "dark"
[navigation]
backend = "fixed"
[outbox]
backend = "memory"
[mqtt]
url = "mqtt://ground:1883"
[scale]
hfov_deg = 62.2
"""


def test_reads_a_whole_configuration(tmp_path: Path) -> None:
    path = tmp_path / "spanhawk.toml"
    path.write_text(GOOD, encoding="utf-8")
    read = settings.read(path)
    assert read.vehicle == "drone1"
    assert [getattr(read, room).name for room in settings.ROOMS] == ["synthetic", "dark", "fixed", "memory", "paho"]
    assert read.measures.scale.hfov_deg == 62.2
    assert read.mqtt.options.url == "mqtt://ground:1883"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("vehicel = 'x'", "vehicel: unknown key; did you mean vehicle?"),
        ("vehicle = 3", "vehicle: got 3, needs a name as text"),
        ("vehicle = 'a/b'", "vehicle"),
        ("camera = 3", "camera: got 3, needs a table, as [camera]"),
        ("[camera]\nbackend = 'picamara'", "camera.backend: no backend 'picamara'; known: "),
        ("[camera]\nbackend = 3", "camera.backend: got 3, needs a backend's name"),
        ("[camera]\nbackend = 'newest'", "camera.backend: edge.frames.newest is not a backend"),
        ("[camera]\nbackend = 'nobody.cares'", "camera.backend: Python finds no module 'nobody.cares'; install"),
        ("[masks]\nthreds = 2", "masks.threds: unknown key; did you mean threads?"),
        ("[scale]\nhfov_deg = 200", "scale: hfov_deg must lie between 0 and 180"),
        ("[report]\nsure_length_px = -1", "report: sure_length_px is -1.0, must be 0 or more"),
        ("[flight]\nsign_key = '/k'", "flight: sign_key does nothing without folder_dir"),
        ("[flight]\nkeep_newest_flights = 3", "flight: keep_newest_flights does nothing without folder_dir"),
        ("[flight]\nmax_temperature_deg_c = -5", "flight: max_temperature_deg_c must be 40 or more, got -5"),
        ("[flight]\nstart_flying = 1", "flight.start_flying: got 1 (int), needs true or false"),
    ],
)
def test_refuses_by_file_and_key(tmp_path: Path, line: str, sentence: str) -> None:
    path = tmp_path / "spanhawk.toml"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        settings.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert sentence in str(caught.value)


def test_what_config_show_prints_is_itself_a_configuration() -> None:
    first = settings.from_table(config.loads(GOOD, "good"), "good")
    again = settings.from_table(config.loads(settings.effective(first), "shown"), "good")
    assert again == first


def test_what_config_show_prints_names_a_backend_of_somebody_else_in_full() -> None:
    first = settings.from_table({"masks": {"backend": "tests.vendor.npu"}}, "test")
    assert first.masks.name == "tests.vendor.npu"
    assert settings.from_table(config.loads(settings.effective(first), "shown"), "test") == first


def test_defaults_fly_a_raspberry_pi() -> None:
    defaults = settings.from_table({}, "defaults")
    assert [getattr(defaults, room).name for room in settings.ROOMS] == [
        "picamera",
        "litert",
        "mavlink",
        "sqlite",
        "paho",
    ]
