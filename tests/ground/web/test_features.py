"""OGC API Features as its clients see it: Debian's GDAL, which nobody here wrote, and requests that are wrong."""

import json
import shutil
import subprocess

import pytest

from edge.ground import Batch, CoverageRow
from tests.ground.letters import as_bytes, crack, detection
from tests.ground.test_store import batch_of

SQUARE = [[7.0, 50.0], [7.1, 50.0], [7.1, 50.1], [7.0, 50.0]]


@pytest.fixture
def full(client):
    client.store.add(batch_of(*(detection(n, lon=float(n), lat=50.0) for n in range(1, 8)), detection(8, lon=None)))
    client.store.add(batch_of(crack(1, 1, state="tentative"), crack(1, 2), crack(2, 1, path=None)))
    patch = {
        "type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": [[SQUARE]]},
        "properties": {"class": "0.2", "seen": "seen", "reason": None, "narrowest_crack_mm": 0.2, "area_m2": 3.5},
    }  # fmt: skip
    bent = patch | {"geometry": {"type": "Polygon", "coordinates": [[["x", 1e400]]]}}
    document = {"type": "FeatureCollection", "vehicle": "drone1", "flight_id": "f1", "features": [patch, bent, 3]}
    client.store.add(Batch(coverage=[CoverageRow("drone1", "f1", as_bytes(document))]))
    return client


def ids(answer):
    return [one["properties"]["seq"] for one in answer.json["features"]]


def test_gdal_reads_every_collection_page_by_page(full):
    ogrinfo = shutil.which("ogrinfo")
    if ogrinfo is None:
        pytest.skip("GDAL's programs are not installed (apt install gdal-bin)")

    def ask(*arguments):
        command = [ogrinfo, "-oo", "PAGE_SIZE=3", f"OAPIF:{full.site.url}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    everything = ask("-al", "-q", "-geom=YES")
    assert everything.count("OGRFeature(detections)") == 8
    assert everything.count("OGRFeature(cracks)") == 2
    assert everything.count("OGRFeature(coverage)") == 2
    assert "LINESTRING (7 50,7.001 50.002)" in everything
    assert "MULTIPOLYGON (((7 50,7.1 50.0,7.1 50.1,7 50)))" in everything.replace("7.1 50,", "7.1 50.0,")
    assert "width_at_most_mm (Real) = 0.4" in everything
    assert ask("detections", "-q", "-spat", "2.5", "49", "5.5", "51").count("OGRFeature(") == 3


def test_a_crack_names_its_picture_as_the_report_s_files_do(full):
    one = crack(7, 1)
    one["properties"]["best"] = {"frame_name": "DJI_0042", "evidence_sha256": None}
    odd = crack(8, 1)
    odd["properties"]["best"] = {"frame_name": 8, "evidence_sha256": None}
    full.store.add(batch_of(one, odd))
    found = {each["id"]: each["properties"] for each in full.get("/collections/cracks/items").json["features"]}
    names = [found[crack(number, 1)["id"]]["frame_name"] for number in (7, 8, 1)]
    assert names == ["DJI_0042", None, None]


def test_pages_follow_each_other_whatever_arrives_in_between(full):
    first = full.get("/collections/detections/items?limit=3")
    assert (ids(first), first.json["numberMatched"], first.json["numberReturned"]) == ([1, 2, 3], 8, 3)
    assert first.headers["content-type"] == "application/geo+json"
    seen, answer = ids(first), first
    full.store.add(batch_of(detection(9)))
    while following := [one["href"] for one in answer.json["links"] if one["rel"] == "next"]:
        answer = full.get(following[0].partition(str(full.site.port))[2])
        seen += ids(answer)
    assert seen == list(range(1, 10))


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("bbox=2.5,49,4.5,51", [3, 4]),
        ("bbox=2.5,49,0,4.5,51,100", [3, 4]),
        ("bbox=5.5,-90,1.5,90", [1, 6, 7]),
        ("bbox=-180,-90,180,90", [1, 2, 3, 4, 5, 6, 7]),
        ("datetime=2026-05-01T12:00:03Z", [3]),
        ("datetime=2026-05-01T14:00:03%2B02:00/2026-05-01T12:00:04.5Z", [3, 4]),
        ("datetime=../2026-05-01T12:00:02Z", [1, 2]),
        ("datetime=2026-05-01T12:00:08Z/", [8]),
        ("vehicle=drone2", []),
        ("kind=crack&flight_id=f1&limit=999999999", [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_questions(full, asked, found):
    assert ids(full.get(f"/collections/detections/items?{asked}")) == found


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("items?bbox=1,2,3", 400, "bbox: got '1,2,3'"),
        ("items?bbox=1,2,3,nan", 400, "bbox"),
        ("items?bbox=1,60,2,50", 400, "south"),
        ("items?bbox=9999,1,2,50", 400, "longitude"),
        ("items?bbox=1,2,3,4&bbox-crs=EPSG:25832", 400, "CRS84"),
        ("items?datetime=yesterday", 400, "2026-05-01T12:00:00Z"),
        ("items?datetime=../..", 400, "datetime"),
        ("items?datetime=2026-05-02T00:00:00Z/2026-05-01T00:00:00Z", 400, "ends before it begins"),
        ("items?datetime=2026-13-45T00:00:00Z", 400, "datetime"),
        ("items?limit=0", 400, "limit"),
        ("items?limit=-5", 400, "limit"),
        ("items?limit=3&limit=4", 400, "twice"),
        ("items?after=x", 400, "after"),
        ("items?colour=red", 400, "unknown parameter 'colour'"),
        ("items?vehicle=%00", 400, "vehicle"),
        ("items?f=xml", 400, "json"),
        ("items/nobody", 404, "no feature 'nobody'"),
        ("nothing", 404, "there is nothing at"),
    ],
)
def test_what_is_asked_wrongly_is_refused_with_one_sentence(full, path, status, words):
    answer = full.get(f"/collections/detections/{path}")
    assert answer.status == status
    assert answer.json["code"] == str(status)
    assert words in answer.json["description"]


def test_a_collection_that_is_not_there_and_one_feature_of_each(full):
    assert full.get("/collections/bridges/items").status == 404
    assert "known: cracks, detections, coverage" in full.get("/collections/bridges").json["description"]
    for name in ("cracks", "detections", "coverage"):
        listed = full.get(f"/collections/{name}/items").json["features"][0]
        one = full.get(f"/collections/{name}/items/{listed['id']}").json
        assert (one["geometry"], one["properties"]) == (listed["geometry"], listed["properties"])
    id = crack(1, 2)["id"]
    assert full.get(f"/messages/{id}").body == as_bytes(crack(1, 2))
    assert full.get("/messages/nobody").status == 404


def test_what_the_service_says_of_itself(full):
    landing = full.get("/").json
    links = {one["rel"]: one["href"].partition(str(full.site.port))[2] for one in landing["links"]}
    assert {"service-desc", "conformance", "data"} <= set(links)
    assert any(one.endswith("/conf/core") for one in full.get(links["conformance"]).json["conformsTo"])
    for _ in range(2):  # the second answer goes on from what the first one knew
        extents = {
            one["id"]: one["extent"]["spatial"]["bbox"][0] for one in full.get(links["data"]).json["collections"]
        }
        assert extents["cracks"] == [7.0, 50.0, 7.001, 50.002]
        assert extents["coverage"] == [7.0, 50.0, 7.1, 50.1]
    assert extents["detections"] == [1.0, 50.0, 7.0, 50.0]
    full.store.add(batch_of(detection(20, lon=-3.0, lat=51.0)))
    assert full.get("/collections/detections").json["extent"]["spatial"]["bbox"] == [[-3.0, 50.0, 7.0, 51.0]]
    api = full.get(links["service-desc"])
    assert api.headers["content-type"].startswith("application/vnd.oai.openapi+json")
    paths = api.json["paths"]
    assert "/collections/cracks/items" in paths
    for path, asked in paths.items():
        for parameter in asked["get"]["parameters"]:
            name = parameter.get("$ref", "").rpartition("/")[2]
            assert not name or name in api.json["components"]["parameters"]
        if "{" not in path:
            assert full.get(path).status == 200
    assert json.dumps(api.json).count('"$ref"') > 10
