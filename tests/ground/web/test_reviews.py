"""What people say of the findings on the ground's page: kept, shown, taken along, and only from the page itself."""

import json

import pytest

from edge.cli import main
from edge.ground import Added, Unfit
from edge.ground.stores import open_store
from edge.ground.web.asking import AskedWronglyError
from edge.ground.web.reviews import Reviews
from tests.ground.letters import clock, crack
from tests.ground.test_store import batch_of

ONE = crack(1, 1)["id"]
SAID = {"verdict": "rejected", "grade": "S2", "remark": "a cable <b> \u202e", "by": "A. Inspector"}


def put(client, said, id=ONE, **headers):
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return client.get(f"/reviews/{id}", method="PUT", body=body, **{"Content_Type": "application/json", **headers})


def test_a_word_is_kept_and_shown_and_goes_into_the_report(client, tmp_path):
    client.store.add(batch_of(crack(1, 1), crack(2, 1)))
    answer = put(client, SAID)
    assert answer.json == {"crack_id": ONE, **SAID, "at": "2026-05-01T12:00:00.000Z"}
    assert client.get("/live/reviews").json == {"reviews": [answer.json]}
    items = {one["id"]: one["properties"] for one in client.get("/collections/cracks/items").json["features"]}
    assert [(items[id]["review"], items[id]["remark"]) for id in (ONE, crack(2, 1)["id"])] == [
        ("rejected", SAID["remark"]), ("unreviewed", None),
    ]  # fmt: skip
    assert client.get(f"/collections/cracks/items/{ONE}").json["properties"]["reviewed_by"] == "A. Inspector"
    document = client.get("/reviews?vehicle=drone1&flight_id=f1")
    assert document.headers["content-disposition"] == 'attachment; filename="review.json"'
    assert document.json == {"schema": "spanhawk/review/1", "flight_id": "f1", "reviews": [answer.json]}
    pytest.importorskip("pyogrio", reason="the extra [report] is not installed")
    asked = ["report", "--store", str(client.folder / "ground.db"), "--flight", "f1"]
    assert main([*asked, "--out", str(tmp_path / "a")]) == 0
    (tmp_path / "review.json").write_bytes(document.body)
    assert main([*asked, "--out", str(tmp_path / "b"), "--review", str(tmp_path / "review.json")]) == 0
    table = (tmp_path / "a" / "cracks.csv").read_text(encoding="utf-8-sig")
    assert "rejected,grade S2; a cable <b>" in table
    assert table == (tmp_path / "b" / "cracks.csv").read_text(encoding="utf-8-sig")


@pytest.mark.parametrize(
    ("said", "id", "headers", "status", "words"),
    [
        (SAID, "nobody", {}, 404, "no crack 'nobody'"),
        (SAID | {"verdict": "ok"}, ONE, {}, 400, "got 'ok', needs one of confirmed"),
        (SAID | {"crack_id": "x"}, ONE, {}, 400, "an object of verdict"),
        (SAID | {"remark": "x" * 4001}, ONE, {}, 400, "at most 4000 characters"),
        (SAID | {"remark": "a\0b"}, ONE, {}, 400, "remark: holds a character that no database keeps"),
        (SAID | {"remark": "\ud83d"}, ONE, {}, 400, "remark: holds a character that no database keeps"),
        (SAID | {"grade": 3}, ONE, {}, 400, "grade: needs a text"),
        (b"[" * 9000, ONE, {}, 400, "not JSON"),
        (b"x" * 40_000, ONE, {}, 413, "32768"),
        (SAID, ONE, {"Content_Type": "text/plain"}, 415, "application/json"),
        (SAID, ONE, {"Sec_Fetch_Site": "cross-site"}, 403, "from this page only"),
        (SAID, ONE, {"host": "evil.example"}, 403, "localhost"),
    ],
)
def test_what_is_no_review_or_comes_from_elsewhere_is_refused(client, said, id, headers, status, words):
    client.store.add(batch_of(crack(1, 1)))
    answer = put(client, said, id, **headers)
    assert answer.status == status
    assert words in answer.json["description"]
    assert client.store.reviews() == []


def test_a_page_of_another_origin_gets_no_leave_and_a_review_names_its_flight(client):
    asked = client.get(f"/reviews/{ONE}", method="OPTIONS", Origin="https://evil.example",
                       Access_Control_Request_Method="PUT")  # fmt: skip
    assert asked.status == 405
    assert not [name for name in asked.headers if name.startswith("access-control")]
    assert "flight_id is missing" in client.get("/reviews").json["description"]


def test_a_word_that_the_database_does_not_take_is_not_called_kept(tmp_path, monkeypatch):
    def refuse(batch):
        return Added(0, 0, (), (Unfit(batch.reviews[0], "reviews", "it is too odd"),))

    with open_store(str(tmp_path / "ground.db"), clock()) as store:
        store.add(batch_of(crack(1, 1)))
        monkeypatch.setattr(store, "add", refuse)
        with pytest.raises(AskedWronglyError, match="the review was not kept: it is too odd"):
            Reviews(store, clock()).put(ONE, json.dumps(SAID).encode())
