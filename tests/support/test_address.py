"""Addresses without their passwords, in the forms of cameras' manuals, and with letters that nobody escaped."""

import pytest

from edge import settings
from edge.support import config
from edge.support.address import masked


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://cam.local:554/main", "rtsp://cam.local:554/main"),
        ("rtsp://admin:s3cret@10.0.0.2/main", "rtsp://***@10.0.0.2/main"),
        ("rtsp://admin:s3/cret@cam/1", "rtsp://***@cam/1"),
        ("rtsp://admin:s3@cret@cam/1", "rtsp://***@cam/1"),
        ("rtsp://admin:s3@cr/et@10.0.0.2/main", "rtsp://***@10.0.0.2/main"),
        ("rtsp://admin:s3?c#ret@cam/1", "rtsp://***@cam/1"),
        ("rtsp://cam/1?user=admin&password=s3cret", "rtsp://cam/1?***"),
        ("http://10.0.0.2/video.cgi?usr=a&pwd=s3cret", "http://10.0.0.2/video.cgi?***"),
        ("rtsp://cam:554/user=admin&password=s3cret&channel=1&stream=0.sdp?real_stream", "rtsp://cam:554/***"),
        ("rtsp://cam:554/user=admin_password=s3cret_channel=1_stream=0.sdp", "rtsp://cam:554/***"),
        ("rtsp://cam:554//live/user=admin/password=s3cret", "rtsp://cam:554//live/***"),
        ("rtsp://cam:554/live/user%3Dadmin%26password%3ds3cret", "rtsp://cam:554/live/***"),
        ("rtsp://admin:s3cret@cam/user=admin&password=s3cret", "rtsp://***@cam/***"),
        ("RTSP://a:s3cret\n@h/", "RTSP://***@h/"),
        ("rtsp:/admin:s3cret@cam/1", "rtsp:/***@cam/1"),  # as a path of Python's shortens it
        ("rtspsrc location=rtsp://admin:s3cret@cam/1 latency=0", "rtspsrc location=rtsp://***@cam/***"),
    ],
)
def test_no_password_of_an_address_is_shown(address: str, shown: str) -> None:
    seen = masked(address)
    assert "s3" not in seen
    assert "cret" not in seen
    assert seen == shown


@pytest.mark.parametrize("text", ["/data/a=b/photos", "udp:127.0.0.1:14550", "admin@host", "flights/1?x#y", ""])
def test_what_is_no_address_stays_as_it_is(text: str) -> None:
    assert masked(text) == text


def test_the_configuration_is_shown_without_a_camera_s_password() -> None:
    text = 'vehicle = "d1"\n[camera]\nbackend = "video"\nsource = "rtsp://admin:s3/cret@cam/1"\n'
    shown = settings.effective(settings.from_table(config.loads(text, "test"), "test"))
    assert "cret" not in shown
    assert 'source = "rtsp://***@cam/1"' in shown
