"""What is reported of what was traced, on figures drawn with exact geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge.cracks.plausible import BY_LENGTH, REASONS, ReportOptions, Sifted, reported_mask, sift, signs_of
from edge.cracks.trace import TraceOptions, trace
from edge.frames import Frame
from edge.masks import ClassMask, DamageClass, ReportRule, Term
from edge.support import config
from edge.support.errors import ConfigError
from tests.cracks.drawn import Floats, arc, bar, cover, drawn, outline, picture, ray, straight

OPTIONS = ReportOptions(sure_length_px=220)
EVERYTHING = ReportOptions(sure_length_px=0)
UInt8 = npt.NDArray[np.uint8]


def scored(share: Floats, score: float) -> UInt8:
    """The map of a network that gives everything drawn the same ``score``, 0 to 1."""
    return np.where(share >= 0.5, round(255 * score), 10).astype(np.uint8)


def sifted(scores: UInt8, rgb: UInt8, options: ReportOptions = OPTIONS, rule: ReportRule | None = None) -> Sifted:
    frame = Frame(seq=1, exposed_ns=0, exposure_us=None, rgb=np.array(rgb, order="C"))
    mask = ClassMask(frame, DamageClass("crack", 0.5, "line"), np.array(scores), scores >= 128)
    return sift(trace(mask, TraceOptions()), options, rule)


@pytest.mark.parametrize(
    ("length_px", "score", "reported"),
    [(30, 0.84, False), (30, 0.9, True), (60, 0.7, False), (60, 0.76, True), (150, 0.52, True), (150, 0.98, True)],
)
@pytest.mark.parametrize("angle_deg", [0.0, 17.0, 45.0])
def test_a_short_crack_needs_a_sure_network(length_px: float, score: float, reported: bool, angle_deg: float) -> None:
    share = bar(4.0, angle_deg, length_px)
    result = sifted(scored(share, score), picture(share, blur=0.7))
    assert (len(result.traced.cracks), result.suppressed["weak"]) == ((1, 0) if reported else (0, 1))
    assert result.traced.reported().any() == reported


def test_branches_are_judged_with_their_crack() -> None:
    """Alone, the 30 px branch would be held back."""
    branch = (ray((80, 78), -62, 30), 4.0)
    alone, together = drawn([branch], 184), drawn([(ray((20, 60), 17, 140), 6.0), branch], 184)
    assert sifted(scored(alone, 0.8), picture(alone, blur=0.7)).suppressed == {"weak": 1}
    whole = sifted(scored(together, 0.8), picture(together, blur=0.7))
    assert len(whole.traced.cracks) >= 2
    assert whole.suppressed == {"weak": 0}


def test_what_is_held_back_leaves_the_rest_as_it_was() -> None:
    """The middle one of three pieces goes: with it its pixels, and its number is given to the next."""
    long, short, other = straight((92, 30), 0, 150), straight((60, 92), 0, 40), straight((92, 150), 0, 60)
    shares = [cover(outline(line, 4.0), (184, 184)) for line in (long, short, other)]
    scores = np.max([scored(one, s) for one, s in zip(shares, (0.9, 0.7, 0.9), strict=True)], axis=0)
    rgb = picture(np.max(shares, axis=0), blur=0.7)
    all_of_it, result = sifted(scores, rgb, EVERYTHING), sifted(scores, rgb)
    assert [crack.component for crack in all_of_it.traced.cracks] == [0, 1, 2]
    assert all_of_it.suppressed == {"weak": 0}
    assert result.suppressed == {"weak": 1}
    assert [crack.component for crack in result.traced.cracks] == [0, 1]
    for crack, before in zip(result.traced.cracks, (all_of_it.traced.cracks[i] for i in (0, 1)), strict=True):
        assert np.array_equal(crack.path_px, before.path_px)
        assert crack.length_px == before.length_px
    drawn_pixels = result.traced.reported()
    assert np.array_equal(drawn_pixels, (scores >= 128) & (shares[1] < 0.5))
    for number, share in ((0, shares[0]), (1, shares[2])):
        one = np.zeros_like(drawn_pixels)
        one.reshape(-1)[result.traced.pixels[result.traced.component == number]] = True
        assert np.array_equal(one, share >= 0.5)


RING = drawn([(arc((92, 92), 18, 0, 360), 5.0)], 184)
JOINT = bar(3.0, 0.0, 175.0)
STEP = np.zeros((184, 184))
STEP[:92] = 1


@pytest.mark.parametrize(("share", "edge"), [(RING, None), (JOINT, None), (bar(4.0, 0.0), STEP)])
def test_shape_alone_is_no_reason(share: Floats, edge: Floats | None) -> None:
    """A ring, a joint, a shadow edge that the network is sure of are reported: true cracks look like that too."""
    surface = 170.0 if edge is None else 170.0 - 60 * edge
    result = sifted(scored(share, 0.95), picture(share if edge is None else 0 * share, surface=surface, blur=0.7))
    assert result.traced.cracks
    assert result.suppressed == {"weak": 0}
    assert sifted(scored(share, 0.55), picture(share), ReportOptions(sure_length_px=1000)).suppressed == {"weak": 1}


@settings(max_examples=25)
@given(st.integers(25, 140), st.floats(0.52, 1), st.floats(0, 180), st.integers(0, 3), st.booleans())
def test_turning_and_mirroring_the_picture_change_no_verdict(
    length_px: int, score: float, angle_deg: float, turns: int, mirror: bool
) -> None:
    assume(
        abs(length_px - OPTIONS.sure_length_px * (1 - round(255 * score) / 255)) > 4
    )  # a length is told to about a pixel
    share = bar(5.0, angle_deg, length_px)
    scores, rgb = scored(share, score), picture(share, blur=0.7)
    upright = sifted(scores, rgb)
    if mirror:
        scores, rgb = scores[:, ::-1], rgb[:, ::-1]
    turned = sifted(np.rot90(scores, turns), np.rot90(rgb, turns))
    assert turned.suppressed == upright.suppressed
    assert len(turned.traced.cracks) == len(upright.traced.cracks)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0, 500), st.floats(0, 500))
def test_nothing_vanishes_and_a_stricter_filter_reports_less(seed: int, one: float, other: float) -> None:
    rng = np.random.default_rng(seed)
    lines = [(straight(tuple(rng.uniform(20, 164, 2)), rng.uniform(0, 180), rng.uniform(20, 90)), 4.0) for _ in "12345"]
    share = drawn(lines, 184)
    scores = np.where(share >= 0.5, rng.integers(128, 256), 10).astype(np.uint8)
    rgb = picture(share, blur=0.7)
    everything = sifted(scores, rgb, EVERYTHING)
    loose, strict = (sifted(scores, rgb, ReportOptions(sure_length_px=limit)) for limit in sorted((one, other)))
    for result in (loose, strict):
        assert set(result.suppressed) == set(BY_LENGTH)
        assert len(result.traced.cracks) + sum(result.suppressed.values()) == len(everything.traced.cracks)
    assert not (strict.traced.reported() & ~loose.traced.reported()).any()
    assert not (loose.traced.reported() & ~everything.traced.reported()).any()


def test_the_reported_mask_is_that_of_the_pipeline_and_leaves_its_arguments_alone() -> None:
    share = drawn([(straight((92, 40), 0, 150), 4.0), (straight((92, 120), 0, 30), 4.0)], 184)
    scores, rgb = scored(share, 0.8), picture(share, blur=0.7)
    found = reported_mask(scores, rgb, 128, OPTIONS)
    assert np.array_equal(found, sifted(scores, rgb).traced.reported())
    assert found[40].any()
    assert not found[120].any()
    assert reported_mask(scores, rgb, 128, EVERYTHING)[120].any()
    assert not reported_mask(scores, rgb, 205, EVERYTHING).any()
    assert not reported_mask(scores, rgb, 128, EVERYTHING, TraceOptions(min_length_px=170)).any()
    assert scores.flags.writeable
    assert rgb.flags.writeable


RULE = ReportRule(
    version=1, constant=1.5, length=Term(weight=0.5, typical=4.5), sureness=Term(weight=2.0, typical=2.3),
    bend=Term(weight=1.0, typical=0.5), reach=Term(weight=4.0, typical=0.9), company=Term(weight=3.0, typical=0.5),
)  # fmt: skip
WAVY = drawn([(np.column_stack((np.arange(20, 165), 92 + 5 * np.sin(np.arange(20, 165) / 9))), 4.0)], 184)
HOOK = drawn([(arc((92, 92), 25, 0, 300), 4.0)], 184)
SPECK = bar(4.0, 30.0, 26.0)


@pytest.mark.parametrize(
    ("share", "score", "reason"),
    [(WAVY, 0.9, None), (JOINT, 0.9, "straight"), (HOOK, 0.9, "curled"), (WAVY, 0.55, "weak"), (SPECK, 0.6, "weak")],
)
def test_the_rule_of_a_card_says_what_speaks_against_a_piece(share: Floats, score: float, reason: str | None) -> None:
    result = sifted(scored(share, score), picture(share, blur=0.7), ReportOptions(), RULE)
    assert set(result.suppressed) == set(REASONS)
    assert result.suppressed == dict.fromkeys(REASONS, 0) | ({} if reason is None else {reason: 1})
    assert len(result.traced.cracks) == (1 if reason is None else 0)


@pytest.mark.parametrize(("gap_px", "kept"), [(8.0, 2), (75.0, 1)])
def test_a_short_piece_is_believed_beside_a_longer_one(gap_px: float, kept: int) -> None:
    """Below the middle of the long one's course; alone at 75 px away, in company at 8 px."""
    short = (np.column_stack((np.arange(70, 110), 97 + gap_px + 3 * np.sin(np.arange(40) / 6))), 4.0)
    both = np.maximum(WAVY, drawn([short], 184))
    result = sifted(scored(both, 0.88), picture(both, blur=0.7), ReportOptions(), RULE)
    assert len(result.traced.cracks) == kept
    assert result.suppressed["alone"] == 2 - kept


def test_a_long_crack_that_turns_back_is_reported_by_every_card() -> None:
    """The same hook three times as large: 390 px at a score of 0.9, for which the rule of length asks for 120 px."""
    share = drawn([(arc((92, 92), 75, 0, 300), 4.0)], 184)
    assert len(sifted(scored(share, 0.9), picture(share, blur=0.7), ReportOptions(), RULE).traced.cracks) == 1
    unsure = sifted(scored(share, 0.6), picture(share, blur=0.7), ReportOptions(), RULE)
    assert (len(unsure.traced.cracks), sum(unsure.suppressed.values())) == (0, 1)


def test_signs_are_those_of_the_figures() -> None:
    """An arc of 300 degrees: its chord is 2 r sin(150 deg), its length 5.236 r."""
    cracks = [trace(figure(share), TraceOptions()).cracks for share in (HOOK, JOINT)]
    hook, joint = signs_of(cracks)
    names = ReportRule.signs()
    ends = 2 * 25 * np.sin(np.radians(150)) / (25 * np.radians(300))
    assert hook[names.index("reach")] == pytest.approx(ends, abs=0.05)
    assert joint[names.index("reach")] == pytest.approx(1, abs=0.01)
    assert np.exp(hook[names.index("length")]) == pytest.approx(25 * np.radians(300), rel=0.05)
    assert np.exp(joint[names.index("bend")]) - 0.3 < 0.3 < 10 < np.exp(hook[names.index("bend")])
    assert joint[names.index("sureness")] == pytest.approx(-np.log(1 - 230 / 255 + 0.004), abs=0.02)
    assert signs_of([]).shape == (0, len(names))


def figure(share: Floats) -> ClassMask:
    scores = scored(share, 0.9)
    frame = Frame(seq=1, exposed_ns=0, exposure_us=None, rgb=picture(share, blur=0.7))
    return ClassMask(frame, DamageClass("crack", 0.5, "line"), scores, scores >= 128)


def test_a_limit_in_the_settings_overrules_the_card() -> None:
    """The joint that the card's rule holds back; 0 reports everything, as ever."""
    scores, rgb = scored(JOINT, 0.9), picture(JOINT, blur=0.7)
    assert sifted(scores, rgb, ReportOptions(), RULE).suppressed["straight"] == 1
    for limit, weak in ((0.0, 0), (220.0, 0), (1e6, 1)):
        assert sifted(scores, rgb, ReportOptions(sure_length_px=limit), RULE).suppressed == {"weak": weak}
    assert sifted(scores, rgb, ReportOptions()).suppressed == {"weak": 0}


def test_more_evidence_or_less_can_be_asked_for_than_the_card_or_the_limit_does() -> None:
    """There is one evidence that a piece has: asked for more, it is held back, by card and by limit alike."""
    scores, rgb = scored(JOINT, 0.9), picture(JOINT, blur=0.7)
    frame = Frame(seq=1, exposed_ns=0, exposure_us=None, rgb=np.array(rgb, order="C"))
    found = trace(ClassMask(frame, DamageClass("crack", 0.5, "line"), np.array(scores), scores >= 128), TraceOptions())

    def held(rule: ReportRule | None, limit_px: float | None, stricter: float) -> int:
        return len(sift(found, ReportOptions(sure_length_px=limit_px, stricter=stricter), rule).held_back)

    for rule, limit_px in ((RULE, None), (None, 220.0)):
        asked = np.arange(-5, 5, 0.05)
        kept = [held(rule, limit_px, more) == 0 for more in asked]
        assert kept == sorted(kept, reverse=True)
        assert 0 < sum(kept) < len(asked)
        edge = float(asked[sum(kept)])
        if rule is not None:
            less = replace(rule, constant=rule.constant - edge)
            assert (held(less, None, -0.1), held(less, None, 0.05)) == (0, 1)
        else:
            assert (held(None, 220 * np.exp(edge - 0.1), 0.0), held(None, 220 * np.exp(edge), 0.0)) == (0, 1)


@pytest.mark.parametrize(("weight", "typical"), [(-0.1, 0.0), (float("nan"), 0.0), (1.0, float("inf"))])
def test_a_sign_only_speaks_for_a_crack(weight: float, typical: float) -> None:
    with pytest.raises(ValueError, match="finite weight of 0 or more"):
        Term(weight=weight, typical=typical)


def test_options_come_from_the_table_report() -> None:
    assert config.build(ReportOptions, {}, "report") == ReportOptions()
    assert config.build(ReportOptions, {"sure_length_px": 80}, "report") == ReportOptions(sure_length_px=80.0)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"sure_length": 5}, "did you mean sure_length_px"),
        ({"sure_length_px": -1}, "report: sure_length_px is -1.0, must be 0 or more"),
        ({"sure_length_px": float("nan")}, "sure_length_px: got nan"),
        ({"stricter": 6}, "report: stricter is 6.0, must be from -5 to 5"),
    ],
)
def test_impossible_options_are_refused_by_name(table: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config.build(ReportOptions, table, "report")
