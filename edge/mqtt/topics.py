"""The names of the topics, and which vehicle names fit into them.

==================================== =============== ====================================================
``spanhawk/VEHICLE/detections``       QoS 1           a Feature, at least once, same id on a repeat
``spanhawk/VEHICLE/cracks``           QoS 1           a Feature for each revision of a crack of the flight
``spanhawk/VEHICLE/coverage``         QoS 1, retained what the flight saw so far, at most twice a minute
``spanhawk/VEHICLE/status``           QoS 1, retained online / flying / degraded / offline; the last will
``spanhawk/VEHICLE/telemetry``        QoS 0           once a second
``spanhawk/VEHICLE/receipts``         QoS 1           from the ground: what is safely stored there
``spanhawk/VEHICLE/commands``         QoS 1           to the vehicle
``spanhawk/VEHICLE/commands/replies`` QoS 1          answers to askers who named no topic of their own
``spanhawk/VEHICLE/doctor``           QoS 1           one message of ``spanhawk doctor``; means nothing else
==================================== =============== ====================================================
"""

from __future__ import annotations

from edge.support.errors import ConfigError

_MAX_VEHICLE_BYTES = 64
# MQTT 5.0, 1.5.4 and 4.7.3: a topic name is 1 to 65,535 bytes of UTF-8.
_MAX_TOPIC_BYTES = 65535
# A reply is sent to no longer name than this: none is needed.
_MAX_REPLY_TOPIC_BYTES = 1024


def detections_topic(vehicle: str) -> str:
    """Where detections go."""
    return _topic(vehicle, "detections")


def cracks_topic(vehicle: str) -> str:
    """Where the flight's cracks go, a few messages for each."""
    return _topic(vehicle, "cracks")


def coverage_topic(vehicle: str) -> str:
    """What the flight saw so far; retained, so that a ground that comes late has it."""
    return _topic(vehicle, "coverage")


def status_topic(vehicle: str) -> str:
    """The retained state of the vehicle, and its last will."""
    return _topic(vehicle, "status")


def telemetry_topic(vehicle: str) -> str:
    """Once a second, only of interest now."""
    return _topic(vehicle, "telemetry")


def receipts_topic(vehicle: str) -> str:
    """From the ground: what is safely stored there."""
    return _topic(vehicle, "receipts")


def commands_topic(vehicle: str) -> str:
    """To the vehicle."""
    return _topic(vehicle, "commands")


def replies_topic(vehicle: str) -> str:
    """Answers to askers who named no response topic (MQTT 3.1.1 has none)."""
    return _topic(vehicle, "commands/replies")


def doctor_topic(vehicle: str) -> str:
    """Where ``spanhawk doctor`` sends its one message."""
    return _topic(vehicle, "doctor")


def check_vehicle(name: str) -> None:
    """Raise ConfigError unless ``name`` can stand in a topic: 1 to 64 bytes of UTF-8, printable, without + # /."""
    reason = _fault(name)
    if reason is not None:
        raise ConfigError(f'vehicle: got {name!r}, which {reason}; give it a short name, as vehicle = "drone1"')


def may_reply_to(topic: str, vehicle: str) -> bool:
    """Whether an asker's response topic is used: no wildcard, not absurdly long, none of the vehicle's own topics.

    A reply on ``commands`` would be read as a command, one on ``status`` would be believed.
    """
    size = topic_size_bytes(topic)
    own = topic.startswith(f"spanhawk/{vehicle}/") and not topic.startswith(replies_topic(vehicle))
    return size is not None and size <= _MAX_REPLY_TOPIC_BYTES and not own and not topic.startswith("$")


def topic_size_bytes(topic: str) -> int | None:
    """Size of a topic one can publish on (MQTT 5.0, 4.7); None when it is none: empty, too long, with + # or NUL."""
    try:
        size = len(topic.encode())
    except UnicodeEncodeError:
        return None
    return size if 0 < size <= _MAX_TOPIC_BYTES and not any(c in topic for c in "+#\0") else None


def _topic(vehicle: str, what: str) -> str:
    return f"spanhawk/{vehicle}/{what}"


def _fault(name: str) -> str | None:
    if not name or name != name.strip():
        return "is empty or begins or ends with a space"
    forbidden = sorted({c for c in name if c in "+#/"})
    if forbidden:
        return f"contains {' '.join(forbidden)} (these have a meaning in MQTT topics)"
    if not name.isprintable():
        return "contains a character that cannot be printed"
    if len(name.encode()) > _MAX_VEHICLE_BYTES:
        return f"is longer than {_MAX_VEHICLE_BYTES} bytes"
    return None
