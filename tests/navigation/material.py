"""Logs and messages that the tests of this room are made of."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from functools import reduce
from operator import xor
from typing import Any

from pymavlink.dialects.v20 import common

from edge.navigation import Fix, FixKind

START_US = int(datetime(2026, 5, 4, 10, 0, 0, tzinfo=timezone.utc).timestamp() * 1e6)
HEADER = "t_s,lat_deg,lon_deg,alt_amsl_m,roll_deg,pitch_deg,yaw_deg,range_m,h_accuracy_m"


def fix(
    lat_deg: float = 48.0,
    lon_deg: float = 11.0,
    alt_m: float | None = 500.0,
    *,
    kind: FixKind = FixKind.FIX_3D,
    h_m: float | None = 1.0,
    v_m: float | None = 2.0,
) -> Fix:
    return Fix(kind, lat_deg, lon_deg, alt_m, h_m, v_m, 0)


def sentence(body: str) -> str:
    """An NMEA sentence with its checksum."""
    return f"${body}*{reduce(xor, body.encode()):02X}\r\n"


def gga(time: str, lat: str = "4800.0000", lon: str = "01100.0000", quality: str = "1", alt: str = "500.0") -> str:
    return sentence(f"GPGGA,{time},{lat},N,{lon},E,{quality},08,0.9,{alt},M,47.0,M,,")


def rmc(time: str, date: str = "040526", status: str = "A", lat: str = "4800.0000", lon: str = "01100.0000") -> str:
    mode = "A" if status == "A" else "N"
    return sentence(f"GPRMC,{time},{status},{lat},N,{lon},E,0.1,0.0,{date},,,{mode}")


class Autopilot:
    """Packs MAVLink messages as an autopilot (or anyone else) would."""

    def __init__(self, system: int = 1, component: int = 1, *, version_1: bool = False) -> None:
        self._mav = common.MAVLink(None, srcSystem=system, srcComponent=component)
        self._version_1 = version_1

    def pack(self, message: Any) -> bytes:
        data: bytes = message.pack(self._mav, force_mavlink1=self._version_1)
        self._mav.seq = (self._mav.seq + 1) % 256
        return data

    def heartbeat(self, *, kind: int = common.MAV_TYPE_QUADROTOR, autopilot: int = 3) -> bytes:
        return self.pack(common.MAVLink_heartbeat_message(kind, autopilot, 0, 0, 4, 3))

    def gps(
        self,
        *,
        fix_type: int = 3,
        lat_deg: float = 48.0,
        lon_deg: float = 11.0,
        h_acc_mm: int = 800,
        ellipsoid_mm: int = 0,
    ) -> bytes:
        place = (round(lat_deg * 1e7), round(lon_deg * 1e7), 500_000)
        accuracy = (ellipsoid_mm, h_acc_mm, 1500, 0, 0, 0)
        return self.pack(common.MAVLink_gps_raw_int_message(0, fix_type, *place, 90, 120, 0, 0, 12, *accuracy))

    def gps2(self, *, fix_type: int = 3, lat_deg: float = 48.0, lon_deg: float = 11.0) -> bytes:
        """The second receiver."""
        place = (round(lat_deg * 1e7), round(lon_deg * 1e7), 500_000)
        return self.pack(common.MAVLink_gps2_raw_message(0, fix_type, *place, 90, 120, 0, 0, 12, 0, 0))

    def place(self, boot_ms: int, lat_deg: float = 48.0, lon_deg: float = 11.0, alt_m: float = 501.5) -> bytes:
        place = (round(lat_deg * 1e7), round(lon_deg * 1e7), round(alt_m * 1e3), 20_000)
        return self.pack(common.MAVLink_global_position_int_message(boot_ms, *place, 0, 0, 0, 0))

    def attitude(self, boot_ms: int, roll: float = 0.0, pitch: float = 0.0, yaw: float = 0.0) -> bytes:
        return self.pack(common.MAVLink_attitude_message(boot_ms, roll, pitch, yaw, 0, 0, 0))

    def distance(
        self, boot_ms: int, cm: int = 420, *, orientation: int = 0, id: int = 0, quality: int = 0, high_cm: int = 4000
    ) -> bytes:
        return self.pack(
            common.MAVLink_distance_sensor_message(
                boot_ms, 20, high_cm, cm, 0, id, orientation, 255, signal_quality=quality
            )
        )

    def system_time(self, boot_ms: int, unix_us: int) -> bytes:
        return self.pack(common.MAVLink_system_time_message(unix_us, boot_ms))

    def timesync(self, tc1: int, ts1: int) -> bytes:
        return self.pack(common.MAVLink_timesync_message(tc1, ts1))


def tlog(records: Iterable[tuple[float, bytes]], start_us: int = START_US) -> bytes:
    """(seconds, frame) as a telemetry log."""
    return b"".join(struct.pack(">Q", start_us + round(t_s * 1e6)) + frame for t_s, frame in records)


def flight(seconds: float = 10.0, *, make: Callable[[], Autopilot] = Autopilot) -> list[tuple[float, bytes]]:
    """A flight due north at 1 m/s (1e-5 degrees), yaw turning 1 degree a second, 10 Hz."""
    pilot = make()
    records: list[tuple[float, bytes]] = []
    for step in range(round(seconds * 10) + 1):
        t_s, boot_ms = step / 10, 5_000 + step * 100
        if step % 10 == 0:
            records += [(t_s, pilot.heartbeat()), (t_s, pilot.system_time(boot_ms, START_US + step * 100_000))]
        if step % 2 == 0:
            records.append((t_s, pilot.gps()))
        records += [
            (t_s, pilot.place(boot_ms, 48.0 + t_s * 1e-5)),
            (t_s, pilot.attitude(boot_ms, yaw=0.017453292519943295 * t_s)),
            (t_s, pilot.distance(boot_ms)),
        ]
    return records
