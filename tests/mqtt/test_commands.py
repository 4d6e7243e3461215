import json
import string
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.mqtt.commands import MAX_COMMAND_BYTES, Command, CommandError, parse, reply
from edge.support.clock import UTC

KNOWN = ("start", "stop", "snapshot", "ping", "flush")
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_a_plain_command():
    assert parse(b'{"command": "ping"}', KNOWN) == Command("ping", None)
    assert parse(b' {"id":"7f3a","command":"stop"}\n', KNOWN) == Command("stop", "7f3a")
    assert parse('{"id":"Grüße","command":"stop"}'.encode(), KNOWN) == Command("stop", "Grüße")
    assert parse(b'{"command":"ping","id":null,"expires_at":null}', KNOWN) == Command("ping", None)


@pytest.mark.parametrize(
    "moment",
    ["2026-05-01T12:00:01Z", "2026-05-01t12:00:00.5z", "2026-05-01T14:30:00+02:00", "2026-05-01T12:00:00.123456789Z"],
)
def test_a_command_in_time(moment):
    assert parse(json.dumps({"command": "ping", "expires_at": moment}).encode(), KNOWN, NOW).name == "ping"


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", "not a JSON object"),
        (b"ping", "not a JSON object"),
        (b'"ping"', "not a JSON object but a text"),
        (b"[]", "but an array"),
        (b"null", "but null"),
        (b"17", "but a number"),
        (b"true", "but true or false"),
        (b"{}", 'needs "command"'),
        (b'{"command": 3}', 'needs "command"'),
        (b'{"command": "fly"}', "unknown command 'fly'; known: flush, ping, snapshot, start, stop"),
        (b'{"command": "snapshop"}', "did you mean snapshot"),
        (b'{"command":"ping","altitude":9}', "unknown key 'altitude'"),
        (b'{"command":"ping","command":"stop"}', "a key appears twice"),
        (b'{"command":"ping","id":NaN}', "NaN is not JSON"),
        (b'{"command":"ping","id":-Infinity}', "-Infinity is not JSON"),
        (b'{"command":"ping","id":1e999}', "a number is too large"),
        (b'{"command":"ping","id":7}', '"id" must be a text'),
        (b'{"command":"ping","id":"a\\u0000"}', '"id" must be a text'),
        (b'{"command":"ping","id":"\\ud800"}', '"id" must be a text'),
        (b'{"command":"ping","id":"' + b"x" * 65 + b'"}', "at most 64"),
        (b'{"command":"ping","id":{"id":{}}}', '"id" must be a text'),
        (b"\xff\xfe", "not UTF-8 text"),
        ('{"command":"ping"}'.encode("utf-16"), "not UTF-8 text"),
        (b'\xef\xbb\xbf{"command":"ping"}', "not a JSON object"),
        (b'{"command":"ping"} trailing', "not a JSON object"),
        (b"[" * 4000, "nested"),
        (b'{"a":' * 800, "nested"),
        (b'{"command":"ping"}' + b" " * 5000, "at most 4096 bytes"),
        (b"9" * 4096, "not a JSON object"),
        (b'{"command":"ping","expires_at":"tomorrow"}', "RFC 3339"),
        (b'{"command":"ping","expires_at":"2026-05-01T12:00:01"}', "RFC 3339 with a zone"),
        (b'{"command":"ping","expires_at":"2026-02-31T12:00:00Z"}', "RFC 3339"),
        (b'{"command":"ping","expires_at":1777636800}', "RFC 3339"),
        (b'{"command":"ping","expires_at":"2026-05-01T11:59:59Z"}', "expired at 2026-05-01T11:59:59Z, here it is"),
        (b'{"command":"ping","expires_at":"2026-05-01T13:59:59+02:00"}', "expired"),
        (b'{"command":"ping","expires_at":"0001-01-01T00:00:00+23:59"}', "expired"),
    ],
)
def test_what_is_refused_and_why(payload, why):
    with pytest.raises(CommandError) as caught:
        parse(payload, KNOWN, NOW)
    assert why in str(caught.value)
    answer = json.loads(reply(caught.value))
    assert answer["ok"] is False
    assert answer["error"] == str(caught.value)


def test_without_a_clock_a_command_that_expires_is_refused():
    with pytest.raises(CommandError, match="clock on board is not set"):
        parse(b'{"command":"ping","expires_at":"2036-05-01T12:00:00Z"}', KNOWN, None)


def test_a_refusal_names_the_asker_where_it_can():
    with pytest.raises(CommandError) as caught:
        parse(b'{"command":"fly","id":"7"}', KNOWN)
    assert (caught.value.command, caught.value.id) == ("fly", "7")
    assert json.loads(reply(caught.value))["id"] == "7"


@pytest.mark.parametrize("kind", [bytes, str, dict])
def test_whatever_arrives_nothing_but_a_command_error_comes_out(kind):
    keys = st.text() | st.sampled_from(["command", "id", "expires_at"])
    json_like = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(KNOWN),
        lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
        max_leaves=20,
    )  # fmt: skip
    payloads = {
        bytes: st.binary(max_size=6000),
        str: st.text(alphabet=string.printable, max_size=300).map(str.encode),
        dict: json_like.map(lambda value: json.dumps(value).encode()),
    }[kind]

    @given(payloads, st.sampled_from([None, NOW]))
    def never_raises_anything_else(payload, now):
        try:
            command = parse(payload, KNOWN, now)
        except CommandError as refusal:
            answer = json.loads(reply(refusal).decode("utf-8"))
            assert answer["ok"] is False
            assert len(reply(refusal)) < MAX_COMMAND_BYTES
        else:
            assert command.name in KNOWN
            assert command.id is None or command.id.isprintable()

    never_raises_anything_else()


@given(
    st.sampled_from(KNOWN),
    st.text(st.characters(exclude_categories=["C", "Z"]), max_size=64),
    st.integers(1, 10**6),
    st.integers(-14 * 60, 14 * 60),
)  # fmt: skip
def test_every_good_command_is_read(name, id, seconds, zone_minutes):
    zone = timezone(timedelta(minutes=zone_minutes))
    expires = (NOW + timedelta(seconds=seconds)).astimezone(zone).isoformat()
    payload = json.dumps({"command": name, "id": id, "expires_at": expires}).encode()
    assert parse(payload, KNOWN, NOW) == Command(name, id)


def test_replies():
    command = Command("snapshot", "7")
    assert json.loads(reply(command, result={"file": "a.jpg"})) == {
        "command": "snapshot", "id": "7", "ok": True, "error": None, "result": {"file": "a.jpg"},
    }  # fmt: skip
    assert json.loads(reply(command, error="no camera")) == {
        "command": "snapshot", "id": "7", "ok": False, "error": "no camera", "result": {},
    }  # fmt: skip
    assert json.loads(reply(None, error="unreadable"))["command"] is None
    with pytest.raises(ValueError, match="JSON"):
        reply(command, result={"fps": float("nan")})


def test_resend_may_name_ranges_of_a_flight():
    command = parse(b'{"command":"resend","flight_id":"f1","ranges":[[1,3],[7,7]]}', ["resend", "ping"])
    assert (command.flight_id, command.seqs) == ("f1", (1, 2, 3, 7))
    assert parse(b'{"command":"resend"}', ["resend"]).seqs is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ('"ranges":[[1,3]]', 'needs "flight_id"'),
        ('"flight_id":"f1"', "pairs of rising numbers"),
        ('"flight_id":"f1","ranges":[]', "pairs of rising numbers"),
        ('"flight_id":"f1","ranges":[[3,1]]', "pairs of rising numbers"),
        ('"flight_id":"f1","ranges":[[0,1]]', "pairs of rising numbers"),
        ('"flight_id":"f1","ranges":[[1,true]]', "pairs of rising numbers"),
        ('"flight_id":"f1","ranges":[[1,99999999999]]', "pairs of rising numbers"),
        ('"flight_id":"f1","ranges":' + str([[n, n] for n in range(1, 70)]), "pairs of rising numbers"),
    ],
)
def test_ranges_that_cannot_be_are_refused(given, told):
    with pytest.raises(CommandError, match=told):
        parse(('{"command":"resend",' + given + "}").encode(), ["resend"])


def test_ranges_belong_to_resend_alone():
    with pytest.raises(CommandError, match="unknown key"):
        parse(b'{"command":"ping","flight_id":"f1","ranges":[[1,3]]}', ["resend", "ping"])
