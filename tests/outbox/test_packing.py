"""Letters packed for the disk: what comes out is what went in, and what real letters become."""

import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.detections.cracks import schema as crack_schema
from edge.detections.wire import schema as detection_schema
from edge.outbox import packing

GOLDEN = Path(__file__).parents[1] / "golden/detections.jsonl"
WORDS_CRC = {1: 0xF4099934}


@given(st.one_of(st.binary(max_size=3000), st.text(max_size=900).map(str.encode)))
def test_what_comes_out_is_what_went_in(payload):
    form, packed = packing.pack(payload)
    assert packing.unpack(form, packed) == payload
    assert len(packed) <= len(payload)


@pytest.mark.parametrize("size", [65_536, 65_537, 300_000])
def test_large_letters_are_not_packed_and_come_back(size):
    form, packed = packing.pack(b"z" * size)
    assert (form == packing.PLAIN) is (size > 65_536)
    assert packing.unpack(form, packed) == b"z" * size


def test_detections_become_a_third():
    lines = GOLDEN.read_bytes().splitlines()
    assert sum(len(packing.pack(line)[1]) for line in lines) < 0.36 * sum(map(len, lines))


def test_words_that_were_written_with_never_change():
    """A letter of an older spanhawk is read with the words it was packed with."""
    assert {number: zlib.crc32(words) for number, words in packing._WORDS.items()} == WORDS_CRC


@pytest.mark.parametrize("schema", [detection_schema, crack_schema])
def test_the_words_are_those_of_the_schemas(schema):
    """A property with a new name costs its name in each letter; then it is time for new words."""
    names = [f'"{name}":'.encode() for name in schema()["properties"]["properties"]["properties"]]
    missing = [name for name in names if name not in packing._WORDS[packing._NEWEST]]
    assert missing == []


@pytest.mark.parametrize(
    ("form", "packed", "says"),
    [
        (7, b"x", "packed in form 7; this spanhawk knows 0 to 1"),
        (1, b"\xff\xff\xff", "cannot be unpacked"),
        (1, packing.pack(b'{"type":"Feature"}')[1][:-1], "cut, or longer"),
        (1, packing.pack(b'{"type":"Feature"}')[1] + b"x", "cut, or longer"),
        (1, b"", "cut, or longer"),
    ],
)
def test_broken_letters_are_refused(form, packed, says):
    with pytest.raises(ValueError, match=says):
        packing.unpack(form, packed)
