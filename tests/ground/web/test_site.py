"""Who may look, what is never executed, pictures with ranges, metrics, and events."""

import base64
import hashlib
import http.client
import itertools
import json
import socket
import subprocess
import uuid
from datetime import datetime, timezone

import cv2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from skimage.color import deltaE_ciede2000, rgb2lab

from edge.cli import main
from edge.ground import Batch, StateRow
from edge.ground.settings import GroundOptions
from edge.support.access import Guesses, listen
from edge.support.clock import ManualClock
from edge.support.errors import ConfigError, TryAgainError
from tests.ground.letters import BEGIN, as_bytes, crack, detection
from tests.ground.test_store import batch_of

TOKEN = "0123456789abcdef"
HOSTILE = '<img src=x onerror="document.title=1">'


def token_file(folder, text=TOKEN):
    path = folder / "token"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


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
    assert client.get("/collections", method="DELETE").status == 405


def test_without_a_token_only_names_of_this_machine_are_answered(client):
    for host, status in (
        ("localhost:80", 200), ("127.0.0.1", 200), ("[::1]:9", 200), ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
    ):  # fmt: skip
        assert client.get("/live/fleet", host=host).status == status


def test_a_token_opens_and_nothing_else_does(serving, tmp_path):
    client = serving(http_token_file=token_file(tmp_path))

    def basic(text):
        return "Basic " + base64.b64encode(text.encode()).decode()

    for path in ("/", "/metrics", "/live/events", "/files/page.js", "/pictures/" + "0" * 64):
        asked = client.get(path)
        assert asked.status == 401
        assert "Basic" in asked.headers["www-authenticate"]
    for wrong in (
        "Bearer x",
        "Bearer",
        basic("me:" + TOKEN[:-1]),
        basic(TOKEN),
        "Basic ===",
        "Digest " + TOKEN,
        "\xe9",
    ):
        assert client.get("/metrics", Authorization=wrong).status == 401
    for right in (f"Bearer {TOKEN}", basic(f"anybody:{TOKEN}"), basic(f":{TOKEN}")):
        assert client.get("/metrics", Authorization=right, host="ground.example").status == 200


def test_other_machines_need_a_token_and_tls_or_a_word_on_plaintext(tmp_path):
    token = token_file(tmp_path)
    for more, words in (
        ({}, "http_token_file and http_cert_file"),
        ({"http_token_file": token}, "http_cert_file"),
        ({"allow_plaintext": True}, "http_token_file"),
    ):
        with pytest.raises(ConfigError, match=words):
            GroundOptions(http="0.0.0.0:8080", **more)
    GroundOptions(http="0.0.0.0:8080", http_token_file=token, allow_plaintext=True)
    GroundOptions(http="[::1]:8080")
    for wrong in ("8080", "localhost", "localhost:99999", "a b:80", "[::1:80", "http://localhost:80"):
        with pytest.raises(ConfigError, match=r"HOST:PORT|other machines"):
            listen(wrong, "ground.http")


def test_what_stands_in_the_configuration_is_checked_before_anything_is_served(tmp_path, serving, capsys):
    config = tmp_path / "ground.toml"
    for table, words in (
        ('http_token_file = "nowhere"', "cannot read nowhere"),
        (f'http_token_file = "{token_file(tmp_path, "short")}"', "16 or more"),
        (f'http_cert_file = "{config}"', "PEM files that belong together"),
        ('http_key_file = "k.pem"', "http_cert_file"),
        ('bands = "DIN 1"', "neither a file nor one of"),
        ('tiles = "/nowhere"', "there is no folder"),
    ):
        config.write_text(f"[ground]\n{table}\n")
        command = ["ground", "--config", str(config), "--store", str(tmp_path / "g.db"), "--http", "127.0.0.1:0"]
        assert main(command) == 78
        assert words in capsys.readouterr().err
    (tmp_path / "token").chmod(0o644)
    config.write_text(f'[ground]\nhttp_token_file = "{token_file(tmp_path)}"\n')
    (tmp_path / "token").chmod(0o644)
    assert main(["ground", "--config", str(config), "--store", str(tmp_path / "g.db"), "--http", "127.0.0.1:0"]) == 78
    assert "chmod 600" in capsys.readouterr().err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(TryAgainError, match="cannot listen at"):
            serving(http=f"127.0.0.1:{taken.getsockname()[1]}")


def test_tls(serving, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = (
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {cert} -subj /CN=g"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    client = serving(http_cert_file=cert, http_key_file=key)
    assert client.site.url.startswith("https://")
    assert client.get("/collections").json["links"][0]["href"].startswith("https://")


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


def test_wrong_tokens_are_held_up_and_the_right_one_never_for_good(serving, tmp_path):
    time = ManualClock(BEGIN)
    guesses = Guesses(time)
    for _ in range(5):  # a person mistypes
        assert guesses.wait_s("10.0.0.9") == 0
        guesses.told("10.0.0.9", right=False)
    begun_ns, tried, sent_away = time.monotonic_ns(), 0, 0
    for _ in range(200):  # a program that asks again at once, in parallel: each try reserves its moment
        wait_s = guesses.wait_s("10.0.0.9")
        if wait_s is None:
            sent_away += 1
            time.advance(100_000_000)
        else:
            assert wait_s <= 4
            guesses.told("10.0.0.9", right=False)
            tried += 1
    assert sent_away > 100
    assert tried <= 12 + (time.monotonic_ns() - begun_ns) / 1e9  # one a second in the long run
    assert guesses.wait_s("10.0.0.8") == 0  # nobody else waits
    time.advance(5_000_000_000)
    assert guesses.wait_s("10.0.0.9") <= 4
    guesses.told("10.0.0.9", right=True)
    assert guesses.wait_s("10.0.0.9") == 0
    for n in range(5):
        guesses.told(f"2001:db8::{n}", right=False)
    guesses.wait_s("2001:db8::77")
    assert guesses.wait_s("2001:db8::78") > 0  # one network is one guesser
    time.advance(700_000_000_000)
    assert guesses.wait_s("2001:db8::1") == 0
    client = serving(http_token_file=token_file(tmp_path))
    for _ in range(6):
        assert client.get("/metrics", Authorization="Bearer wrong").status == 401
    assert client.get("/metrics").status == 401  # no token is no guess
    assert client.get("/metrics", Authorization=f"Bearer {TOKEN}").status == 200
