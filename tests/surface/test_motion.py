"""How far a picture moved during its exposure, from where its frames lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.cracks.smear import Smear
from edge.surface.motion import Motion
from edge.surface.registration import Registered
from tests.surface.wall import HEIGHT, WIDTH, placed, to_wall_of

SIZE = HEIGHT, WIDTH
TENTH_NS = 100_000_000
RIGHT, DOWN = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])


def flown(places: list[Registered], exposure_us: int = 10_000) -> list[Smear | None]:
    """What frames a tenth of a second apart say."""
    motion = Motion()
    return [motion.smear(place, number * TENTH_NS, exposure_us, SIZE) for number, place in enumerate(places)]


def middle(smear: Smear | None) -> np.ndarray:
    """Way of the middle of the picture, (2,)."""
    assert smear is not None
    return smear.way @ np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2, 1.0])


def test_the_way_is_speed_times_exposure_and_what_is_seen_moves_against_the_camera() -> None:
    first, second, third = flown([placed(0, 0), placed(100, 30), placed(200, 60)])
    assert first is None, "one frame does not move"
    assert middle(second) == pytest.approx([-10.0, -3.0])
    assert middle(third) == pytest.approx([-10.0, -3.0])
    assert second is not None
    assert third is not None
    assert third.sigma_px < 0.5 < second.sigma_px, "the second frame cannot know whether the speed changes"
    assert third.length_at((WIDTH - 1) / 2, (HEIGHT - 1) / 2) == pytest.approx(109**0.5)


def test_a_speed_that_changes_evenly_is_carried_on_to_the_exposure() -> None:
    """x = 500 t^2: at 0.3 s it is 300 px a second, between the last two frames it was 250."""
    smears = flown([placed(500 * (0.1 * number) ** 2, 0) for number in range(4)])
    assert middle(smears[-1]) == pytest.approx([-3.0, 0.0])
    last = smears[-1]
    assert last is not None
    assert last.sigma_px == pytest.approx(0.7, rel=0.05), "0.7 of what the speed changed by"


def test_noise_of_registration_is_in_the_uncertainty() -> None:
    """Steady flight, places off by a pixel: nine of ten ways lie within 1.645 of their uncertainties."""
    rng = np.random.default_rng(3)
    smears = flown([placed(60.0 * k + rng.normal(), rng.normal()) for k in range(300)])[4:]
    off = np.array([middle(smear) - (-6.0, 0.0) for smear in smears])
    sigma = np.array([smear.sigma_px for smear in smears if smear is not None])
    assert 0.85 <= np.mean(np.abs(off) <= 1.645 * sigma[:, None]) <= 0.99


def test_a_turn_moves_the_border_and_not_the_middle() -> None:
    """A turn of two degrees in a tenth of a second: at 200 px from the middle 70 px a second."""
    turned = [replace(placed(0, 0), to_chart=to_wall_of(0, 0, 2.0 * k)) for k in range(3)]
    smear = flown(turned)[-1]
    assert np.abs(middle(smear)).max() < 0.02
    assert smear is not None
    beside = np.array([[WIDTH / 2 + 200.0, HEIGHT / 2]])
    assert smear.across(beside, DOWN) == pytest.approx([0.698], abs=0.02)
    assert smear.across(beside, RIGHT) == pytest.approx([0.0], abs=0.03)


def test_nothing_is_said_without_exposure_over_a_gap_on_another_chart_or_once_the_chart_was_bent() -> None:
    motion = Motion()
    assert motion.smear(placed(0, 0), 0, 10_000, SIZE) is None
    assert motion.smear(placed(10, 0), TENTH_NS, None, SIZE) is None
    assert motion.smear(placed(20, 0), 2 * TENTH_NS, 10_000, SIZE) is not None, "its place counts all the same"
    assert motion.smear(placed(30, 0), 12 * TENTH_NS, 10_000, SIZE) is None, "a second is too long"
    assert motion.smear(replace(placed(40, 0), chart=2), 13 * TENTH_NS, 10_000, SIZE) is None
    assert motion.smear(None, 14 * TENTH_NS, 10_000, SIZE) is None
    assert motion.smear(replace(placed(50, 0), chart=2), 15 * TENTH_NS, 10_000, SIZE) is None
    metres = replace(placed(60, 0), chart=2, rebased=np.eye(3))
    assert motion.smear(metres, 16 * TENTH_NS, 10_000, SIZE) is None, "places before are in other units"


def test_nothing_is_said_of_another_size_of_a_place_by_pose_alone_or_of_impossible_times() -> None:
    motion = Motion()
    assert motion.smear(placed(0, 0), 0, 5_000, SIZE) is None
    assert motion.smear(placed(0, 0), TENTH_NS, 5_000, (HEIGHT // 2, WIDTH // 2)) is None, "pixels of another size"
    assert motion.smear(placed(0, 0), 2 * TENTH_NS, 5_000, SIZE) is None
    assert motion.smear(placed(4, 0), 2 * TENTH_NS + 1000, 5_000, SIZE) is None, (
        "exposed for longer than since the last"
    )
    assert motion.smear(replace(placed(9, 0), method="predicted"), 3 * TENTH_NS, 5_000, SIZE) is None
    assert motion.smear(placed(10, 0), 4 * TENTH_NS, 5_000, SIZE) is None, "nothing measured to begin from"
    assert motion.smear(placed(11, 0), 5 * TENTH_NS, 5_000, SIZE) is not None


def test_a_place_that_is_corrected_once_makes_its_frames_unsure() -> None:
    """10 px a frame, and one frame whose place jumps by 10 more: its way is off by half of the jump's share."""
    steps = [10.0 * k + (10.0 if k >= 20 else 0.0) for k in range(23)]
    for smear in flown([placed(x, 0) for x in steps])[18:]:
        assert smear is not None
        assert abs(middle(smear)[0] + 1.0) <= 2.5 * smear.sigma_px
