import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.mqtt import topics
from edge.support.errors import ConfigError


def test_the_names_relied_on_from_outside():
    assert [
        topics.detections_topic("d1"), topics.status_topic("d1"), topics.telemetry_topic("d1"),
        topics.receipts_topic("d1"), topics.commands_topic("d1"), topics.replies_topic("d1"),
    ] == [
        "spanhawk/d1/detections", "spanhawk/d1/status", "spanhawk/d1/telemetry",
        "spanhawk/d1/receipts", "spanhawk/d1/commands", "spanhawk/d1/commands/replies",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["drone", "Elbe Brücke 3", "d-1_2.3", "無人機", "x" * 64, "$drone"])
def test_good_vehicle_names(name):
    topics.check_vehicle(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"), (" a", "space"), ("a ", "space"), ("a+b", r"contains \+"), ("#", "contains #"),
        ("a/b", "contains /"), ("a\0b", "cannot be printed"), ("a\nb", "cannot be printed"),
        ("x" * 65, "longer than 64 bytes"), ("ü" * 33, "longer than 64 bytes"), ("\udc80", "cannot be printed"),
    ],
)  # fmt: skip
def test_bad_vehicle_names_are_refused_with_the_reason(name, why):
    with pytest.raises(ConfigError, match=why):
        topics.check_vehicle(name)


@given(st.text())
def test_a_name_that_passes_fits_into_one_level_of_a_topic(name):
    try:
        topics.check_vehicle(name)
    except ConfigError:
        return
    topic = topics.commands_topic(name)
    assert topic.split("/") == ["spanhawk", name, "commands"]
    assert topics.topic_size_bytes(topic) == len(topic.encode())


@pytest.mark.parametrize("topic", ["ground/7/replies", "spanhawk/d1/commands/replies/7", "spanhawk/d2/x", "é"])
def test_where_replies_may_go(topic):
    assert topics.may_reply_to(topic, "d1")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "#",
        "a/+",
        "a\0",
        "$SYS/x",
        "spanhawk/d1/commands",
        "spanhawk/d1/status",
        "spanhawk/d1/x",
        "x" * 1025,
        "\ud800",
    ],
)
def test_where_replies_must_not_go(topic):
    assert not topics.may_reply_to(topic, "d1")
