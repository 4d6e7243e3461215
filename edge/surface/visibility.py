"""How narrow a crack one frame would have shown, and what would have shown a narrower one.

The constants were fitted by ``python benchmarks/mapping_coverage.py --fit`` on 4,064 stretches of rendered cracks (ten
bridges, 400 frames) that the shipped ``fast-unet`` looked at: a logistic model of the chance that one is reported,

    logit p = INTERCEPT + WIDTH ln(width_px) + BLUR ln(blur_px) + LIGHT ln(light + LIGHT_OFFSET).

docs/mapping.md has how often what it states is right on other bridges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from edge.frames.sharpness import Sharpness
from edge.surface.homography import frame_corners
from edge.surface.place import OBLIQUE, View

PROBABILITY = 0.9
"""A crack of the stated width is found with this probability."""
INTERCEPT, WIDTH, BLUR, LIGHT, LIGHT_OFFSET = 2.99, 3.14, -1.3, 0.58, 0.003
_LEAST_BLUR_PX = 0.5
DARK_LIGHT = 0.02
"""Below this light (code 39 of sRGB) the model's promise does not hold on the bridges of the fit."""
_LOST_SHARE = 0.5
"""Where so much of a picture is black or white, it is too dark or too bright."""
SHARP_PX = 1.2
"""Blur of a picture that is as sharp as pictures of that camera become."""
BRIGHT_ENOUGH = 0.18
"""Light of a well exposed grey surface."""
_SMEARED_SHARE = 0.5
MISSED_PX = 2.0
"""A frame counts against a crack only where it would have shown one that is so many pixels wide."""

Kind = Literal[
    "0.1", "0.2", "0.3", "0.5", "1.0", "2.0", "unscaled", "far", "oblique", "blurred", "dark", "bright", "unknown"
]
"""How well a place was seen, best first. A number: cracks of so many millimetres and wider are found. ``unscaled``:
seen sharply, but without range or lens nobody knows how many millimetres a pixel is. ``far``, ``oblique``, ``blurred``,
``dark``, ``bright``: not even 2 mm, and why. ``unknown``: nothing in the picture tells how sharp it is."""
CLASSES: tuple[Kind, ...] = get_args(Kind)
WIDTHS_MM = tuple(float(kind) for kind in CLASSES[:6])
UNSEEN = len(CLASSES)
Hint = Literal["closer", "slower", "more light"]

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one frame was able to show."""

    kind: Kind
    """For the corner of the picture that is seen worst."""
    looks: Sharpness
    narrowest_px: float | None
    """Narrowest crack that is found with PROBABILITY, pixels; None where the sharpness is unknown."""
    narrowest_mm: float | None
    """The same on the surface, in the corner that is seen worst; None also without a scale."""
    gsd_mm_px: float | None
    """Millimetres per pixel in the middle, the longer way of a tilted pixel."""
    incidence_deg: float | None
    """Angle between axis and surface normal; None where the surface's orientation is not known."""
    smear_px: float | None
    """How far the middle of the picture moved during the exposure; None without exposure time or two frames beside each
    other."""
    footprint_m: Points | None
    """Corners on the surface from the top left clockwise (4, 3), metres in ``frame``."""
    frame: str | None
    why: str | None
    """Why ``narrowest_mm`` is None or the place is unknown; None where both are known."""

    def hint(self, finest_mm: float) -> Hint | None:
        """What the pilot can do to see cracks of ``finest_mm``; None where they are seen, or nothing can be said."""
        if self.kind == "dark":
            return "more light"
        if self.narrowest_px is None or self.looks.blur_px is None:
            return None
        if self.narrowest_mm is not None and self.narrowest_mm <= finest_mm:
            return None
        if self.narrowest_mm is None and self.kind != "blurred":
            return None
        if _smeared(self):
            return "slower"
        lit = narrowest_px(self.looks.blur_px, BRIGHT_ENOUGH) / self.narrowest_px
        if self.narrowest_mm is not None and lit * self.narrowest_mm <= finest_mm:
            return "more light"
        return "closer" if self.narrowest_mm is not None else "slower"


def look(looks: Sharpness, view: View, smear_px: float | None, size: tuple[int, int], *, facing: bool) -> Seen:
    """Judge one frame of ``size`` (height, width); ``facing``: the surface's tilt is not known."""
    height, width = size
    corners = frame_corners(size)
    footprint = view.on_surface(corners)
    plane = view.plane
    narrow_px = None if looks.blur_px is None else narrowest_px(looks.blur_px, looks.light)
    gsd = worst = None
    if plane is not None:
        middle = np.array([[(width - 1) / 2, (height - 1) / 2]])
        sizes = _gsd_mm(view, np.concatenate([middle, corners]))
        if sizes is not None:
            gsd, worst = sizes[0], max(sizes[1:])
        elif (alone := _gsd_mm(view, middle)) is not None:  # a corner looks past the surface
            gsd = alone[0]
    narrowest_mm = None if narrow_px is None or worst is None else narrow_px * worst
    why = "nothing in the picture tells how sharp it is" if narrow_px is None else view.why_no_plane or view.why
    kind = _kind(looks, view, narrow_px, narrowest_mm, worst)
    lost = kind in ("dark", "bright")
    return Seen(
        kind=kind,
        looks=looks,
        narrowest_px=None if lost else narrow_px,
        narrowest_mm=None if lost else narrowest_mm,
        gsd_mm_px=gsd,
        incidence_deg=None if plane is None or facing else plane.incidence_deg,
        smear_px=smear_px,
        footprint_m=footprint,
        frame=None if footprint is None or view.frame is None else view.frame.name,
        why=f"the picture is too {kind}" if lost else why,
    )


def shows_cracks(looks: Sharpness) -> bool:
    """Whether a crack that the picture does not show is missing, and not hidden by blur or by too little light.

    False also where nothing in the picture tells how sharp it is: a smooth wall and a lens cap look alike.
    """
    if _lost(looks) is not None or looks.blur_px is None:
        return False
    return narrowest_px(looks.blur_px, looks.light) <= MISSED_PX


def _lost(looks: Sharpness) -> Kind | None:
    """Why the picture shows nothing; None where it may show something."""
    if looks.light < DARK_LIGHT or looks.dark_share > _LOST_SHARE:
        return "dark"
    return "bright" if looks.bright_share > _LOST_SHARE else None


def _kind(
    looks: Sharpness, view: View, narrow_px: float | None, narrowest_mm: float | None, worst_mm: float | None
) -> Kind:
    lost = _lost(looks)
    if lost is not None:
        return lost
    if narrow_px is None or looks.blur_px is None:
        return "unknown"
    if view.why_no_plane == OBLIQUE:
        return "oblique"
    sharp_px = narrowest_px(min(looks.blur_px, SHARP_PX), looks.light)
    if narrowest_mm is None or worst_mm is None:
        return "unscaled" if narrow_px <= 2 * sharp_px else "blurred"
    for kind, width_mm in zip(CLASSES, WIDTHS_MM, strict=False):
        if narrowest_mm <= width_mm:
            return kind
    return "blurred" if sharp_px * worst_mm <= WIDTHS_MM[-1] else "far"


def narrowest_px(blur_px: float, light: float) -> float:
    """Width in pixels that is found with PROBABILITY, at a blur and a light as ``Sharpness`` has them."""
    needed = math.log(PROBABILITY / (1 - PROBABILITY))
    rest = INTERCEPT + BLUR * math.log(max(blur_px, _LEAST_BLUR_PX)) + LIGHT * math.log(light + LIGHT_OFFSET)
    return math.exp((needed - rest) / WIDTH)


def _gsd_mm(view: View, pixels: Points) -> list[float] | None:
    """The longer way of each of ``pixels`` (N, 2) on the surface, millimetres; None where a ray misses."""
    assert view.plane is not None
    steps = np.concatenate([pixels, pixels + np.array([1.0, 0.0]), pixels + np.array([0.0, 1.0])])
    cut = view.plane.cut(steps)
    if cut is None:
        return None
    here, right, down = (1000 * cut).reshape(3, -1, 3)
    right, down = right - here, down - here
    # The longer half-axis of the ellipse that a pixel becomes: the larger singular value of both steps, the root of
    # the larger eigenvalue of their 2x2 matrix of products.
    along, across, between = (right * right).sum(axis=1), (down * down).sum(axis=1), (right * down).sum(axis=1)
    largest: list[float] = np.sqrt((along + across) / 2 + np.hypot((along - across) / 2, between)).tolist()
    return largest


def _smeared(seen: Seen) -> bool:
    """Whether motion makes up most of the blur: a smear of m pixels has the deviation m / sqrt(12)."""
    if seen.smear_px is None or seen.looks.blur_px is None:
        return False
    return seen.smear_px / math.sqrt(12) >= _SMEARED_SHARE * seen.looks.blur_px
