"""Scenes for places whose truth shares nothing with the package: what a camera sees, and what its sensors would tell.

The truth has its own pinhole with its own distortion, its camera is three vectors built from azimuth, elevation and
bank, surfaces are a point and a normal, and earth-centred metres come from the textbook formula.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge.navigation import Attitude, Fix, FixKind, NavState
from edge.surface import Place
from edge.surface.lens import Lens
from edge.surface.local import PlaceOptions
from edge.surface.place import Surveyor
from edge.surface.scale import ScaleOptions

W, H, F = 1920, 1080, 1500.0
CX, CY = 970.0, 530.0
# 10 % at the corner: r = 0.73 focal lengths.
K1, K2, P1, P2, K3 = -0.22, 0.06, 0.0006, -0.0004, 0.0
CHI2_2 = 6.180  # what holds 95.45 % of two normal variables, as 2 sigma do of one


class Camera:
    """East, north, up vectors of a camera that looks along azimuth (from north) and elevation, banked to the right."""

    def __init__(self, place: np.ndarray, azimuth_deg: float, elevation_deg: float, bank_deg: float) -> None:
        az, el, bank = np.radians([azimuth_deg, elevation_deg, bank_deg])
        self.place = place
        self.ahead = np.array([math.cos(el) * math.sin(az), math.cos(el) * math.cos(az), math.sin(el)])
        level = np.array([math.cos(az), -math.sin(az), 0.0])
        up = np.cross(level, self.ahead)
        self.right = level * math.cos(bank) - up * math.sin(bank)
        self.down = -(up * math.cos(bank) + level * math.sin(bank))

    def pixel(self, point: np.ndarray) -> np.ndarray:
        way = point - self.place
        x, y = way @ self.right / (way @ self.ahead), way @ self.down / (way @ self.ahead)
        r2 = x * x + y * y
        radial = 1 + K1 * r2 + K2 * r2**2 + K3 * r2**3
        bent_x = x * radial + 2 * P1 * x * y + P2 * (r2 + 2 * x * x)
        bent_y = y * radial + P1 * (r2 + 2 * y * y) + 2 * P2 * x * y
        return np.array([CX + F * bent_x, CY + F * bent_y])

    def turned(self, axis: np.ndarray, angle: float) -> None:
        """Turn by a small angle about an axis (Rodrigues)."""
        for name in ("ahead", "right", "down"):
            v = getattr(self, name)
            rotated = (
                v * math.cos(angle) + np.cross(axis, v) * math.sin(angle) + axis * (axis @ v) * (1 - math.cos(angle))
            )
            setattr(self, name, rotated)

    def angles(self) -> Attitude:
        """Bank, elevation, azimuth read off the vectors."""
        azimuth = math.degrees(math.atan2(self.ahead[0], self.ahead[1]))
        elevation = math.degrees(math.asin(np.clip(self.ahead[2], -1, 1)))
        az = math.radians(azimuth)
        level = np.array([math.cos(az), -math.sin(az), 0.0])
        bank = math.degrees(math.atan2(-self.right @ np.cross(level, self.ahead), self.right @ level))
        return Attitude(bank, elevation, azimuth)


def ecef(lat_deg: float, lon_deg: float, h: float) -> np.ndarray:
    lat, lon = np.radians([lat_deg, lon_deg])
    a, b = 6378137.0, 6356752.314245179
    n = a * a / math.sqrt((a * math.cos(lat)) ** 2 + (b * math.sin(lat)) ** 2)
    return np.array(
        [
            (n + h) * math.cos(lat) * math.cos(lon),
            (n + h) * math.cos(lat) * math.sin(lon),
            (b * b / a / a * n + h) * math.sin(lat),
        ]
    )


def enu_vectors(lat_deg: float, lon_deg: float) -> np.ndarray:
    """Rows east, north, up: the directions in which small steps of longitude, latitude and height lead."""
    step = 1e-6
    here = ecef(lat_deg, lon_deg, 0)
    rows = [
        ecef(lat_deg, lon_deg + step, 0) - here,
        ecef(lat_deg + step, lon_deg, 0) - here,
        ecef(lat_deg, lon_deg, 1) - here,
    ]
    return np.array([row / np.linalg.norm(row) for row in rows])


@dataclass
class Scene:
    camera: Camera
    target: np.ndarray
    pixel: np.ndarray
    range_m: float
    normal: np.ndarray


LAT, LON, HEIGHT = 51.0536, 3.7203, 62.4
SURFACES = ("wall", "soffit", "deck", "facing")


def scene(rng: np.random.Generator, surface: str, tilt_deg: float = 0.0) -> Scene:
    """A camera 1.5 to 8 m before a surface, off its normal by up to 40 degrees, and a point that it sees.

    ``tilt_deg``: how far the real surface is turned against what the operator says of it (one sigma about each axis).
    """
    while True:
        azimuth, distance = rng.uniform(0, 360), rng.uniform(1.5, 8)
        off = rng.uniform(-40, 40) if surface != "facing" else 0.0
        elevation = {"wall": rng.uniform(-35, 35), "soffit": 90 - abs(off), "deck": -90 + abs(off), "facing": off}[
            surface
        ]
        camera = Camera(np.zeros(3), azimuth, min(elevation, 89.9), rng.uniform(-8, 8))
        wall = math.radians(azimuth + 180 + (rng.uniform(-30, 30) if surface == "wall" else 0))
        normal = {
            "wall": np.array([math.sin(wall), math.cos(wall), 0.0]),
            "soffit": np.array([0.0, 0.0, -1.0]),
            "deck": np.array([0.0, 0.0, 1.0]),
            "facing": -camera.ahead,
        }[surface]
        said = normal
        if tilt_deg:
            helper = np.array([1.0, 0, 0]) if abs(normal[0]) < 0.9 else np.array([0, 1.0, 0])
            first = np.cross(normal, helper)
            first /= np.linalg.norm(first)
            slants = np.tan(np.radians(rng.normal(0, tilt_deg, 2)))
            normal = normal + slants[0] * first + slants[1] * np.cross(normal, first)
            normal /= np.linalg.norm(normal)
        foot = camera.ahead * distance
        along = np.cross(normal, rng.normal(size=3))
        target = foot + along / np.linalg.norm(along) * rng.uniform(0, 0.5) * distance
        if (target @ camera.ahead) < 0.3 * distance:
            continue
        pixel = camera.pixel(target)
        if 0 <= pixel[0] < W and 0 <= pixel[1] < H:
            return Scene(camera, target, pixel, distance, said)


def lens_card(distorted: bool = True, uncertainty: float = 0.0) -> Lens:
    bent = (K1, K2, P1, P2, K3) if distorted else (0.0,) * 5
    return Lens(
        name="truth", width_px=W, height_px=H, fx_px=F, fy_px=F, cx_px=CX, cy_px=CY,
        distortion=bent, focal_uncertainty=uncertainty, origin="the benchmark",
    )  # fmt: skip


def surveyor(surface: str, lens: Lens, normal: np.ndarray, place: PlaceOptions, **scale: float) -> Surveyor:
    words = {"wall": "vertical", "soffit": "horizontal", "deck": "horizontal", "facing": "facing"}
    heading = math.degrees(math.atan2(normal[0], normal[1])) if surface == "wall" else None
    options = ScaleOptions(surface=words[surface], wall_normal_deg=heading, **scale)  # type: ignore[arg-type]  # words, by name
    made = Surveyor(options, place)
    made._card = lens  # the card as an object: a file of it would round
    return made


def state(camera: Camera, fix_enu: np.ndarray, range_m: float, h_m: float, v_m: float) -> NavState:
    """A fix ``fix_enu`` metres from the scene's own origin, through earth-centred metres."""
    there = ecef(LAT, LON, HEIGHT) + fix_enu @ enu_vectors(LAT, LON)
    lat_deg, lon_deg, height = search(there)
    fix = Fix(FixKind.RTK_FIXED, lat_deg, lon_deg, None, h_m, v_m, 0, height)
    return NavState(0, fix, camera.angles(), range_m)


def search(point: np.ndarray) -> tuple[float, float, float]:
    """Geodetic from earth-centred metres by Newton's method on the forward formula."""
    guess = np.array([LAT, LON, HEIGHT])
    for _ in range(6):
        miss = point - ecef(*guess)
        east, north, up = enu_vectors(guess[0], guess[1]) @ miss
        guess += [math.degrees(north / 6.37e6), math.degrees(east / 6.37e6 / math.cos(math.radians(guess[0]))), up]
    return float(guess[0]), float(guess[1]), float(guess[2])


def wgs84_miss(place: Place, truth_enu: np.ndarray) -> float:
    """Metres between the published geometry and the truth, both in earth-centred metres."""
    assert place.lat_deg is not None
    assert place.lon_deg is not None
    assert place.alt_ellipsoid_m is not None
    truth = ecef(LAT, LON, HEIGHT) + truth_enu @ enu_vectors(LAT, LON)
    return float(np.linalg.norm(ecef(place.lat_deg, place.lon_deg, place.alt_ellipsoid_m) - truth))
