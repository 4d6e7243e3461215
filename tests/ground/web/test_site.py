"""Who may look, what is never executed, pictures with ranges, metrics, and events."""

import asyncio
import base64
import hashlib
import http.client
import itertools
import json
import uuid
from datetime import datetime, timezone

import cv2
import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from skimage.color import deltaE_ciede2000, rgb2lab

from edge.ground import Batch, StateRow
from edge.ground.web import events
from tests.ground.letters import BEGIN, as_bytes, crack, detection
from tests.ground.test_store import batch_of

HOSTILE = '<img src=x onerror="document.title=1">'


def status_of(vehicle, state="degraded", **more):
    document = {"schema": "spanhawk/status/1", "vehicle": vehicle, "flight_id": "f1", "state": state, **more}
    return StateRow(vehicle, "f1", "status", BEGIN, as_bytes(document))


def test_the_page_is_for_browsers_and_keeps_to_itself(client):
    page = client.get("/", Accept="text/html,*/*")
    assert page.headers["content-type"].startswith("text/html")
    assert b"<script" in page.body
    assert b"<script>" not in page.body  # no inline script: the policy would not let it run
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert client.get("/?f=html").body == page.body
    assert client.get("/").json["title"] == "spanhawk ground"
    for name in ("page.js", "leaflet.js", "leaflet.css", "LICENSE.txt"):
        assert client.get(f"/files/{name}").status == 200
    tag = client.get("/files/page.css").headers["etag"]
    assert client.get("/files/page.css", If_None_Match=tag).status == 304
    for path in ("/files/../settings.py", "/files/..%2fsettings.py", "/files/%2e%2e/x", "/tiles/0/0/../../x.png"):
        assert client.get(path).status in (400, 404)
    not_so = client.get("/collections", method="DELETE")
    assert (not_so.status, not_so.headers["allow"]) == (405, "GET,HEAD")
    for nobody in ("/messages/a%00b", "/collections/cracks/items/%00", "/live/cracks/%00/picture"):
        answer = client.get(nobody)
        assert (answer.status, "character 0" in answer.json["description"]) == (404, True)  # PostgreSQL knows none


def test_a_picture_in_parts_and_small(client):
    picture = cv2.imencode(".jpg", np.random.default_rng(1).integers(0, 255, (400, 900, 3), np.uint8))[1].tobytes()
    sha256 = hashlib.sha256(picture).hexdigest()
    folder = client.folder / "ground-pictures" / sha256[:2]
    folder.mkdir(parents=True)
    (folder / f"{sha256}.jpg").write_bytes(picture)
    whole = client.get(f"/pictures/{sha256}")
    assert (whole.body, whole.headers["content-type"]) == (picture, "image/jpeg")
    assert "default-src 'none'" in whole.headers["content-security-policy"]
    part = client.get(f"/pictures/{sha256}", Range="bytes=100-299")
    assert (part.status, part.body) == (206, picture[100:300])
    assert part.headers["content-range"] == f"bytes 100-299/{len(picture)}"
    assert client.get(f"/pictures/{sha256}", Range="bytes=-50").body == picture[-50:]
    assert client.get(f"/pictures/{sha256}", Range=f"bytes={len(picture)}-").status == 416
    assert client.get(f"/pictures/{sha256}", Range="bytes=9-3").status == 416
    for wrong in ("0" * 64, sha256.upper(), "..%2f..%2fetc%2fpasswd", sha256[:-1]):
        assert client.get(f"/pictures/{wrong}").status == 404
    named = crack(1, 1)
    named["properties"]["best"]["evidence_sha256"] = sha256
    client.store.add(batch_of(named, crack(2, 1)))
    small = client.get(f"/live/cracks/{named['id']}/picture")
    assert cv2.imdecode(np.frombuffer(small.body, np.uint8), 1).shape == (142, 320, 3)
    assert client.get(f"/live/cracks/{crack(2, 1)['id']}/picture").status == 404
    shown = client.get("/live/cracks").json
    assert shown["columns"]["picture"] == [2, 1]


def test_metrics_are_read_by_prometheus_own_parser(client):
    client.store.add(batch_of(detection(1), crack(1, 1)))
    told = {"schema": "spanhawk/telemetry/1", "vehicle": HOSTILE, "fps": 9.5, "frames": 12, "outbox": {"pending": 3}}
    odd = StateRow('a"\\\n', "f1", "telemetry", BEGIN, as_bytes({"fps": "fast", "outbox": [1]}))
    client.store.add(
        Batch(states=[status_of("drone1"), StateRow(HOSTILE, "f1", "telemetry", BEGIN, as_bytes(told)), odd])
    )
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {
        (one.name, *sorted(one.labels.items())): one.value
        for family in text_string_to_metric_families(answer.body.decode())
        for one in family.samples
    }
    assert samples["spanhawk_ground_rows", ("table", "detections")] == 1
    assert samples["spanhawk_vehicle_state", ("state", "degraded"), ("vehicle", "drone1")] == 1
    assert samples["spanhawk_vehicle_state", ("state", "flying"), ("vehicle", "drone1")] == 0
    assert samples["spanhawk_vehicle_frames_per_second", ("vehicle", HOSTILE)] == 9.5
    assert samples["spanhawk_vehicle_outbox_letters", ("state", "pending"), ("vehicle", HOSTILE)] == 3
    assert ("spanhawk_vehicle_heard_seconds", ("vehicle", 'a"\\\n')) in samples


def test_events_tell_how_far_the_store_is_and_end_with_the_site(client):
    connection = http.client.HTTPConnection("127.0.0.1", client.site.port, timeout=20)
    connection.request("GET", "/live/events")
    answer = connection.getresponse()
    assert answer.getheader("Content-Type") == "text/event-stream"

    def heads():
        while not (line := answer.readline()).startswith(b"data: "):
            assert line
        return json.loads(line[6:])

    assert heads() == [0, 0, [0, 0], 0, 0, 0]
    client.store.add(batch_of(crack(1, 1), crack(2, 1)))
    assert heads()[1] == 2
    client.site.__exit__(None, None, None)
    assert not client.site._thread.is_alive()
    assert b"data" not in answer.read()
    connection.close()


def wandering(chance, begin, points=60):
    """A crack's course as it is measured: centimetres a step, with bends."""
    turns = np.cumsum(chance.normal(0, 0.4, points)) + chance.uniform(0, 6.3)
    steps = np.stack([np.cos(turns), np.sin(turns)], 1) * 3e-7
    return tuple(map(tuple, (begin + np.cumsum(steps, 0)).tolist()))


def fleet_of_cracks():
    """500 cracks of three drones on a bridge of 300 m; no two are alike."""
    chance = np.random.default_rng(4)
    for n in range(1, 501):
        begin = (3.7174 + chance.uniform(0, 43e-4), 51.0543 + chance.uniform(0, 3e-4))
        one = crack(n, int(chance.integers(1, 4)), f"drone{n % 3}", f"20260501T1{n % 3}0000Z-{n % 7:06x}",
                    path=wandering(chance, begin), state=("tentative", "confirmed")[n % 2])  # fmt: skip
        told = one["properties"]
        told |= {"views": int(chance.integers(1, 60)), "last_seen": f"2026-05-01T1{n % 10}:{n % 60:02}:00.000Z"}
        told["length_mm"] = {"value": float(chance.uniform(30, 4000))}
        if n % 3:
            told["width_mm"] = {"value": float(chance.uniform(0.1, 2))}
            told["width_at_most_mm"] = None
        else:
            told["width_at_most_mm"] = float(chance.uniform(0.1, 0.9))
        yield one


def test_the_first_look_at_500_cracks_is_small_and_says_where_they_are(client):
    made = list(fleet_of_cracks())
    client.store.add(batch_of(*made))
    answer = client.get("/live/cracks")
    assert len(answer.body) <= 60_000  # the bytes of the JSON itself, not of its packing
    assert len(client.get("/live/cracks", Accept_Encoding="gzip").body) < 30_000
    first = answer.json
    assert first["count"] == 500
    names = base64.b64decode(first["ids"])
    for at in (0, 7, 499):
        feature, told = made[at], made[at]["properties"]
        assert str(uuid.UUID(bytes=names[16 * at : 16 * at + 16])) == told["crack_id"]
        columns = first["columns"]
        assert first["vehicles"][columns["vehicle"][at]] == told["vehicle"]
        assert first["flights"][columns["flight"][at]] == told["flight_id"]
        assert columns["number"][at] == told["number"]
        width = told["width_mm"]
        assert columns["width"][at] == (None if width is None else round(width["value"] * 100))
        assert (columns["width_at_most"][at] is None) == (told["width_at_most_mm"] is None)
        seen = datetime.fromtimestamp(first["begun_s"] + columns["seen_s"][at], tz=timezone.utc)
        assert seen.strftime("%Y-%m-%dT%H:%M:%S.000Z") == told["last_seen"]
        course = np.array(feature["geometry"]["coordinates"])
        drawn = (np.cumsum(np.reshape(columns["line"][at], (-1, 2)), axis=0) + first["corner"]) / 1e7
        np.testing.assert_allclose(drawn[[0, -1]], course[[0, -1]], atol=1.01e-7)
        # No point of the crack lies farther than a hand from what is drawn.
        metres = np.array([np.cos(np.radians(51)), 1]) * 111_320
        for point in course:
            assert min(distance(point * metres, *ends) for ends in itertools.pairwise(drawn * metres)) < 0.15
    assert first["kinds"] == ["crack"]
    assert first["columns"]["kind"] == 0  # where all have one value it stands alone
    whole = client.get(f"/collections/cracks/items/{made[0]['id']}").json
    assert whole["geometry"] == made[0]["geometry"]


def distance(point, begin, end):
    along = end - begin
    share = np.clip(np.dot(point - begin, along) / max(np.dot(along, along), 1e-12), 0, 1)
    return np.hypot(*(point - begin - share * along))


def test_then_only_what_is_new(client):
    client.store.add(batch_of(*(crack(n, 1) for n in range(1, 6))))
    first = client.get("/live/cracks").json
    client.store.add(batch_of(crack(3, 2), crack(4, 2, state="withdrawn"), crack(501, 1, path=None)))
    then = client.get(f"/live/cracks?after={first['newest']}").json
    assert then["columns"]["number"] == [3, 501]
    assert then["columns"]["line"][1] is None
    assert then["gone"] == [crack(4, 2)["id"]]
    assert not then["more"]
    nothing = client.get(f"/live/cracks?after={then['newest']}").json
    assert (nothing["count"], nothing["ids"], nothing["columns"]["line"]) == (0, "", [])
    assert client.get("/live/cracks?after=-1").status == 400


# Machado, Oliveira and Fernandes 2009, severity 1, for linear light.
BLIND = {
    "nobody": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def test_the_colours_of_the_bands_can_be_told_apart_by_everybody(client):
    colours = [one["colour"] for one in client.get("/live/legend").json["bands"][:-1]]
    assert len(colours) == 4
    for who, matrix in BLIND.items():
        codes = np.array([[int(one[at : at + 2], 16) for at in (1, 3, 5)] for one in colours]) / 255
        light = np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4) @ np.transpose(matrix)
        light = np.clip(light, 0, 1)
        seen = rgb2lab(np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)[None])[0]
        for a, b in itertools.combinations(seen, 2):
            assert deltaE_ciede2000(a, b) > 15, who  # 2 is just noticeable side by side


def test_the_watcher_of_the_store_survives_whatever_it_meets(monkeypatch):
    """It ended with the first error that nobody had foreseen, and every open page then waited indefinitely."""
    monkeypatch.setattr(events, "EVERY_S", 0.0)
    told, answers = [], iter([[1], ValueError("a surprise"), [2]])

    async def watch():
        def heads():
            told.append(watcher._now)
            answer = next(answers, None)
            if answer is None:
                watcher._over = True
            if isinstance(answer, Exception):
                raise answer
            return answer or [3]

        watcher = events.Events(heads)
        watcher._pages = 1
        await watcher._watch()

    asyncio.run(watch())
    assert told[:2] == [None, "[1]"]
    assert "could not be read" in json.loads(told[2])["trouble"]
    assert told[3] == "[2]"
