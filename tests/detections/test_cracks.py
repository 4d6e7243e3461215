import json
from dataclasses import replace
from datetime import datetime, timezone

import jsonschema
import numpy as np
import pytest

from edge.detections.cracks import crack_feature, crack_id, revision_id, schema
from edge.detections.wire import mark_historical, to_bytes
from edge.surface.record import Best, CrackState

VALIDATOR = jsonschema.Draft202012Validator(schema())
AT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
PATH = np.column_stack([np.linspace(0, 3, 40), np.zeros(40), np.linspace(1, 2, 40)])
STATE = CrackState(
    number=7, revision=2, state="confirmed", into=None, views=9, missed=1, first_seen=AT, last_seen=AT, path_m=PATH,
    frame="enu@51.0536013,3.7203318,48.20ell", path_chart=PATH[:, :2], chart=1, length_mm=3162.0, length_sigma_mm=63.0,
    length_px=4865.0, width_mm=(0.62, 0.05), width_at_most_mm=None, width_px=(2.4, 0.1), score=0.97,
    best=Best(12, "frame_000012", "0" * 64, 812.0, 0.65),
)  # fmt: skip


def _valid(state: CrackState) -> dict:
    found = crack_feature("drone1", "flight", "crack", state)
    VALIDATOR.validate(found)
    to_bytes(found)
    return found


def test_the_schema_is_itself_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_a_straight_crack_of_three_metres_lies_on_the_earth_where_it_should() -> None:
    found = _valid(STATE)
    coordinates = found["geometry"]["coordinates"]
    assert len(coordinates) == 2  # a straight line needs no more
    (lon, lat, height), (east, same, above) = coordinates
    assert (lat, lon) == pytest.approx((51.0536013, 3.7203318), abs=1e-8)
    assert (height, above) == pytest.approx((49.2, 50.2), abs=0.002)
    # One degree of longitude on WGS 84 at this latitude: 111.412 cos(lat) - 0.0935 cos(3 lat) km.
    metres = 1000 * (111.41288 * np.cos(np.radians(lat)) - 0.09350 * np.cos(3 * np.radians(lat)))
    assert (east - lon) * metres == pytest.approx(3.0, abs=0.003)
    assert same == pytest.approx(lat, abs=1e-7)
    assert found["properties"]["width_mm"] == {"value": 0.62, "sigma": 0.05, "low": 0.52, "high": 0.72}


def test_what_is_unknown_is_null() -> None:
    found = _valid(
        replace(STATE, path_m=None, frame=None, length_mm=None, length_sigma_mm=None, width_mm=None, width_px=None)
    )
    assert found["geometry"] is None
    assert found["properties"]["place"] == {"frame": None, "path_m": None}
    assert found["properties"]["length_mm"] is None


def test_a_structures_own_metres_are_no_place_on_the_earth() -> None:
    found = _valid(replace(STATE, frame="structure:pier 3"))
    assert found["geometry"] is None
    assert found["properties"]["place"]["frame"] == "structure:pier 3"


def test_a_crack_that_proved_to_be_a_part_of_another_says_of_which() -> None:
    found = _valid(replace(STATE, state="withdrawn", into=3, path_m=None, path_chart=np.zeros((0, 2)), chart=0))
    assert found["properties"]["merged_into"] == crack_id("drone1", "flight", 3)


def test_ids_are_the_same_on_every_repeat_and_differ_by_flight_and_revision() -> None:
    assert crack_id("a", "f", 1) == crack_id("a", "f", 1)
    assert len({crack_id(v, f, n) for v in "ab" for f in "fg" for n in (1, 2)}) == 8
    assert revision_id(crack_id("a", "f", 1), 1) != revision_id(crack_id("a", "f", 1), 2)


def test_what_is_delivered_late_says_so_and_is_still_valid() -> None:
    late = json.loads(mark_historical(to_bytes(_valid(STATE))))
    VALIDATOR.validate(late)
    assert late["properties"]["historical"] is True


def test_a_bend_is_kept() -> None:
    bent = np.concatenate(
        [PATH[:20], PATH[19] + np.column_stack([np.zeros(20), np.zeros(20), -np.linspace(0.1, 2, 20)])]
    )
    found = _valid(replace(STATE, path_m=bent))
    assert len(found["geometry"]["coordinates"]) == 3
