"""The lens of rendered photos of a board is found again; what the photos do not support is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli import main
from edge.support.errors import UsageError
from edge.surface import lens
from edge.tools.calibrate import Job, calibrate

W, H, F, CX, CY = 640, 480, 500.0, 325.0, 234.0
BENT = (-0.2, 0.05, 0.0005, -0.0003, 0.0)
COLUMNS, ROWS, SQUARE = 9, 6, 25.0


def straight() -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel of a picture of twice the size looks, by repeated substitution in the forward model."""
    down, right = np.mgrid[0 : 2 * H, 0 : 2 * W]
    seen_x, seen_y = ((right + 0.5) / 2 - 0.5 - CX) / F, ((down + 0.5) / 2 - 0.5 - CY) / F
    k1, k2, p1, p2, _ = BENT
    x, y = seen_x.copy(), seen_y.copy()
    for _ in range(40):
        r2 = x * x + y * y
        radial = 1 + k1 * r2 + k2 * r2**2
        x, y = (
            (seen_x - 2 * p1 * x * y - p2 * (r2 + 2 * x * x)) / radial,
            (seen_y - p1 * (r2 + 2 * y * y) - 2 * p2 * x * y) / radial,
        )
    return x, y


def board(
    turn: np.ndarray, middle: np.ndarray, rays: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """A photo of the board, each pixel the mean of four rays cut with its plane."""
    x, y = rays
    corner = middle - turn @ [(COLUMNS - 1) / 2 * SQUARE, (ROWS - 1) / 2 * SQUARE, 0]
    z = turn[:, 2] @ corner / (turn[0, 2] * x + turn[1, 2] * y + turn[2, 2])
    points = np.stack([x * z, y * z, z], -1) - corner
    u, v = points @ turn[:, 0] / SQUARE, points @ turn[:, 1] / SQUARE
    paper = (u > -2) & (u < COLUMNS + 1) & (v > -2) & (v < ROWS + 1)
    ink = (u > -1) & (u < COLUMNS) & (v > -1) & (v < ROWS) & ((np.floor(u) + np.floor(v)) % 2 == 0)
    picture = np.where(ink, 30, np.where(paper, 220, 110)).astype(np.float32).reshape(H, 2, W, 2).mean((1, 3))
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 0.6) + rng.normal(0, 1.5, (H, W)), 0, 255).astype(np.uint8)


def photos(folder: Path, count: int, tilt: float) -> Path:
    folder.mkdir()
    rng, rays = np.random.default_rng(3), straight()
    for number in range(count):
        about = rng.uniform(-tilt, tilt, 2)
        turn = cv2.Rodrigues(np.array([*about, 0.0]))[0] @ cv2.Rodrigues(np.array([0, 0, rng.uniform(-0.3, 0.3)]))[0]
        away = rng.uniform(320, 560)
        middle = np.array([rng.uniform(-0.25, 0.25) * away, rng.uniform(-0.2, 0.2) * away, away])
        cv2.imwrite(str(folder / f"board{number}.png"), board(turn, middle, rays, rng))
    return folder


@pytest.fixture(scope="module")
def tilted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("tilted") / "photos", 10, 0.6)


def job(folder: Path, out: Path, **more: object) -> Job:
    return Job(**({"photos": [folder], "board": "9x6", "square_mm": SQUARE, "out": out} | more))  # type: ignore[arg-type]


def test_the_lens_is_found_again(
    tilted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("lens.toml", "cameras.json"):
        Path(name).write_text("another lens")
    assert main(["calibrate", str(tilted), "--board", "9x6", "--square-mm", "25", "--overwrite"]) == 0
    told = capsys.readouterr().out
    assert f'[scale] lens = "{tmp_path}/lens.toml"' in told, "the daemon runs in another folder"
    card = lens.load(str(tmp_path / "lens.toml"))
    assert card.fx_px == pytest.approx(F, rel=2 * card.focal_uncertainty)
    assert (card.cx_px, card.cy_px) == pytest.approx((CX, CY), abs=1.5)
    assert card.error_px is not None
    assert card.error_px < 0.2
    corners = np.array([[160.0, 120.0], [480.0, 120.0], [480.0, 360.0], [160.0, 360.0], [320.0, 240.0]])
    true = lens.Lens(
        name="t", width_px=W, height_px=H, fx_px=F, fy_px=F, cx_px=CX, cy_px=CY, distortion=BENT, origin="t"
    )
    apart = np.abs(card.rays(corners) - true.rays(corners)).max() * F
    assert apart < 0.005 * F, "rays agree to half a per cent where boards were seen"
    assert (tmp_path / "cameras.json").read_text() != "another lens"
    assert "% of the picture only" in told or "root mean square" in told


def test_a_board_that_is_never_tilted_fixes_no_focal_length(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing fixes the focal length"):
        calibrate(job(photos(tmp_path / "flat", 6, 0.005), tmp_path / "lens.toml"))
    assert not (tmp_path / "lens.toml").exists()


def test_wrong_boards_and_mixed_sizes_are_refused(tilted: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="inner corners, not squares"):
        calibrate(job(tilted, tmp_path / "lens.toml", board="10x7"))
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for number, picture in enumerate(sorted(tilted.iterdir())[:2]):
        image = cv2.imread(str(picture))
        cv2.imwrite(str(mixed / picture.name), image[:, : W - 100 * number])
    with pytest.raises(UsageError, match="one camera at one size"):
        calibrate(job(mixed, tmp_path / "lens.toml"))


def test_a_charuco_board_is_found_too(tmp_path: Path) -> None:
    markers = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    sheet = cv2.aruco.CharucoBoard((7, 5), 25.0, 18.75, markers).generateImage((1400, 1000), marginSize=60)
    folder = tmp_path / "charuco"
    folder.mkdir()
    rng = np.random.default_rng(5)
    flat = np.array([[0, 0], [1400, 0], [1400, 1000], [0, 1000]], np.float32)
    for number in range(8):
        about = rng.uniform(-0.5, 0.5, 2)
        turn = cv2.Rodrigues(np.array([*about, rng.uniform(-0.3, 0.3)]))[0]
        middle = np.array([rng.uniform(-20, 20), rng.uniform(-15, 15), rng.uniform(180, 240)])
        corners = (flat - [700, 500]) * (175 / 1280)  # seven squares of 25 mm on 1280 of the sheet's pixels
        there = np.column_stack([corners, np.zeros(4)]) @ turn.T + middle
        pixels = (there[:, :2] / there[:, 2:] * F + [W / 2, H / 2]).astype(np.float32)
        shot = cv2.warpPerspective(
            sheet, cv2.getPerspectiveTransform(flat, pixels), (W, H), borderValue=128, flags=cv2.INTER_AREA
        )
        cv2.imwrite(str(folder / f"c{number}.png"), shot)
    calibrate(job(folder, tmp_path / "lens.toml", board="7x5", charuco="DICT_4X4_50"))
    assert lens.load(str(tmp_path / "lens.toml")).fx_px == pytest.approx(F, rel=0.02)


@pytest.mark.parametrize(
    "wrong", [{"board": "9by6"}, {"board": "2x6"}, {"square_mm": 0.0}, {"charuco": "DICT_NONE"}, {"charuco": "aruco"}]
)
def test_what_cannot_be_meant(wrong: dict[str, object], tilted: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        calibrate(job(tilted, tmp_path / "lens.toml", **wrong))


@pytest.mark.parametrize("name", ["lens.toml", "cameras.json"])
def test_a_file_that_is_there_is_not_replaced_unasked(
    name: str, tilted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("another lens")
    words = ["--board", "9x6", "--square-mm", "25", "--out", str(tmp_path / "lens.toml")]
    assert main(["calibrate", str(tilted), *words]) == 2
    assert f"{tmp_path / name} is there already" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "another lens")]
