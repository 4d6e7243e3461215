"""Rays of a distorted lens against a forward model written out here, and cards that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.support.errors import ConfigError
from edge.surface import lens
from edge.surface.lens import Lens

FACTS = {"name": "a", "width_px": 1280, "height_px": 960, "origin": "test"}
BENT = Lens(**FACTS, fx_px=1000, fy_px=1010, cx_px=650, cy_px=470, distortion=(-0.25, 0.08, 0.0006, -0.0004, -0.01))  # type: ignore[arg-type]


def seen_at(x: float, y: float) -> tuple[float, float]:
    """Brown and Conrady, as OpenCV documents it."""
    k1, k2, p1, p2, k3 = BENT.distortion
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2)
    v = y * radial + p1 * (r2 + 2 * y**2) + 2 * p2 * x * y
    return 1000 * u + 650, 1010 * v + 470


@given(st.floats(-0.7, 0.7), st.floats(-0.5, 0.5))
def test_a_ray_leads_back_to_its_pixel(x: float, y: float) -> None:
    ray = BENT.rays(np.array([seen_at(x, y)]))[0]
    assert ray == pytest.approx([x, y, 1], abs=1e-7)


def test_where_the_polynomial_folds_back_there_is_no_ray() -> None:
    strong = Lens(**FACTS, fx_px=300, fy_px=300, cx_px=640, cy_px=480, distortion=(-0.3, 0, 0, 0, 0))  # type: ignore[arg-type]
    rays = strong.rays(np.array([[640.0, 480.0], [1279.0, 959.0]]))
    assert np.isfinite(rays[0]).all()
    assert np.isnan(rays[1][:2]).all()


def test_a_card_fits_the_whole_sensor_scaled_and_nothing_else() -> None:
    hq = lens.load("hq-6mm")
    assert [hq.fits(*size) for size in ((4056, 3040), (2028, 1520), (1014, 760))] == [True] * 3
    assert [hq.fits(*size) for size in ((1332, 990), (1920, 1080), (3040, 4056))] == [False] * 3, "crops, or turned"
    half = hq.scaled(2028, 1520)
    assert half.fx_px == pytest.approx(hq.fx_px / 2)
    assert half.cx_px == pytest.approx(1013.5), "the middle of 2028 pixels that are counted from a centre"


@pytest.mark.parametrize(("name", "wide_deg"), [("camera-module-2", 62.2), ("camera-module-3", 66.0)])
def test_a_shipped_card_has_the_field_of_view_of_its_data_sheet_within_what_it_says_of_itself(
    name: str, wide_deg: float
) -> None:
    card = lens.load(name)
    sheet_px = card.width_px / 2 / np.tan(np.radians(wide_deg) / 2)
    assert card.fx_px == pytest.approx(sheet_px, rel=card.focal_uncertainty)


def test_every_shipped_card_says_that_it_is_from_data_sheets_and_has_no_distortion() -> None:
    assert len(lens.card_names()) == 4
    for card in map(lens.load, lens.card_names()):
        assert card.origin.startswith("data sheet")
        assert (card.error_px, any(card.distortion)) == (None, False)
        assert card.focal_uncertainty >= 0.02


def test_a_card_written_is_the_card_read(tmp_path: Path) -> None:
    path = tmp_path / "lens.toml"
    path.write_text(lens.to_toml(BENT))
    assert lens.load(str(path)) == BENT


def test_opendronemap_counts_in_shares_of_the_longer_side_from_the_middle() -> None:
    (name, camera), *_ = json.loads(lens.to_cameras_json(BENT)).items()
    assert camera["focal_x"] == 1000 / 1280
    assert camera["c_x"] == pytest.approx((650 - 639.5) / 1280)
    assert camera["c_y"] == pytest.approx((470 - 479.5) / 1280)
    assert (camera["k1"], camera["projection_type"], "1280 960" in name) == (-0.25, "brown", True)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("width_px = 0", "missing"),
        (lens.to_toml(BENT).replace("fx_px = 1000", "fx_px = -1.0"), "fx_px must be above 0"),
        (lens.to_toml(BENT).replace("cx_px = 650", "cx_px = 9999.0"), "cx_px must lie in the picture"),
        (lens.to_toml(BENT).replace("fx_px = 1000", "fx_px = 3000.0"), "a fifth"),
        (lens.to_toml(BENT) + "k1 = 2", "unknown key"),
        ("fx_px = 1,5", "not valid TOML"),
    ],
)
def test_a_card_that_cannot_be_is_refused_by_name(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=word) as refused:
        lens.load(str(path))
    assert "mine.toml" in str(refused.value)


def test_an_unknown_card_names_those_that_ship() -> None:
    with pytest.raises(ConfigError, match="camera-module-3"):
        lens.load("camera-module-9")
