"""Several classes in one network: each mask holds all of them, in the card's order, each with its own threshold."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pytest

from edge.frames import Frame
from edge.masks import DamageClass, litert
from edge.support.clock import ManualClock


def noise(height: int, width: int) -> Frame:
    rgb = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=rgb, lores=np.ascontiguousarray(rgb[::2, ::2]))


@pytest.fixture
def options(fixtures):
    return {"bundle": fixtures / "kinds", "unsigned": "allow", "threads": 1}


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc))


@pytest.mark.parametrize(("height", "width"), [(7, 5), (64, 96), (150, 222)])
def test_every_class_has_its_own_plane_and_threshold(options, clock, height, width):
    """Spalling is what has little red, crack is what has much blue; tiles and padding mix nothing up."""
    taken = noise(height, width)
    with litert.open_segmenter(litert.Options(**options), clock) as segmenter:
        mask = segmenter.segment(taken)
        assert segmenter.classes == (DamageClass("spalling", 0.4, "area"), DamageClass("crack", 0.6, "line"))
    assert tuple(one.kind for one in mask.classes) == segmenter.classes
    spalling, crack = mask.classes
    red, blue = taken.rgb[..., 0] / 255.0, taken.rgb[..., 2] / 255.0
    for found, logit in ((spalling, 8 * (0.5 - red)), (crack, 8 * (blue - 0.5))):
        wanted = 255 / (1 + np.exp(-logit))
        assert np.abs(found.score - wanted).max() <= 3
        np.testing.assert_array_equal(found.damage, found.score >= np.ceil(found.kind.threshold * 255))
    assert not np.shares_memory(spalling.score, crack.score)


def test_the_second_stream_is_enlarged_class_by_class(options, clock):
    taken = noise(128, 192)
    with litert.open_segmenter(litert.Options(**options, source="lores"), clock) as segmenter:
        spalling, crack = segmenter.segment(taken).classes
    assert spalling.score.shape == crack.score.shape == (128, 192)
    assert taken.lores is not None
    inside = np.corrcoef(crack.score[::2, ::2].ravel(), taken.lores[..., 2].ravel())[0, 1]
    assert inside > 0.8
    assert abs(np.corrcoef(spalling.score[::2, ::2].ravel(), taken.lores[..., 2].ravel())[0, 1]) < 0.1


def test_what_a_budget_leaves_out_is_left_out_of_every_class(options, clock):
    with litert.open_segmenter(litert.Options(**options, budget_ms=1e-3, revisit_frames=4), clock) as segmenter:
        segmenter.segment(noise(300, 400))  # tells what a tile costs
        mask = segmenter.segment(noise(300, 400))
    assert mask.looked is not None
    looked = np.zeros((300, 400), bool)
    for area in mask.looked:
        looked[area.top_px : area.bottom_px, area.left_px : area.right_px] = True
    assert 0 < looked.mean() < 1
    for found in mask.classes:
        assert not found.score[~looked].any()
        assert found.score[looked].any()
