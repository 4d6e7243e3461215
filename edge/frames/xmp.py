"""XMP of drones' photographs: where the camera stood and looked, as each maker writes it.

Packets are read as text, not as XML: some makers' are not well formed, and a parser would follow what a hostile one
asks for. Only ``prefix:Name="value"`` and ``<prefix:Name>value</prefix:Name>`` count; a value that is no plain number
with a decimal point counts as not said, and is named in ``doubts``.

Whose words mean what: DJI's and Autel's gimbal angles are the camera's, against the horizon and true north (pitch -90
looks down); Skydio's CameraOrientationNED and Parrot's Camera*Degree are the same. In the older ``Camera:`` tags
(Pix4D, old Autel) pitch 0 looks down and 90 ahead; makers disagree whether they mean the camera or the aircraft, so
they are believed of Autel alone.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from edge.frames.exif import Reader
from edge.support.angles import past_straight_down

_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
_MAX_SEGMENTS = 10_000
_MAX_BYTES = 65_536
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?|[+-]?\.\d+", re.ASCII)


def packet_in(read: Reader) -> str:
    """The XMP packet of a JPEG as text; empty when there is none."""
    if read(0, 2) != b"\xff\xd8":
        return ""
    at = 2
    for _ in range(_MAX_SEGMENTS):
        head = read(at, 4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xD9, 0xDA):
            return ""
        size = int.from_bytes(head[2:4], "big")
        if head[1] == 0xFF:  # fill byte
            at += 1
            continue
        if size < 2:
            return ""
        if head[1] == 0xE1 and read(at + 4, len(_HEAD)) == _HEAD:
            return read(at + 4 + len(_HEAD), min(size - 2 - len(_HEAD), _MAX_BYTES)).decode("utf-8", "replace")
        at += 2 + size
    return ""


@dataclass(slots=True)
class Packet:
    """The values of one XMP packet, asked by name; remembers what made no sense."""

    text: str
    doubts: list[str] = field(default_factory=list)

    def word(self, *names: str) -> str | None:
        """The first of ``names`` (as ``drone-dji:RtkFlag``) that is there."""
        for name in names:
            found = re.search(rf'(?<![\w:-]){re.escape(name)}\s*=\s*(?:"([^"<]*)"|\'([^\'<]*)\')', self.text)
            found = found or re.search(rf"<{re.escape(name)}(?:\s[^>]*)?>([^<]*)</", self.text)
            if found is not None:
                return next(group for group in found.groups() if group is not None).strip()
        return None

    def number(self, low: float, high: float, *names: str) -> float | None:
        """The first of ``names`` that is there, as a number within bounds."""
        word = self.word(*names)
        if word is None:
            return None
        value = float(word) if _NUMBER.fullmatch(word) else math.nan
        if low <= value <= high:
            return value
        hint = "; decimals are written with a point" if "," in word else ""
        self.doubts.append(f"{names[0]} is {word[:24]!r}, not a number from {low:g} to {high:g}{hint}")
        return None

    def within(self, name: str) -> Packet:
        """What stands inside the element ``name``, attributes and children, as a packet of its own."""
        found = re.search(rf"<{re.escape(name)}\b(.*?)(?:/>|</{re.escape(name)}>)", self.text, re.DOTALL)
        return Packet(found[1] if found is not None else "", self.doubts)


@dataclass(frozen=True, slots=True)
class Stated:
    """What a maker's XMP says; None is what it does not say."""

    lat_deg: float | None = None
    lon_deg: float | None = None
    alt_m: float | None = None
    ellipsoid: bool = False
    """True: ``alt_m`` is taken to be above the WGS 84 ellipsoid (see ``_solution``); False: above mean sea level, as
    makers claim."""
    rtk: str | None = None
    """``fixed``, ``float`` or ``single``."""
    sigma_m: tuple[float, float, float] | None = None
    """Standard deviations of latitude, longitude and height by the RTK receiver."""
    angles_deg: tuple[float, float, float] | None = None
    """Roll, pitch, yaw of the camera."""
    range_m: float | None = None
    """By the laser rangefinder."""
    focal_px: float | None = None
    """By the maker's calibration, at the full size of the sensor."""
    full_width_px: float | None = None
    """That full size, as far as the principal point tells it."""


def interpret(packet: Packet, make: str) -> Stated:
    """What ``packet`` says of the pose; ``make`` as in EXIF."""
    for prefix in ("drone-dji", "drone"):
        if packet.word(f"{prefix}:GimbalYawDegree", f"{prefix}:GpsLatitude", f"{prefix}:AbsoluteAltitude") is not None:
            return _dji(packet, prefix)
    if packet.word("drone-skydio:Latitude", "drone-skydio:AbsoluteAltitude") is not None:
        return _skydio(packet)
    if packet.word("drone-parrot:CameraYawDegree") is not None:
        return Stated(angles_deg=_angles(packet, "drone-parrot:Camera{}Degree"))
    if packet.word("Camera:Yaw") is not None and ("autel" in make.lower() or make.lower() == "spanhawk"):
        return Stated(angles_deg=_from_nadir(packet))
    return Stated()


def _dji(packet: Packet, prefix: str) -> Stated:
    """DJI, and Autel since it writes the same names (spelling mistake of the longitude included)."""
    rtk = _solution(packet.word(f"{prefix}:RtkFlag"))
    height = (packet.word(f"{prefix}:AltitudeType") or "").lower()
    deviations = [packet.number(0, 1e4, f"{prefix}:RtkStd{axis}") for axis in ("Lat", "Lon", "Hgt")]
    known = [value for value in deviations if value is not None and value > 0]
    centre = packet.number(1, 1e5, f"{prefix}:CalibratedOpticalCenterX")
    reversed_ = packet.word(f"{prefix}:CamReverse") == "1" or packet.word(f"{prefix}:GimbalReverse") == "1"
    angles = _angles(packet, prefix + ":Gimbal{}Degree")
    if reversed_ and angles is not None:
        packet.doubts.append("the camera is mounted upside down (CamReverse), so its angles are not used")
        angles = None
    return Stated(
        lat_deg=packet.number(-90, 90, f"{prefix}:GpsLatitude"),
        lon_deg=packet.number(-180, 180, f"{prefix}:GpsLongitude", f"{prefix}:GpsLongtitude"),
        alt_m=packet.number(-1000, 20000, f"{prefix}:AbsoluteAltitude"),
        ellipsoid=rtk is not None and height in ("", "rtkalt"),
        rtk=rtk,
        sigma_m=(known[0], known[1], known[2]) if len(known) == 3 and rtk in ("fixed", "float") else None,
        angles_deg=angles,
        range_m=_laser(packet, prefix),
        focal_px=packet.number(1, 1e6, f"{prefix}:CalibratedFocalLength"),
        full_width_px=None if centre is None else 2 * centre,
    )


def _solution(flag: str | None) -> str | None:
    """Of RtkFlag; None: no solution, or no RTK.

    By DJI's manuals of the Mavic 3E and 3M and the Matrice 4: 0 failed, 16 single point, 32 to 49 float, 50 fixed; the
    Zenmuse P1's has 34 alone for float. The rest is assumed, from what users of such drones write in public, and no
    manual confirms it: that AbsoluteAltitude is above the ellipsoid with a solution and only then, that a Phantom 4 RTK
    writes no AltitudeType beside it, and that drones without RTK write RtkAlt with heights above the sea.
    """
    number = int(flag) if flag is not None and re.fullmatch(r"\d{1,3}", flag, re.ASCII) else 0
    if number == 16:
        return "single"
    return "fixed" if number == 50 else "float" if 32 <= number <= 49 else None


def _laser(packet: Packet, prefix: str) -> float | None:
    status = packet.word(f"{prefix}:LRFStatus")
    if status is not None and status.lower() != "normal":
        return None
    return packet.number(1e-3, 10_000, f"{prefix}:LRFTargetDistance") if status is not None else None


def _skydio(packet: Packet) -> Stated:
    turn = packet.within("drone-skydio:CameraOrientationNED")
    return Stated(
        lat_deg=packet.number(-90, 90, "drone-skydio:Latitude"),
        lon_deg=packet.number(-180, 180, "drone-skydio:Longitude"),
        alt_m=packet.number(-1000, 20000, "drone-skydio:AbsoluteAltitude"),
        angles_deg=_angles(turn, "drone-skydio:{}"),
    )


def _angles(packet: Packet, pattern: str) -> tuple[float, float, float] | None:
    """Roll, pitch, yaw; None where one is missing, or the gimbal says that the picture is upside down."""
    roll, pitch, yaw = (
        packet.number(-bound, bound, pattern.format(name))
        for name, bound in (("Roll", 180), ("Pitch", 180), ("Yaw", 360))
    )
    if roll is None or pitch is None or yaw is None:
        return None
    doubt = past_straight_down(roll, pitch)
    if doubt is not None:
        packet.doubts.append(doubt)
        return None
    return roll, pitch, yaw


def _from_nadir(packet: Packet) -> tuple[float, float, float] | None:
    roll, pitch, yaw = (packet.number(-360, 360, f"Camera:{name}") for name in ("Roll", "Pitch", "Yaw"))
    if roll is None or pitch is None or yaw is None:
        return None
    if not 0 <= pitch <= 180 or abs(roll) > 90:
        packet.doubts.append(f"Camera:Pitch is {pitch:g}, which should be 0 (straight down) to 180")
        return None
    return roll, pitch - 90, yaw
