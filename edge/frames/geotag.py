"""The pose that a photograph itself states, from its EXIF GPS tags and its maker's XMP."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path

from edge.frames import PicturePose, heic
from edge.frames.exif import EXIF_IFD, GPS_IFD, Tiff, reader, taken_local, tiff_in
from edge.frames.xmp import Packet, Stated, interpret, packet_in

_MAKE, _MODEL, _ORIENTATION = 0x010F, 0x0110, 0x0112
# EXIF orientations that turn: stored left up (6) is a camera that was held with its left side up.
_TURNED = {1: 0, 3: 180, 6: -90, 8: 90}
_LAT_REF, _LAT, _LON_REF, _LON, _ALT_REF, _ALT, _STATUS, _H_ERROR = 1, 2, 3, 4, 5, 6, 9, 0x1F
_FOCAL_MM, _FOCAL_35_MM, _ZOOM = 0x920A, 0xA405, 0xA404
_DIAGONAL_35_MM = math.hypot(36, 24)
_SENSOR_SHAPES = (4 / 3, 3 / 2, 5 / 4)  # the last: thermal and machine cameras
_SAME_SHAPE = 0.02
_CUT_OUT_SHAPE, _LIKE_CUT_OUT = 16 / 9, 0.15  # 16:10, 17:9 and 2:1 are like it; squares and panoramas are not
_GUESSED = 0.05  # a 3:2 sensor is 4 % off the guess, one that is natively 16:9 8 %
# A picture made smaller keeps its tags: its maker's calibration is believed for the sensor's own size only.
_SAME_SIZE = 0.1


def read_pose(path: Path, width_px: int, height_px: int) -> PicturePose | None:
    """What the picture at ``path``, decoded to that size, says of its pose; None where it says nothing of any place.

    A file that cannot be read says nothing: the decoder, which read it before, has said so.
    """
    try:
        with path.open("rb") as file:
            if heic.is_one(file.read(12)):
                file.seek(0)
                tiff, packet = tiff_in(io.BytesIO(heic.exif_of(file.read()))), Packet("")
            else:
                tiff, packet = tiff_in(file), Packet(packet_in(reader(file)))
            return _pose(tiff, packet, width_px, height_px)
    except OSError:
        return None


def has_unread_xmp(path: Path) -> bool:
    """Whether the picture at ``path`` is no JPEG and holds an XMP packet, as far as that is stored plainly."""
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return not data.startswith(b"\xff\xd8") and b"<x:xmpmeta" in data


def _pose(tiff: Tiff | None, packet: Packet, width_px: int, height_px: int) -> PicturePose | None:
    main = tiff.main if tiff is not None else {}
    make, model = (tiff.text(main, tag) for tag in (_MAKE, _MODEL)) if tiff is not None else ("", "")
    stated = interpret(packet, make)
    lat, lon, alt, above_ellipsoid, h_error = _gps(tiff, packet)
    doubts = packet.doubts
    if stated.lat_deg is not None and stated.lon_deg is not None:  # finer than EXIF's fractions, and RTK's
        lat, lon = stated.lat_deg, stated.lon_deg
        alt, above_ellipsoid = (stated.alt_m, stated.ellipsoid) if stated.alt_m is not None else (alt, above_ellipsoid)
    if lat is not None and lon is not None and abs(lat) < 1e-4 and abs(lon) < 1e-4:
        doubts.append("its position is 0, 0, which is what a receiver without a fix reports")
        lat = lon = None
    turned = _TURNED.get((tiff.number(main, _ORIENTATION) if tiff is not None else None) or 1)
    if turned is None and stated.angles_deg is not None:
        doubts.append("it is stored mirrored (EXIF orientation), so its angles are not used")
        stated = replace(stated, angles_deg=None)
    focal_mm, zoom, focal_35_mm = _focal(tiff)
    by_picture = make.lower() == "spanhawk"
    focal_px, guessed = _focal_px(stated, zoom, focal_35_mm, width_px, height_px, by_picture=by_picture)
    pose = PicturePose(
        lat_deg=lat,
        lon_deg=lon,
        alt_amsl_m=None if above_ellipsoid or lat is None else alt,
        alt_ellipsoid_m=alt if above_ellipsoid and lat is not None else None,
        rtk=stated.rtk,
        h_accuracy_m=max(stated.sigma_m[:2]) if stated.sigma_m is not None else h_error,
        v_accuracy_m=stated.sigma_m[2] if stated.sigma_m is not None else None,
        angles_deg=stated.angles_deg,
        turned_deg=turned or 0,
        range_m=stated.range_m,
        focal_px=focal_px,
        camera=f"{make} {model} {focal_mm:g} mm".strip() if focal_mm is not None else f"{make} {model}".strip(),
        taken_local=taken_local(tiff),
        doubts=tuple(doubts),
        focal_uncertainty=guessed,
    )
    said = (pose.lat_deg, pose.angles_deg, pose.range_m, pose.focal_px)
    return pose if any(value is not None for value in said) or doubts else None


def _gps(tiff: Tiff | None, packet: Packet) -> tuple[float | None, float | None, float | None, bool, float | None]:
    """Latitude, longitude, height, whether that is above the ellipsoid, horizontal error: of the EXIF GPS tags."""
    if tiff is None:
        return None, None, None, False, None
    gps = tiff.directory(tiff.number(tiff.main, GPS_IFD))
    if tiff.text(gps, _STATUS).upper() == "V":
        packet.doubts.append("its receiver had no fix (GPSStatus V)")
        return None, None, None, False, None
    lat = _degrees(tiff.ratios(gps, _LAT), tiff.text(gps, _LAT_REF), "N", "S", 90)
    lon = _degrees(tiff.ratios(gps, _LON), tiff.text(gps, _LON_REF), "E", "W", 180)
    if lat is None or lon is None:
        lat = lon = None
    heights, reference = tiff.ratios(gps, _ALT), tiff.byte(gps, _ALT_REF) or 0
    # Exif 3.0: 0 and 1 are above and below the sea, 2 and 3 above and below the ellipsoid.
    alt = None if len(heights) != 1 else -heights[0] if reference % 2 else heights[0]
    errors = tiff.ratios(gps, _H_ERROR)
    h_error = errors[0] if len(errors) == 1 and 0 < errors[0] < 1e5 else None
    return lat, lon, alt, reference >= 2, h_error


def _degrees(parts: list[float], reference: str, positive: str, negative: str, most: float) -> float | None:
    if len(parts) != 3 or reference.upper() not in (positive, negative) or parts[1] >= 60 or parts[2] >= 60:
        return None
    degrees = parts[0] + parts[1] / 60 + parts[2] / 3600
    if degrees > most:
        return None
    return degrees if reference.upper() == positive else -degrees


def _focal(tiff: Tiff | None) -> tuple[float | None, float, float | None]:
    """Focal length in mm, digital zoom (1: none), and focal length of the same view on 35 mm film."""
    if tiff is None:
        return None, 1.0, None
    exif = tiff.directory(tiff.number(tiff.main, EXIF_IFD))
    focal, zoom, same = tiff.ratios(exif, _FOCAL_MM), tiff.ratios(exif, _ZOOM), tiff.number(exif, _FOCAL_35_MM)
    focal_mm = focal[0] if len(focal) == 1 and focal[0] > 0 else None
    return focal_mm, zoom[0] if len(zoom) == 1 and zoom[0] > 0 else 1.0, same if same is not None and same > 0 else None


def _focal_px(
    stated: Stated, zoom: float, focal_35_mm: float | None, width_px: int, height_px: int, *, by_picture: bool
) -> tuple[float | None, float | None]:
    """In pixels of the decoded picture, and its relative uncertainty where it is a guess.

    The maker's calibration comes first, then EXIF's length for 35 mm film. That is defined by the diagonal (CIPA
    DCG-001) and rounded to a millimetre: good to some 2 % where the picture is the whole sensor. Makers disagree
    whether it contains a digital zoom, so with one nothing is said.

    A picture of about 16:9 is assumed to be cut out of a 4:3 sensor that just holds it, as drones and phones have, and
    the tag to be that of the whole sensor: by the picture's own diagonal the focal length would be 8 % too short then.
    No maker's document was found to say so, so it is called a guess. Of shapes far from that (squares, panoramas)
    nobody can tell what they were cut out of or put together from: they have no focal length by this. ``by_picture``:
    whoever wrote the tag went by the picture's diagonal, as we do.
    """
    if abs(zoom - 1) > 1e-3:
        return None, None
    longer, shorter = max(width_px, height_px), min(width_px, height_px)
    if stated.focal_px is not None and stated.full_width_px is not None:
        if abs(stated.full_width_px / longer - 1) <= _SAME_SIZE:
            return stated.focal_px, None
        return stated.focal_px * longer / stated.full_width_px, None
    if focal_35_mm is None:
        return None, None
    if by_picture or any(abs(longer / shorter / shape - 1) <= _SAME_SHAPE for shape in _SENSOR_SHAPES):
        return focal_35_mm / _DIAGONAL_35_MM * math.hypot(longer, shorter), None
    if abs(longer / shorter / _CUT_OUT_SHAPE - 1) > _LIKE_CUT_OUT:
        return None, None
    return focal_35_mm / _DIAGONAL_35_MM * math.hypot(4, 3) * longer / 4, _GUESSED
