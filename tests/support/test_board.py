from __future__ import annotations

from pathlib import Path

from edge.support import board


def test_hottest_zone_or_none(tmp_path: Path) -> None:
    assert board.temperature_deg_c(tmp_path) is None
    for name, text in (("thermal_zone0", "51200\n"), ("thermal_zone1", "63500\n"), ("thermal_zone2", "broken")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "temp").write_text(text)
    assert board.temperature_deg_c(tmp_path) == 63.5


def test_under_voltage_is_bit_zero(tmp_path: Path) -> None:
    flags = tmp_path / "get_throttled"
    assert board.under_voltage(flags) is None
    for text, wanted in (("50005\n", True), ("50000\n", False), ("x", None)):
        flags.write_text(text)
        assert board.under_voltage(flags) is wanted


def test_resident_memory() -> None:
    resident = board.resident_bytes()
    assert resident is not None
    assert 1_000_000 < resident < 10**11
    assert board.resident_bytes(Path("/nonexistent")) is None
