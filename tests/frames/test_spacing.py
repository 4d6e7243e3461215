"""When images were taken: EXIF times that are missing, repeated or run back, and when a run is refused for them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge.frames.exif import Exif
from edge.frames.spacing import Moment, moments
from edge.frames.stills import Still
from edge.support.errors import UsageError

S = 1_000_000_000
NOON = datetime(2026, 5, 28, 12, 0, 0, 250_000)
FOLDER = Path("photos")


def taken(*seconds: float | None, bad: Sequence[int] = ()) -> list[Still]:
    """Photographs so many seconds after noon; None: without an EXIF time. ``bad``: numbers of unreadable ones."""
    return [
        Still(
            FOLDER / f"p{number}.jpg",
            Exif(taken_local=None if second is None else NOON + timedelta(seconds=second)),
            "the file is empty" if number in bad else None,
        )
        for number, second in enumerate(seconds)
    ]


@pytest.mark.parametrize("timed", [True, False])
def test_exif_times_space_the_images(timed: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = moments(taken(0, 10, 40.5), FOLDER, None, timed=timed)
    assert found == [Moment(0), Moment(10 * S), Moment(40_500_000_000)]
    assert not caplog.records


def test_where_all_images_have_both_the_camera_s_tenths_come_before_the_receiver_s_whole_seconds() -> None:
    """Three a second, as drones take them for photogrammetry; GPSTimeStamp names the second of the last fix."""
    stills = [
        Still(
            still.path,
            Exif(
                taken_local=still.exif.taken_local,
                taken_at=datetime(2026, 5, 28, 10, 0, number // 3, tzinfo=timezone.utc),
            ),
            None,
        )
        for number, still in enumerate(taken(0.0, 0.3, 0.6, 1.0))
    ]
    assert [at.offset_ns * 10 // S for at in moments(stills, FOLDER, None, timed=True)] == [0, 3, 6, 10]


@pytest.mark.parametrize(
    ("times", "silent"), [((0, 10, None, 30, 40), [2]), ((0, None, None, 30), [1, 2]), ((0, 10, None), [2])]
)
def test_an_image_without_a_time_moves_no_other_and_is_named(
    times: tuple[float | None, ...], silent: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = moments(taken(*times), FOLDER, None, timed=True)
    assert [number for number, at in enumerate(found) if not at.known] == silent
    assert all(at.offset_ns == round(time * S) for at, time in zip(found, times, strict=True) if time is not None)
    assert f"p{silent[0]}.jpg" in caplog.text
    assert "no place either" in caplog.text


def test_an_unreadable_file_in_the_middle_moves_no_other() -> None:
    found = moments(taken(0, None, 20, 30, bad=[1]), FOLDER, None, timed=True)
    assert [at.offset_ns for at in (found[0], found[2], found[3])] == [0, 20 * S, 30 * S]


@pytest.mark.parametrize(
    ("stills", "words"),
    [
        (taken(None, 10, 20), "p0.jpg is the first image and has no EXIF time"),
        (taken(None, 10, 20, bad=[0]), r"p0.jpg is the first image and unreadable \(the file is empty\)"),
        (taken(0, 20, 10), "p2.jpg is older than p1.jpg by EXIF"),
        (taken(0, None, -5), "p2.jpg is older than p0.jpg by EXIF"),
        (taken(7, 7, 7), "all images carry one EXIF time"),
    ],
)
def test_what_would_have_to_be_made_up_is_refused_once(stills: list[Still], words: str) -> None:
    with pytest.raises(UsageError, match=words + ".*say --fps, or take that image out"):
        moments(stills, FOLDER, None, timed=True)
    assert len(moments(stills, FOLDER, None, timed=False)) == len(stills)  # without places, order is enough
    by_rate = [Moment(number * S // 2) for number in range(len(stills))]
    assert moments(stills, FOLDER, 2.0, timed=True) == by_rate


def test_a_stated_rate_wins_over_exif() -> None:
    assert moments(taken(0, 10, 20), FOLDER, 4.0, timed=True) == [Moment(0), Moment(S // 4), Moment(S // 2)]


def test_images_that_say_nothing_are_not_looked_up_in_a_log(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UsageError, match=r"none of 2 images says when it was taken.*--fps"):
        moments(taken(None, None), FOLDER, None, timed=True)
    with caplog.at_level(logging.WARNING):
        assert moments(taken(None, None), FOLDER, 1.0, timed=True) == [Moment(0), Moment(S)]
        assert moments(taken(None, None), FOLDER, None, timed=False) == [Moment(0), Moment(S)]
        moments(taken(None), FOLDER, None, timed=True)  # one image stands at the beginning, whatever its time
    assert not caplog.records


def test_one_image_with_a_time_gives_the_others_none() -> None:
    assert [at.known for at in moments(taken(0, None, None), FOLDER, None, timed=True)] == [True, False, False]


def test_whole_seconds_are_named(caplog: pytest.LogCaptureFixture) -> None:
    whole = [
        Still(still.path, Exif(taken_local=NOON.replace(microsecond=0) + timedelta(seconds=n)), None)
        for n, still in enumerate(taken(0, 1))
    ]
    with caplog.at_level(logging.WARNING):
        moments(whole, FOLDER, None, timed=True)
    assert "whole seconds" in caplog.text
