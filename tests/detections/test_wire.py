from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.detections import Detection
from edge.detections.wire import detection_id, feature, mark_historical, schema, to_bytes
from edge.navigation import Attitude, Fix, FixKind, NavState
from edge.surface import CrackSize
from tests.detections.examples import FIX, PLACE, bare, crack, detection, spalling

VALIDATOR = jsonschema.Draft202012Validator(schema())


def check(one: Detection) -> dict[str, object]:
    document: dict[str, object] = json.loads(to_bytes(feature(one)))
    VALIDATOR.validate(document)
    return document


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_full_and_bare_detections_validate() -> None:
    full, nothing = check(detection()), check(bare())
    assert full["geometry"] == {"type": "Point", "coordinates": [3.7174, 51.0543, 55.94]}
    assert nothing["geometry"] is None
    assert full["properties"]["seen_at"] == "2026-06-01T12:00:00.123Z"  # type: ignore[index]


def test_a_height_above_mean_sea_level_alone_is_no_third_number() -> None:
    """RFC 7946, section 4: heights are above the ellipsoid; the other one stays in nav."""
    document = check(detection(place=replace(PLACE, alt_ellipsoid_m=None)))
    assert document["geometry"] == {"type": "Point", "coordinates": [3.7174, 51.0543]}
    assert document["properties"]["nav"]["alt_amsl_m"] == 12.34  # type: ignore[index]


def test_line_damage_has_a_crack_and_area_damage_an_area() -> None:
    line, flat = (check(one)["properties"] for one in (detection(), spalling()))
    assert (line["kind"], flat["kind"]) == ("crack", "spalling")  # type: ignore[index]
    assert (line["area"], flat["crack"], flat["size"]) == (None, None, None)  # type: ignore[index]
    assert flat["area"] == {  # type: ignore[index]
        "outline_px": [[9.5, 19.5], [49.5, 19.5], [49.5, 49.5], [9.5, 49.5]], "area_px": 1190, "extent_px": 50.0,
        "bbox_px": [9.5, 19.5, 49.5, 49.5], "cut_by_frame": False, "gsd_mm_per_px": 0.5, "area_cm2": 2.98,
        "area_sigma_cm2": 0.2, "extent_mm": 25.0, "extent_sigma_mm": 0.8, "incidence_deg": None,
    }  # fmt: skip
    without = check(spalling(size=None))["properties"]["area"]  # type: ignore[index]
    assert (without["area_px"], without["area_cm2"], without["extent_mm"]) == (1190, None, None)


def test_the_place_says_how_it_is_known() -> None:
    known, unknown = (check(one)["properties"]["place"] for one in (detection(), bare()))  # type: ignore[index]
    assert known == {
        "method": "surface", "east_m": 1.25, "north_m": -0.5, "up_m": 3.0, "sigma_m": [0.02, 0.03, None],
        "frame": "enu@51,3.7,5ell",
    }  # fmt: skip
    assert unknown == dict.fromkeys(unknown) | {"method": "none"}


def test_every_published_key_is_described_by_the_schema() -> None:
    described = schema()["properties"]["properties"]["properties"]
    assert set(feature(detection())["properties"]) == set(described)
    for block in ("crack", "size", "place", "nav"):
        assert set(feature(detection())["properties"][block]) == set(schema()["$defs"][block]["properties"])
    assert set(feature(spalling())["properties"]["area"]) == set(schema()["$defs"]["area"]["properties"])


def test_times_of_any_zone_become_utc() -> None:
    there = datetime(2026, 6, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert feature(detection(seen_at=there))["properties"]["seen_at"] == "2026-06-01T12:00:00.000Z"


def test_id_is_stable_and_distinct() -> None:
    assert detection_id("a", "f", 1) == detection_id("a", "f", 1)
    assert len({detection_id(v, f, s) for v in "ab" for f in "fg" for s in range(5)}) == 20


def test_historical_changes_nothing_else() -> None:
    before = feature(detection())
    after = json.loads(mark_historical(to_bytes(before)))
    VALIDATOR.validate(after)
    assert after["properties"].pop("historical") is True
    assert before["properties"].pop("historical") is False
    assert after == json.loads(to_bytes(before))


@pytest.mark.parametrize("payload", [b"[]", b"{}", b'{"properties": 3}', b"{", b"\xff"])
def test_what_is_no_feature_cannot_be_marked(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"Feature|JSON|Expecting|codec|decode"):
        mark_historical(payload)


def test_boxes_are_rounded_as_they_are_read() -> None:
    assert b"12.3," in to_bytes(feature(detection(damage=replace(crack(), path_px=np.full((3, 2), 12.3, np.float32)))))


def test_nan_never_leaves() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_bytes(feature(detection(size=CrackSize(math.nan, 1, 1, 1, None, None, 0.5, 0.01, 0.01))))


@pytest.mark.parametrize(
    ("path", "bad"),
    [
        (("geometry",), {"type": "Point", "coordinates": [200, 0]}),
        (("geometry",), {"type": "Point", "coordinates": [1]}),
        (("properties", "seq"), 0),
        (("properties", "seen_at"), "2026-06-01T12:00:00+02:00"),
        (("properties", "score"), 1.2),
        (("properties", "crack", "path_px"), [[1, 2]]),
        (("properties", "nav", "fix"), "GOOD"),
        (("properties", "nav", "range_m"), 0),
        (("properties", "model", "sha256"), "abc"),
        (("id",), "1"),
    ],
)
def test_the_schema_refuses(path: tuple[str, ...], bad: object) -> None:
    document = feature(detection())
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = bad
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(json.loads(to_bytes(document)))


angles = st.floats(-180, 180)
maybe = st.one_of(st.none(), st.floats(0, 1e4))


@given(
    st.builds(
        Fix, st.sampled_from([k for k in FixKind if k]), st.floats(-90, 90), angles, st.one_of(st.none(), angles),
        maybe, maybe, st.integers(0, 10**6),
    ),
    st.one_of(st.none(), st.builds(Attitude, angles, angles, angles)),
    st.one_of(st.none(), st.floats(0.01, 1e4)),
    st.floats(0, 500, width=32),
    maybe,
)  # fmt: skip
def test_whatever_is_known_validates(
    fix: Fix, attitude: Attitude | None, range_m: float | None, width_px: float, sigma_px: float | None
) -> None:
    check(detection(nav=NavState(0, fix, attitude, range_m), damage=crack(width_px, sigma_px)))


def test_fix_kind_travels_by_name() -> None:
    assert feature(detection())["properties"]["nav"]["fix"] == FIX.kind.name
    assert feature(bare())["properties"]["nav"]["fix"] == "NONE"
