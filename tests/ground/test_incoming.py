"""Two JSON decoders read what arrives: the quick one must take nothing that the strict one refuses."""

import orjson
import pytest

from edge.ground import Batch, incoming
from edge.ground.incoming import read
from tests.ground.letters import BEGIN, as_bytes, crack, detection
from tests.ground.test_collector import HOSTILE

DEEP = b'"x":' + b"[1," * 99 + b"1" + b"]" * 99 + b',"kind"'
PAYLOADS = HOSTILE | {
    "a detection": as_bytes(detection(1)),
    "no place": as_bytes(detection(1, lon=None)),
    "brackets in a text": as_bytes(detection(1, note="[[[]{{")),
    "objects in a list": as_bytes(detection(1, more=[{"a": 1}, {"a": [2, {"b": None}]}])),
    "a colon in a text": as_bytes(detection(1, note='":')),
    "a large number elsewhere": as_bytes(detection(1)).replace(b'"kind"', b'"x":123456789012345678901234,"kind"'),
    "lists nested deeply": as_bytes(detection(1)).replace(b'"kind"', DEEP),
    "nearly": as_bytes(detection(1))[:-1],
    "more behind": as_bytes(detection(1)) + b"{}",
    "byte order mark": b"\xef\xbb\xbf" + as_bytes(detection(1)),
    "minus nothing": as_bytes(detection(1)).replace(b"0.9", b"-"),
    "leading zero": as_bytes(detection(1)).replace(b"0.9", b"00.9"),
}  # fmt: skip


def outcome(topic, payload):
    batch = Batch()
    refused = read(topic, payload, BEGIN, batch)
    return batch, None if refused is None else refused.reason


@pytest.mark.parametrize("name", PAYLOADS)
def test_both_decoders_give_the_same(name, monkeypatch):
    quick = outcome("spanhawk/drone1/detections", PAYLOADS[name])
    monkeypatch.setattr(incoming, "orjson", None)
    assert outcome("spanhawk/drone1/detections", PAYLOADS[name]) == quick


def test_the_quick_one_is_used_for_what_is_ordinary():
    assert incoming._quickly(as_bytes(detection(1))) == orjson.loads(as_bytes(detection(1)))
    assert incoming._quickly(as_bytes(crack(1, 1))) is not None
    assert incoming._quickly(PAYLOADS["twice"]) is None
    assert incoming._quickly(PAYLOADS["lists nested deeply"]) is None
