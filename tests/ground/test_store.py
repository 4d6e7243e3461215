"""What every store promises, over an SQLite file and over a real PostgreSQL server with PostGIS."""

import contextlib
import dataclasses
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from edge.ground import Batch, CoverageRow, Query, ReviewRow, StateRow, as_ranges, missing
from edge.ground.collector import receipts_for
from edge.ground.incoming import read
from edge.ground.postgres import PostgresStore
from edge.ground.stores import open_reader, open_store
from edge.support.errors import ConfigError, UsageError
from tests.ground.letters import BEGIN, as_bytes, clock, crack, detection


def batch_of(*features):
    batch = Batch()
    for feature in features:
        properties = feature["properties"]
        what = "detections" if "detection" in properties["schema"] else "cracks"
        assert read(f"spanhawk/{properties['vehicle']}/{what}", as_bytes(feature), BEGIN, batch) is None
    return batch


@pytest.fixture
def store(url):
    with open_store(url, clock()) as one:
        yield one


def seqs(rows):
    return [row.seq for row in rows]


def test_what_is_added_is_read_back_as_it_came(store):
    feature = detection(1, crack_id="c-1", kind="spalling")
    added = store.add(batch_of(feature))
    assert (added.new, added.repeats, added.conflicts) == (1, 0, ())
    (row,) = store.detections(Query())
    assert (row.vehicle, row.flight_id, row.seq, row.kind, row.crack_id) == ("drone1", "f1", 1, "spalling", "c-1")
    assert row.payload == as_bytes(feature)
    assert row.box == (7.0, 50.0, 7.0, 50.0)
    assert row.seen_at == BEGIN + timedelta(seconds=1)
    assert store.detection(row.id) == row
    assert store.detection("another") is None


def test_a_repeat_is_recognised_and_also_one_that_came_late(store):
    store.add(batch_of(detection(1), detection(2)))
    added = store.add(batch_of(detection(1, historical=True), detection(3), detection(3), detection(2)))
    assert (added.new, added.repeats, added.conflicts) == (1, 3, ())
    assert seqs(store.detections(Query())) == [1, 2, 3]


def test_a_name_that_another_content_has_is_a_conflict_and_the_first_stays(store):
    store.add(batch_of(detection(1, score=0.5)))
    added = store.add(batch_of(detection(1, score=0.7), detection(2)))
    assert (added.new, added.repeats, seqs(added.conflicts)) == (1, 0, [1])
    assert [row.score for row in store.detections(Query())] == [0.5, 0.9]
    within = store.add(batch_of(detection(3, score=0.1), detection(3, score=0.2)))
    assert seqs(within.conflicts) == [3]


def test_vehicles_and_flights_are_kept_apart(store):
    store.add(batch_of(detection(1), detection(1, flight="f2"), detection(1, vehicle="drone2"), crack(1, 1)))
    assert {(row.vehicle, row.flight_id) for row in store.detections(Query())} == {
        ("drone1", "f1"), ("drone1", "f2"), ("drone2", "f1"),
    }  # fmt: skip
    assert len(store.detections(Query(vehicle="drone1"))) == 2
    flights = {(row.vehicle, row.flight_id): row for row in store.flights()}
    assert flights["drone1", "f1"].cracks == 1
    assert flights["drone2", "f1"].detections == 1


def test_of_a_crack_the_last_revision_counts_and_all_are_kept(store):
    store.add(batch_of(crack(1, 2), crack(2, 1), crack(1, 1, state="tentative")))
    assert sorted((row.number, row.revision) for row in store.cracks(Query())) == [(1, 2), (2, 1)]
    assert store.counts() == {"detections": 0, "cracks": 3, "flights": 1, "refused": 0}
    row = store.crack(store.cracks(Query())[0].crack_id)
    assert (row.length_mm, row.width_mm, row.width_at_most_mm, row.best_sha256) == (812.0, None, 0.4, "ab" * 32)
    assert row.box == (7.0, 50.0, 7.001, 50.002)
    assert store.crack("nobody") is None
    again = store.add(batch_of(crack(1, 2), crack(2, 1, state="withdrawn")))
    assert (again.new, again.repeats, len(again.conflicts)) == (0, 1, 1)


def test_questions(store):
    store.add(batch_of(*(detection(n, lon=float(n), lat=-n / 2) for n in range(1, 11)), detection(11, lon=None)))
    assert seqs(store.detections(Query(limit=2, offset=3))) == [4, 5]
    assert seqs(store.detections(Query(limit=2, newest_first=True))) == [11, 10]
    assert seqs(store.detections(Query(box=(2.5, -10.0, 4.0, 0.0)))) == [3, 4]
    assert seqs(store.detections(Query(box=(9.5, -90.0, 1.0, 90.0)))) == [1, 10]
    rows = store.detections(Query(limit=4))
    assert seqs(store.detections(Query(after=rows[-1].row, limit=2))) == [5, 6]
    assert seqs(store.detections(Query(after=rows[-1].row, box=(0.0, -90.0, 6.0, 0.0)))) == [5, 6]
    within = Query(since=BEGIN + timedelta(seconds=4), until=BEGIN + timedelta(seconds=6))
    assert seqs(store.detections(within)) == [4, 5, 6]
    assert store.matched("detections", Query(limit=1)) == 11
    assert store.matched("detections", Query(kind="rust")) == 0
    assert store.matched("cracks", Query()) == 0
    assert store.ranges("drone1", "f1") == ((1, 11),)
    assert store.ranges("drone1", "nowhere") == ()


def test_heads_move_with_whatever_is_new(store):
    seen = [store.heads()]
    for batch in (
        batch_of(detection(1)), batch_of(crack(1, 1)), batch_of(crack(1, 2)),
        Batch(coverage=[CoverageRow("drone1", "f1", b"{}")]), Batch(coverage=[CoverageRow("drone1", "f1", b"{} ")]),
        Batch(states=[StateRow("drone1", "f1", "status", BEGIN, b"{}")]), Batch(reviews=[word(1)]),
    ):  # fmt: skip
        store.add(batch)
        seen.append(store.heads())
        assert store.heads() == seen[-1]
    assert len(set(seen)) == len(seen)
    store.add(batch_of(detection(1)))
    assert store.heads() == seen[-1]


def word(second, verdict="confirmed", number=1, flight="f1", **said):
    at = BEGIN + timedelta(seconds=second)
    said = {"grade": None, "remark": None, "by": None} | said
    return ReviewRow("drone1", flight, crack(number, 1, flight=flight)["id"], verdict, at=at, **said)


def test_of_what_people_say_the_latest_word_counts_whenever_it_arrives(store):
    last = word(3, "rejected", grade="S2", remark="a cable \u05d0 🏗", by="A. Inspector")
    store.add(Batch(reviews=[word(1), last, word(2, number=2), word(0, flight="f2")]))
    store.add(Batch(reviews=[word(2, "unreviewed"), last]))
    assert store.reviews() == [last, word(2, number=2), word(0, flight="f2")]
    assert store.reviews("drone1", "f2") == [word(0, flight="f2")]
    assert store.reviews(most=1) == [last]


def test_a_store_of_an_earlier_day_gets_its_table_of_reviews(url):
    with open_store(url, clock()) as store:
        store.add(batch_of(crack(1, 1)))
    if url.startswith("postgresql"):
        with psycopg.connect(url) as db:
            db.execute("DROP TABLE spanhawk.review")
    else:
        with contextlib.closing(sqlite3.connect(url)) as db:
            db.execute("DROP TABLE review")
    if not url.startswith("postgresql"):
        with open_reader(url, clock()) as reader:
            assert reader.reviews() == []
    with open_store(url, clock()) as store:
        store.add(Batch(reviews=[word(1)]))
        with open_reader(url, clock()) as reader:
            assert store.reviews() == reader.reviews() == [word(1)]


def test_the_groups_that_a_listener_was_in_are_kept(url):
    """Also by a store of an earlier day, which has no table for them."""
    with open_store(url, clock()):
        pass
    if url.startswith("postgresql"):
        with psycopg.connect(url) as db:
            db.execute("DROP TABLE spanhawk.listener")
    else:
        with contextlib.closing(sqlite3.connect(url)) as db:
            db.execute("DROP TABLE listener")
    with open_store(url, clock()) as store:
        assert [store.listens("me", share) for share in ("b", "b", "a")] == [[], [], ["b"]]
        assert store.listens("other", "a") == []
    with open_store(url, clock()) as store:
        assert store.listens("me", "c") == ["a", "b"]
        assert store.listens("me", "b") == ["a", "c"]


def test_two_that_begin_at_one_moment_note_the_same_group(tmp_path):
    """The later one ended in a traceback."""
    url = str(tmp_path / "ground.db")
    with open_store(url, clock()) as store, open_store(url, clock()) as other:
        told = []

        def quicker(statement):
            if "INSERT" in statement and not told:
                told.append(other.listens("me", "a"))

        store._db.set_trace_callback(quicker)
        assert store.listens("me", "a") == []
        assert told == [[]]
        assert store.listens("me", "b") == ["a"]


def test_a_reader_leaves_the_file_and_its_folder_as_they_are(tmp_path):
    path, other = tmp_path / "ground.db", tmp_path / "other.db"
    with open_store(str(path), clock()) as store:
        store.add(batch_of(crack(1, 1), detection(1)))
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE review")
    with contextlib.closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE mine (a)")
    before = {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in tmp_path.iterdir()}
    with open_reader(str(path), clock()) as reader:
        assert [row.crack_id for row in reader.cracks(Query())] == [crack(1, 1)["id"]]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._reading.execute("DELETE FROM crack")
    with pytest.raises(ConfigError, match="no store of the ground"):
        open_reader(str(other), clock())
    assert {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in tmp_path.iterdir()} == before


def test_a_reader_makes_no_store(url):
    if "://" not in url:
        Path(url).touch()
    with pytest.raises(UsageError, match=r"it is empty; name the one|no store is there; name the one"):
        open_reader(url, clock())
    if "://" in url:
        with psycopg.connect(url) as db:
            assert db.execute("SELECT to_regclass('spanhawk.store')").fetchone() == (None,)
    else:
        assert Path(url).read_bytes() == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_a_reader_who_may_only_read():
    """The station's store after its end, in a folder that is another user's: SQLite cannot make its index there."""
    code = (
        "import os, sys; from edge.ground.stores import open_reader; from edge.support.clock import SystemClock\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "with open_reader(sys.argv[1], SystemClock()) as store: print(store.counts()['cracks'])"
    )
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to others
        path = Path(folder) / "ground.db"
        with open_store(str(path), clock()) as store:
            store.add(batch_of(crack(1, 1)))
        Path(folder).chmod(0o755)
        path.chmod(0o644)
        ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("1\n", 0), ran.stderr


def test_what_is_newest_of_states_and_coverage_stays(store):
    def state(what, flight, second, payload):
        return StateRow("drone1", flight, what, BEGIN + timedelta(seconds=second), payload)

    store.add(Batch(states=[state("status", "f1", 0, b"{}"), state("telemetry", "f1", 0, b"{}")]))
    store.add(Batch(states=[state("status", "f2", 1, b'{"a":1}'), state("telemetry", "f1", 2, b'{"b":1}')]))
    assert [(row.what, row.flight_id, row.payload) for row in store.states()] == [
        ("status", "f2", b'{"a":1}'), ("telemetry", "f1", b'{"b":1}'),
    ]  # fmt: skip
    store.add(Batch(coverage=[CoverageRow("drone1", "f1", b"1"), CoverageRow("drone1", "f2", b"2")]))
    store.add(Batch(coverage=[CoverageRow("drone1", "f1", b"3")]))
    assert [row.payload for row in store.coverage()] == [b"3", b"2"]
    assert store.coverage(vehicle="drone2") == []
    assert [row.payload for row in store.coverage(flight_id="f2")] == [b"2"]


def test_refused_messages_are_kept_for_whoever_asks(store):
    batch = Batch()
    assert read("spanhawk/drone1/detections", b"\0<script>", BEGIN, batch) is not None
    store.add(batch)
    (row,) = store.refused(10)
    assert row.payload == b"\0<script>"
    assert "not a JSON object" in row.reason


def test_a_store_opened_again_is_the_same_one(url):
    with open_store(url, clock()) as store:
        store.add(batch_of(detection(1)))
        name = store.id
    with open_store(url, clock()) as store, open_store(url, clock()) as beside:
        assert store.id == beside.id == name
        assert store.add(batch_of(detection(1))).repeats == 1
        beside.add(batch_of(detection(2)))
        assert store.ranges("drone1", "f1") == ((1, 2),)


def test_a_store_of_a_newer_version_is_refused(url):
    open_store(url, clock()).__exit__(None, None, None)
    if url.startswith("postgresql"):
        with psycopg.connect(url) as db:
            db.execute("UPDATE spanhawk.store SET version = 99")
    else:
        with contextlib.closing(sqlite3.connect(url)) as db:
            db.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="newer spanhawk"):
        open_store(url, clock())


def test_partitions_and_geometry_are_for_others_to_use(postgres):
    url = postgres.database("others")
    with open_store(url, clock()) as store:
        store.add(batch_of(detection(1), crack(1, 1)))
    with psycopg.connect(url) as db:
        assert db.execute("SELECT ST_AsText(geom) FROM spanhawk.detection_20260501").fetchone() == ("POINT(7 50)",)
        assert db.execute("SELECT ST_NPoints(geom), ST_SRID(geom) FROM spanhawk.crack").fetchone() == (2, 4326)


def test_what_is_no_store_is_refused(tmp_path):
    other = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE mine (a)")
    with pytest.raises(ConfigError, match="no store of the ground"):
        open_store(str(other), clock())
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        open_store(str(tmp_path), clock())
    (tmp_path / "text").write_text("nothing like it" * 100)
    with pytest.raises(ConfigError, match="damaged or no store"):
        open_store(str(tmp_path / "text"), clock())
    for url in ("postgresql://nobody:secret@127.0.0.1:1/x", "postgresql://%zz"):
        with pytest.raises(Exception, match=r"cannot be used now|--store") as told:
            open_store(url, clock())
        assert "secret" not in str(told.value)
        assert "what arrives" not in str(told.value), "nothing arrives at a report or an import"


def test_runs_and_gaps():
    assert as_ranges([3, 1, 2, 7, 7]) == ((1, 3), (7, 7))
    assert missing(((2, 3), (6, 9))) == ((1, 1), (4, 5))
    assert missing(()) == ()
    assert json.dumps(as_ranges([5])) == "[[5, 5]]"


def test_a_reader_who_goes_by_the_last_row_misses_nothing_of_two_writers(postgres):
    """Rows were numbered by who wrote first and seen by who committed first: the page went past the slower one's."""
    url = postgres.database("writers")
    with open_store(url, clock()) as slow, open_store(url, clock()) as quick:
        db, done = slow._writer(), threading.Event()

        def second():
            quick.add(batch_of(crack(2, 1), detection(2)))
            done.set()

        other = threading.Thread(target=second)
        seen, newest = [], 0
        with db.transaction():
            slow._add(db, batch_of(crack(1, 1), detection(1)))  # written, and not committed yet
            other.start()
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while not done.is_set() and not quick._ask(waiting)[0][0]:
                done.wait(0.01)
            for row in quick.cracks(Query(after=newest)):
                seen, newest = [*seen, row.number], row.row
        other.join()
        seen += [row.number for row in quick.cracks(Query(after=newest))]
        assert sorted(seen) == [1, 2]
        assert seqs(quick.detections(Query())) == [1, 2]


HOSTILE_CRACKS = {
    "NUL": as_bytes(crack(1, 1)).replace(b'"views"', rb'"note":"\u0000","views"'),
    "half a character": as_bytes(crack(1, 1)).replace(b'"views"', rb'"note":"\ud800","views"'),
    "another crs": as_bytes(crack(1, 1)).replace(
        b'"coordinates"', b'"crs":{"properties":{"name":"EPSG:3857"}},"coordinates"'
    ),
    "heights of some": as_bytes(crack(1, 1)).replace(b"[7.001,50.002]", b"[7.001,50.002,80.5]"),
    "a line of whole degrees": as_bytes(crack(1, 1, path=((7, 50), (8, 51)))),
    "a point": as_bytes(crack(1, 1)).replace(b"LineString", b"Point").replace(
        b"[[7.0,50.0],[7.001,50.002]]", b"[7,50]"
    ),
}  # fmt: skip


@pytest.mark.parametrize("payload", HOSTILE_CRACKS.values(), ids=HOSTILE_CRACKS)
def test_no_crack_ends_the_collector(store, payload):
    """It came again with each start, as the broker had no word for it: nothing was stored any more."""
    batch = batch_of(detection(1))
    if read("spanhawk/drone1/cracks", payload, BEGIN, batch) is None:
        assert store.add(batch).new == 2
        (row,) = store.cracks(Query())
        assert row.payload == payload
        if isinstance(store, PostgresStore):
            ((said, east, north),) = store._ask("SELECT ST_SRID(geom), ST_XMin(geom), ST_YMax(geom) FROM crack")
            assert (said, [row.box[0], row.box[3]]) == (4326, [east, north])
    else:
        assert store.add(batch).new == 1


def test_what_the_server_does_not_take_is_refused_and_the_rest_is_kept(postgres):
    with open_store(postgres.database("unfit"), clock()) as store:
        batch = batch_of(*(detection(seq) for seq in range(1, 8)), crack(1, 1))
        bad = dataclasses.replace(batch.detections[3], kind="a\0b")
        batch.detections[3] = bad
        batch.reviews.append(ReviewRow("drone1", "f1", "c", "confirmed", None, "\ud800", None, BEGIN))
        added = store.add(batch)
        assert (added.new, added.repeats, added.conflicts) == (7, 0, ())
        assert [(one.row, one.what) for one in added.unfit] == [(bad, "detections"), (batch.reviews[0], "reviews")]
        assert seqs(store.detections(Query())) == [1, 2, 3, 5, 6, 7]
        reasons = sorted(row.reason for row in store.refused(9))
        assert all(reason.startswith("the database does not take it: ") for reason in reasons)
        assert sorted(one.reason for one in added.unfit) == reasons
        assert [("0x00" in reason, "surrogates" in reason) for reason in reasons] == [(False, True), (True, False)]
        told = json.loads(receipts_for(batch, [one.row for one in added.unfit])[0][1])
        assert told["ranges"] == [[1, 3], [5, 7]]


@pytest.mark.parametrize("opened", [open_store, open_reader])
def test_postgresql_without_its_library_is_refused_in_a_sentence(opened, monkeypatch):
    monkeypatch.setitem(sys.modules, "edge.ground.postgres", None)
    with pytest.raises(ConfigError, match=r"needs psycopg .*; install it: pip install 'spanhawk\[ground\]'$"):
        opened("postgresql://somebody@localhost/bridges", clock())
