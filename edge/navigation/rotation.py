"""Rotations between the vehicle, the camera and north-east-down.

Euler angles are 3-2-1 (yaw, then pitch, then roll) and quaternions are (w, x, y, z), as in
J. Diebel, "Representing Attitude" (2006). A camera's own axes are: x along the optical axis,
y to the image's right, z to the image's bottom.
"""

from __future__ import annotations

import math

from edge.navigation import Attitude

Quaternion = tuple[float, float, float, float]
Vector = tuple[float, float, float]

# sin(pitch) closer to one than this is straight up or down: roll and yaw turn about the same axis there.
_LOCKED_SINE = 1.0 - 1e-10
# Steeper than this, roll and yaw swing wildly for small motions, so angles cannot be interpolated one by one.
STEEP_DEG = 75.0
_PARALLEL = 0.9995


def wrap_deg(angle_deg: float) -> float:
    """The same direction in [-180, 180) degrees."""
    return (angle_deg + 180.0) % 360.0 - 180.0


def compass_deg(angle_deg: float) -> float:
    """The same direction in [0, 360) degrees."""
    turned = angle_deg % 360.0
    return 0.0 if turned == 360.0 else turned  # a tiny negative angle rounds up to a full turn


def quaternion(attitude: Attitude) -> Quaternion:
    """The rotation that takes camera (or vehicle) axes to north-east-down."""
    half = [math.radians(angle) / 2 for angle in (attitude.roll_deg, attitude.pitch_deg, attitude.yaw_deg)]
    (cr, cp, cy), (sr, sp, sy) = [math.cos(a) for a in half], [math.sin(a) for a in half]
    return (
        cr * cp * cy + sr * sp * sy,
        sr * cp * cy - cr * sp * sy,
        cr * sp * cy + sr * cp * sy,
        cr * cp * sy - sr * sp * cy,
    )


def euler(q: Quaternion) -> Attitude:
    """The 3-2-1 angles of a unit quaternion: roll [-180, 180), pitch [-90, 90], yaw [0, 360).

    Straight up or down, where only the sum (or difference) of roll and yaw means anything, roll is 0
    and yaw is where the image's top points (looking down) or its bottom (looking up).
    """
    w, x, y, z = q
    sine = max(-1.0, min(1.0, 2 * (w * y - z * x)))
    if abs(sine) > _LOCKED_SINE:
        yaw = math.atan2(2 * (w * z - x * y), 1 - 2 * (x * x + z * z))
        return Attitude(0.0, math.copysign(90.0, sine), compass_deg(math.degrees(yaw)))
    roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return Attitude(wrap_deg(math.degrees(roll)), math.degrees(math.asin(sine)), compass_deg(math.degrees(yaw)))


def product(a: Quaternion, b: Quaternion) -> Quaternion:
    """``b`` first, then ``a``."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def matrix(q: Quaternion) -> tuple[Vector, Vector, Vector]:
    """The rows of the rotation matrix of a unit quaternion: north, east, down of the camera's (vehicle's) own axes."""
    w, x, y, z = q
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )


def inverse(q: Quaternion) -> Quaternion:
    """The rotation that leads back."""
    return (q[0], -q[1], -q[2], -q[3])


def compose(vehicle: Attitude, mount: Quaternion) -> Attitude:
    """The camera's attitude, given the vehicle's and how the camera is bolted to it.

    ``mount`` is the quaternion of the camera's angles in the vehicle's own axes (x forward, y right, z down):
    pitch -90 is a camera that looks out of the belly with the image's top towards the nose.
    """
    return euler(product(quaternion(vehicle), mount))


def optical_axis(attitude: Attitude) -> Vector:
    """Unit vector along the optical axis: north, east, down (or forward, right, down of the vehicle)."""
    pitch, yaw = math.radians(attitude.pitch_deg), math.radians(attitude.yaw_deg)
    return (math.cos(pitch) * math.cos(yaw), math.cos(pitch) * math.sin(yaw), -math.sin(pitch))


def canonical(attitude: Attitude) -> Attitude:
    """The same orientation with roll in [-180, 180), pitch in [-90, 90] and yaw in [0, 360)."""
    if abs(attitude.pitch_deg) > 90.0:
        return euler(quaternion(attitude))
    return Attitude(wrap_deg(attitude.roll_deg), attitude.pitch_deg, compass_deg(attitude.yaw_deg))


def slerp(a: Quaternion, b: Quaternion, share: float) -> Quaternion:
    """``share`` (0 to 1) of the way from ``a`` to ``b`` on the shortest arc (K. Shoemake, 1985)."""
    dot = sum(p * q for p, q in zip(a, b, strict=True))
    sign = -1.0 if dot < 0 else 1.0  # q and -q are the same rotation
    if abs(dot) > _PARALLEL:
        first, second = 1.0 - share, sign * share
    else:
        angle = math.acos(min(1.0, abs(dot)))
        first = math.sin((1.0 - share) * angle) / math.sin(angle)
        second = sign * math.sin(share * angle) / math.sin(angle)
    w, x, y, z = (first * p + second * q for p, q in zip(a, b, strict=True))
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    return (w / norm, x / norm, y / norm, z / norm)


def between(a: Attitude, b: Attitude, share: float) -> Attitude:
    """``share`` (0 to 1) of the way from ``a`` to ``b``.

    Roll, pitch and yaw each go their shortest way, as a stabilised camera turns: a pan at constant
    pitch stays at that pitch. With either end steeper than 75 degrees the whole rotation goes the
    shortest way instead (slerp), because roll and yaw mean little there.
    """
    if max(abs(a.pitch_deg), abs(b.pitch_deg)) > STEEP_DEG:
        return euler(slerp(quaternion(a), quaternion(b), share))
    return Attitude(
        wrap_deg(a.roll_deg + share * wrap_deg(b.roll_deg - a.roll_deg)),
        a.pitch_deg + share * (b.pitch_deg - a.pitch_deg),
        compass_deg(a.yaw_deg + share * wrap_deg(b.yaw_deg - a.yaw_deg)),
    )
