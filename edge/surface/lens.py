"""A lens: from a pixel to the undistorted ray it looks along, and the card that says so.

The model is OpenCV's (Brown and Conrady): k1, k2, p1, p2, k3. A card is a TOML file, ``lens.toml``, made by ``spanhawk
calibrate``; cards of common cameras ship in ``lenses/``, from their data sheets and without distortion. Camera axes:
x right, y down, z along the optical axis. Pixel (0, 0) is the centre of the top left pixel.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.support import config
from edge.support.errors import ConfigError

Float64 = npt.NDArray[np.float64]

_STEPS = 20
_SETTLED = 1e-9
# How far a settled ray may miss its pixel, in focal lengths: below a thousandth of a pixel.
_MISS = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """A lens on a sensor of ``width_px`` by ``height_px``; checked at construction (ValueError)."""

    name: str
    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    """k1, k2, p1, p2, k3."""
    focal_uncertainty: float = 0.02
    """Relative standard uncertainty of the focal length."""
    error_px: float | None = None
    """Root mean square error of the calibration, pixels; None: not calibrated."""
    origin: str
    """Where the numbers come from, one sentence."""

    def __post_init__(self) -> None:
        """Refuse what no lens can be."""
        if min(self.width_px, self.height_px) < 1:
            raise ValueError(f"width_px and height_px must be above 0, got {self.width_px} and {self.height_px}")
        for name in ("fx_px", "fy_px"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if abs(self.fx_px / self.fy_px - 1) > 0.2:
            raise ValueError(f"fx_px and fy_px differ by more than a fifth ({self.fx_px} and {self.fy_px})")
        for name, size in (("cx_px", self.width_px), ("cy_px", self.height_px)):
            if not 0 <= getattr(self, name) <= size:
                raise ValueError(f"{name} must lie in the picture, 0 to {size}, got {getattr(self, name)}")
        if not all(math.isfinite(value) for value in self.distortion):
            raise ValueError(f"distortion must be finite, got {self.distortion}")
        if not 0 <= self.focal_uncertainty < 1:
            raise ValueError(f"focal_uncertainty must be from 0 to below 1, got {self.focal_uncertainty}")

    def fits(self, width_px: int, height_px: int) -> bool:
        """True for frames of the card's own size, or of the whole sensor scaled: to a pixel the same proportions."""
        return abs(width_px * self.height_px / self.width_px - height_px) <= 1

    def scaled(self, width_px: int, height_px: int) -> Lens:
        """The same lens on frames of another size that ``fits``."""
        across, down = width_px / self.width_px, height_px / self.height_px
        return Lens(
            name=self.name,
            width_px=width_px,
            height_px=height_px,
            fx_px=self.fx_px * across,
            fy_px=self.fy_px * down,
            cx_px=(self.cx_px + 0.5) * across - 0.5,  # pixels are counted from a centre, lengths from an edge
            cy_px=(self.cy_px + 0.5) * down - 0.5,
            distortion=self.distortion,
            focal_uncertainty=self.focal_uncertainty,
            error_px=self.error_px,
            origin=self.origin,
        )

    def rays(self, pixels: npt.NDArray[np.floating[Any]]) -> Float64:
        """Float64 (N, 3): rays through ``pixels`` (N, 2), third part 1; NaN where the model has no ray.

        Newton's method on the distortion, from the distorted place on: where the card's polynomial folds back (far
        outside what was calibrated) there is no ray.
        """
        seen = (np.asarray(pixels, np.float64) - (self.cx_px, self.cy_px)) / (self.fx_px, self.fy_px)
        straight = seen if not any(self.distortion) else self._straighten(seen)
        return np.column_stack([straight, np.ones(len(straight))])

    def _straighten(self, seen: Float64) -> Float64:
        # One pixel alone, as a damage's middle is, goes as two numbers: arrays of length one cost ten times as much.
        seen_x, seen_y = seen[0] if len(seen) == 1 else seen.T
        x, y = seen_x, seen_y
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for _ in range(_STEPS):
                miss_x, miss_y, xx, xy, yy = self._miss(x, y, seen_x, seen_y)
                folds = xx * yy - xy * xy  # the Jacobian's determinant; the model's mixed derivatives are equal
                step_x, step_y = (yy * miss_x - xy * miss_y) / folds, (xx * miss_y - xy * miss_x) / folds
                x, y = x - step_x, y - step_y
                if np.max(abs(step_x) + abs(step_y), initial=0.0) < _SETTLED:
                    break
            miss_x, miss_y, xx, xy, yy = self._miss(x, y, seen_x, seen_y)
            found = (abs(miss_x) < _MISS) & (abs(miss_y) < _MISS) & (xx * yy - xy * xy > 0) & (xx + yy > 0)
        return np.column_stack([np.where(found, x, np.nan), np.where(found, y, np.nan)])

    def _miss(self, x: Any, y: Any, seen_x: Any, seen_y: Any) -> tuple[Any, Any, Any, Any, Any]:
        """How far places, distorted, miss those seen, and the derivatives xx, xy (= yx), yy; numbers or arrays."""
        k1, k2, p1, p2, k3 = self.distortion
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        slope = 2 * (k1 + r2 * (2 * k2 + 3 * r2 * k3))  # d radial / d x = slope * x
        miss_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) - seen_x
        miss_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y - seen_y
        xx = radial + slope * x * x + 2 * p1 * y + 6 * p2 * x
        xy = slope * x * y + 2 * p1 * x + 2 * p2 * y
        yy = radial + slope * y * y + 6 * p1 * y + 2 * p2 * x
        return miss_x, miss_y, xx, xy, yy


def pinhole(focal_px: float, width_px: int, height_px: int, *, focal_uncertainty: float, origin: str) -> Lens:
    """A lens without distortion whose axis meets the middle of the picture."""
    return Lens(
        name="stated",
        width_px=width_px,
        height_px=height_px,
        fx_px=focal_px,
        fy_px=focal_px,
        cx_px=(width_px - 1) / 2,
        cy_px=(height_px - 1) / 2,
        focal_uncertainty=focal_uncertainty,
        origin=origin,
    )


def card_names() -> list[str]:
    """The cards that ship, by name."""
    folder = resources.files("edge.surface") / "lenses"
    return sorted(card.name.removesuffix(".toml") for card in folder.iterdir() if card.name.endswith(".toml"))


def load(name: str) -> Lens:
    """The card of that name, or the one in that file (whatever ends in .toml). Raises ConfigError."""
    if name.endswith(".toml"):
        return _card(config.load(Path(name).expanduser(), "lens card", "make one with spanhawk calibrate"), name)
    if name not in card_names():
        raise ConfigError(f"lens: no card {name!r}; give the path of a lens.toml, or one of {', '.join(card_names())}")
    text = (resources.files("edge.surface") / "lenses" / f"{name}.toml").read_text(encoding="utf-8")
    return _card(config.loads(text, name), name)


def _card(table: dict[str, Any], where: str) -> Lens:
    try:
        return config.build(Lens, table, "lens")
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}; spanhawk calibrate makes a new one") from error


def to_toml(lens: Lens) -> str:
    """The card as the text of a lens.toml."""
    lines = ["# The lens of one camera at one focus, for [scale] lens; made by spanhawk calibrate."]
    for key, value in asdict(lens).items():
        if value is not None:
            lines.append(f"{key} = {json.dumps(list(value) if isinstance(value, tuple) else value)}")
    return "\n".join(lines) + "\n"


def to_cameras_json(lens: Lens) -> str:
    """The card as OpenDroneMap's ``cameras.json`` (one camera, OpenSfM's model ``brown``).

    There lengths are shares of the longer side, and the principal point is counted from the middle of the picture.
    """
    longer = max(lens.width_px, lens.height_px)
    k1, k2, p1, p2, k3 = lens.distortion
    camera = {
        "projection_type": "brown",
        "width": lens.width_px,
        "height": lens.height_px,
        "focal_x": lens.fx_px / longer,
        "focal_y": lens.fy_px / longer,
        "c_x": (lens.cx_px - (lens.width_px - 1) / 2) / longer,
        "c_y": (lens.cy_px - (lens.height_px - 1) / 2) / longer,
        "k1": k1,
        "k2": k2,
        "p1": p1,
        "p2": p2,
        "k3": k3,
    }
    name = f"{lens.name} {lens.width_px} {lens.height_px} brown {camera['focal_x']:.4f} rgb"
    return json.dumps({name: camera}, indent=2) + "\n"
