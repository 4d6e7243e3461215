"""A landed flight's folder goes into the store as if it had come over the air."""

import json
import re

import pytest

from edge.cli import main
from edge.ground import Batch, Query
from edge.ground.bring_in import Import
from edge.ground.incoming import read
from edge.ground.settings import read as read_settings
from edge.ground.stores import open_store
from edge.support.errors import ConfigError
from tests.ground.letters import BEGIN, as_bytes, clock, crack, detection


@pytest.fixture
def flight(tmp_path):
    folder = tmp_path / "flight"
    folder.mkdir()
    lines = [as_bytes(detection(seq)) for seq in range(1, 6)]
    (folder / "detections.jsonl").write_bytes(b"\n".join(lines) + b"\n" + as_bytes(detection(6))[:200])
    (folder / "cracks.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [crack(1, 3)]}))
    return folder


def test_a_folder_is_read_once_and_recognised_the_second_time(flight, url, capsys):
    with open_store(url, clock()) as store:
        batch = Batch()
        assert read("spanhawk/drone1/detections", as_bytes(detection(2)), BEGIN, batch) is None
        store.add(batch)
    assert main(["ground", "import", str(flight), "--store", url]) == 0
    told = capsys.readouterr().err
    assert "5 new, 1 already there, 1 refused" in told
    assert "it has no coverage.geojson" in told
    assert main(["ground", "--store", url, "import", str(flight)]) == 0
    assert "0 new, 6 already there, 1 refused" in capsys.readouterr().err
    with open_store(url, clock()) as store:
        assert store.ranges("drone1", "f1") == ((1, 5),)
        assert [row.revision for row in store.cracks(Query())] == [3]


def test_what_is_wrong_with_a_line_is_said_with_its_place(flight, tmp_path, caplog):
    nameless, wrong = detection(7), detection(8, vehicle="a/b")
    del nameless["properties"]["vehicle"]
    lines = [as_bytes(detection(1)), b"", b"garbage", as_bytes(nameless), as_bytes(wrong), b"garbage"]
    (flight / "detections.jsonl").write_bytes(b"\n".join(lines))
    assert main(["ground", "import", str(flight), "--store", str(tmp_path / "ground.db")]) == 0
    told = [record.getMessage().removeprefix(f"{flight}: refused ") for record in caplog.records]
    assert [one[:64] for one in told] == [
        "line 3 of detections.jsonl (and 1 more): not a JSON object: Expe",
        "line 4 of detections.jsonl: it names no vehicle",
        "line 5 of detections.jsonl: vehicle: got 'a/b', which contains /",
    ]


def test_what_people_said_comes_with_the_folder(flight, tmp_path, capsys):
    url, id = str(tmp_path / "ground.db"), crack(1, 3)["id"]
    said = [{"crack_id": id, "verdict": "rejected", "remark": "a cable", "by": "A.", "at": "2026-06-02T08:00:00Z"}]
    document = {"schema": "spanhawk/review/1", "flight_id": "f1", "reviews": [*said, {"crack_id": "x"}]}
    (flight / "review.json").write_text(json.dumps(document))
    for _ in range(2):
        assert main(["ground", "import", str(flight), "--store", url]) == 0
        assert ", 1 review" in capsys.readouterr().err
    with open_store(url, clock()) as store:
        assert [(one.crack_id, one.verdict, one.remark, one.by) for one in store.reviews("drone1", "f1")] == [
            (id, "rejected", "a cable", "A.")
        ]


def test_another_content_is_kept_and_large_coverage_is_stored(flight, tmp_path, capsys):
    url = str(tmp_path / "ground.db")
    assert main(["ground", "import", str(flight), "--store", url]) == 0
    changed = as_bytes(detection(2, score=0.1))
    (flight / "detections.jsonl").write_bytes(changed + b"\n")
    coverage = {"type": "FeatureCollection", "vehicle": "drone1", "flight_id": "f1", "features": ["x" * (2 << 20)]}
    (flight / "coverage.geojson").write_bytes(as_bytes(coverage))
    assert main(["ground", "import", str(flight), "--store", url]) == 0
    assert "1 with another content than the one stored" in capsys.readouterr().err
    with open_store(url, clock()) as store:
        assert [(row.reason, row.payload) for row in store.refused(1)] == [
            ("another content under a stored name", changed)
        ]
        assert [row.payload for row in store.coverage()] == [as_bytes(coverage)]


def test_a_folder_without_a_flight_and_a_damaged_one_are_refused(tmp_path, flight, capsys):
    store = str(tmp_path / "ground.db")
    assert main(["ground", "import", str(tmp_path / "nowhere"), "--store", store]) == 2
    assert not (tmp_path / "ground.db").exists()
    (flight / "cracks.geojson").write_text('{"type": "FeatureCollection", "features": [')
    assert main(["ground", "import", str(flight), "--store", store]) == 2
    told = capsys.readouterr().err
    assert "no flight is here" in told
    assert "no FeatureCollection" in told
    assert "all else was read: 5 new" in told
    (flight / "summary.json").write_text('{"schema": "spanhawk/flight/2"}')
    assert main(["ground", "import", str(flight), "--store", store]) == 2
    assert "written by a newer spanhawk" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[ground]\nhttp_token_file = "/t"', "ground.http_token_file does nothing without ground.http"),
        ('[ground]\ntiles = "/t"', "ground.tiles does nothing without ground.http"),
        ('[ground]\nbands = "x"', "ground.bands does nothing without ground.http"),
        ("[ground]\nallow_plaintext = true", "ground.allow_plaintext does nothing without ground.http"),
        ('[ground]\nshare = "a"\n[mqtt]\nprotocol = "3.1.1"', "ground.share needs MQTT 5"),
        ("[mqtt]\nwindow = 3", "mqtt.window is the drone's"),
        ("[mqtt]\nmax_payload_bytes = 2000", "mqtt.max_payload_bytes is the drone's"),
        ("[pictures]\nrate_kb_s = 5", "pictures.rate_kb_s does nothing without a drone"),
    ],
)
def test_what_would_do_nothing_is_refused(tmp_path, text, words):
    config = tmp_path / "ground.toml"
    config.write_text(text + "\n")
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_settings(config)
    for more in ('http = "127.0.0.1:0"', ""):
        config.write_text(f"[ground]\n{more}\n")
        read_settings(config, http="127.0.0.1:0")


def test_the_station_s_file_serves_for_an_import_too(flight, tmp_path, capsys):
    """It is valid with ``--http``, which stands on the station's command line only."""
    config = tmp_path / "ground.toml"
    config.write_text(
        f'[ground]\nstore = "{tmp_path}/g.db"\ntiles = "{tmp_path}"\nbands = "x"\nhttp_token_file = "t"\n'
    )
    assert main(["ground", "import", str(flight), "--config", str(config)]) == 0
    assert "new" in capsys.readouterr().err
    assert (tmp_path / "g.db").exists()


def test_a_broker_or_table_that_cannot_be_is_refused(tmp_path, capsys):
    config = tmp_path / "ground.toml"
    config.write_text('[ground]\nshare = "a/b"\n')
    assert main(["ground", "--config", str(config)]) == 78
    assert main(["ground", "--broker", "http://x", "--store", str(tmp_path / "g.db")]) == 78
    assert main(["ground", "--store", str(config / "x")]) == 78
    assert main(["ground", "--http", "0.0.0.0:8080"]) == 78
    told = capsys.readouterr().err
    assert "ground.share" in told
    assert "other machines can connect" in told
    assert "write it as mqtt://host:1883" in told


def test_one_bad_crack_costs_neither_the_others_nor_the_detections(tmp_path):
    """A NaN in cracks.geojson ended it with a bare ValueError, and up to a thousand rows before it were not written."""
    folder = tmp_path / "flight"
    folder.mkdir()
    (folder / "detections.jsonl").write_bytes(as_bytes(detection(1)) + b"\n" + as_bytes(detection(2)) + b"\n")
    cracks = b",".join([as_bytes(crack(1, 1)), as_bytes(crack(2, 1)).replace(b"0.4", b"NaN"), as_bytes(crack(3, 1))])
    (folder / "cracks.geojson").write_bytes(b'{"type":"FeatureCollection","features":[' + cracks + b"]}")
    with open_store(str(tmp_path / "ground.db"), clock()) as store:
        told = Import(store, None, clock()).read(folder)
        assert "4 new, 0 already there, 1 refused" in told
        assert sorted(row.number for row in store.cracks(Query())) == [1, 3]
        assert [row.reason for row in store.refused(9)] == ["not a JSON object: NaN is not JSON"]
