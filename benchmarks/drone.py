"""A drone without a camera: what flies with its letters (outbox, delivery, publisher), putting detections by the clock.

    python benchmarks/drone.py OUTBOX BROKER VEHICLE PER_S CONFIRM [FRAMES]

It says on stdout what is durable: ``put ID …`` once a transaction has returned. It ends after FRAMES when all of
them are confirmed (by CONFIRM: the broker or the ground), or never.
"""

from __future__ import annotations

import json
import secrets
import sys
import threading
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edge.delivery import Delivery  # noqa: E402
from edge.detections import receipts  # noqa: E402
from edge.detections.cracks import crack_id, revision_id  # noqa: E402
from edge.detections.wire import detection_id, mark_historical, to_bytes  # noqa: E402
from edge.mqtt import paho  # noqa: E402
from edge.mqtt.topics import cracks_topic, detections_topic  # noqa: E402
from edge.outbox import Letter  # noqa: E402
from edge.outbox.sqlite import Options, open_outbox  # noqa: E402
from edge.support.clock import SystemClock  # noqa: E402

_A_FRAME = 3
# A real detection has 4.7 kB, most of them the path of the crack.
_PATH_POINTS = 250


def detection(vehicle: str, flight_id: str, seq: int) -> tuple[str, bytes]:
    """Id and payload (4.7 kB) of a Feature in the shape that a drone publishes."""
    id = detection_id(vehicle, flight_id, seq)
    path = [[round(100 + n * 1.3 + seq % 7, 1), round(200 + n * 0.7, 1)] for n in range(_PATH_POINTS)]
    properties = {
        "schema": "spanhawk/detection/2", "id": id, "vehicle": vehicle, "flight_id": flight_id, "seq": seq,
        "seen_at": "2026-05-01T12:00:00.000Z", "clock_synced": True, "frame_seq": seq // _A_FRAME, "frame_name": None,
        "frame_width_px": 1280, "frame_height_px": 720, "kind": "crack", "crack_id": crack_id(vehicle, flight_id, 1),
        "score": 0.87,
        "crack": {"path_px": path, "length_px": 431.0, "width_px": {"mean": 3.1, "p95": 4.2, "max": 4.9}},
        "size": None, "area": None, "place": {"method": "camera", "east_m": 1.0, "north_m": 2.0, "up_m": 3.0},
        "model": {"name": "fast-unet", "sha256": "ab" * 32}, "evidence": None, "historical": False,
    }  # fmt: skip
    lon, lat = 7 + seq % 1000 / 1e5, 50 + seq % 777 / 1e5
    geometry = {"type": "Point", "coordinates": [round(lon, 7), round(lat, 7)]}
    return id, to_bytes({"type": "Feature", "id": id, "geometry": geometry, "properties": properties})


def crack(vehicle: str, flight_id: str, number: int, revision: int) -> tuple[str, bytes]:
    """Id and payload of one revision."""
    name = crack_id(vehicle, flight_id, number)
    properties = {
        "schema": "spanhawk/crack/1", "crack_id": name, "number": number, "revision": revision, "state": "confirmed",
        "vehicle": vehicle, "flight_id": flight_id, "kind": "crack", "views": revision, "missed": 0,
        "first_seen": "2026-05-01T12:00:00.000Z", "last_seen": "2026-05-01T12:00:01.000Z", "score": 0.9,
        "length_mm": None, "width_mm": None, "width_at_most_mm": 0.4, "best": {"evidence_sha256": None},
        "historical": False,
    }  # fmt: skip
    return revision_id(name, revision), to_bytes(
        {"type": "Feature", "id": name, "geometry": None, "properties": properties}
    )


def main(outbox: str, broker: str, vehicle: str, per_s: str, confirm: str, frames: str = "0") -> None:
    """Fly."""
    clock, stop, flight_id = SystemClock(), threading.Event(), f"f-{secrets.token_hex(6)}"
    pause_s, most = _A_FRAME / float(per_s), int(frames)
    options = paho.Options(url=broker, window=200, keepalive_s=2)
    with (
        open_outbox(Options(path=Path(outbox), ballast_bytes=0, min_free_bytes=0, max_bytes=1 << 30), clock) as box,
        paho.open_publisher(options, clock, vehicle=vehicle, last_will=b"{}", receipts=vehicle) as publisher,
    ):
        read = partial(receipts.letter_ids, vehicle) if confirm == "ground" else None
        delivery = Delivery(box, publisher, clock, late=mark_historical, receipts=read)
        thread = threading.Thread(target=delivery.run, args=(stop,), daemon=True)
        thread.start()
        topic, seq, frame = detections_topic(vehicle), 0, 0
        while not most or frame < most:
            frame += 1
            letters = []
            for _ in range(_A_FRAME):
                seq += 1
                id, payload = detection(vehicle, flight_id, seq)
                letters.append(Letter(id, topic, payload, None))
            if frame % 5 == 0:
                id, payload = crack(vehicle, flight_id, 1, frame // 5)
                letters.append(Letter(id, cracks_topic(vehicle), payload, None))
            box.put(letters)
            print("put", *(letter.id for letter in letters), flush=True)
            publisher.wake.set()
            clock.wait(stop, pause_s)
        while thread.is_alive() and delivery.waiting:
            clock.wait(stop, 0.05)
        print("done", json.dumps({state.value: count for state, count in box.counts().items()}), flush=True)
        stop.set()
        publisher.wake.set()
        thread.join(10)


if __name__ == "__main__":
    main(*sys.argv[1:])
