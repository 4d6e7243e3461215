"""Fitting the rule of reporting: known odds, cracks that wander among joints that do not, and the card."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from edge.cracks.plausible import judged
from edge.masks import ReportRule
from edge.masks.card import Card
from edge.support import config
from models import DataError, report_rule
from models.logistic import logistic
from models.sites import Tile

UInt8 = npt.NDArray[np.uint8]


class Shade:
    """Scores how dark the picture is."""

    name, threshold = "shade", 0.5

    def score(self, rgb: UInt8) -> UInt8:
        return np.asarray(255 - rgb[..., 0], np.uint8)


def tile(number: int, *, clean: bool) -> Tile:
    """160 px: one wandering line, true, or a straight one on a tile without cracks, both of the same darkness."""
    rng = np.random.default_rng(number)
    x = np.arange(15.0, 15 + rng.uniform(70, 130), 2)
    wave = np.zeros_like(x) if clean else rng.uniform(4, 9) * np.sin(x / rng.uniform(6, 14))
    course = np.column_stack((x, rng.uniform(40, 120) + wave)).round().astype(np.int32)
    truth, rgb = np.zeros((160, 160), np.uint8), np.full((160, 160, 3), 240, np.uint8)
    cv2.polylines(rgb, [course], False, (int(rng.uniform(15, 45)),) * 3, 3)
    if not clean:
        cv2.polylines(truth, [course], False, 1, 3)
    return Tile(
        site="sound" if clean else "cracked", photo=f"{number}", part=("choose", "report")[number // 2 % 2],
        clean=clean, image=Path(f"{number}.png"), rgb=rgb, truth=truth > 0, known=np.ones((160, 160), np.bool_),
    )  # fmt: skip


@pytest.fixture(scope="module")
def tiles() -> list[Tile]:
    return [tile(number, clean=number % 2 == 1) for number in range(120)]


def test_weights_are_the_odds_that_made_the_data_and_never_negative() -> None:
    rng = np.random.default_rng(1)
    signs = rng.normal(size=(40_000, 5))
    true = rng.random(40_000) < 1 / (1 + np.exp(-(0.5 + signs @ [1.0, 2.0, 0.5, 0.0, -1.0])))
    constant, weights, typical = logistic(signs, true, np.ones(40_000))
    assert weights[-1] == 0
    assert weights[1] / weights[0] == pytest.approx(2, rel=0.1)
    assert weights[2] / weights[0] == pytest.approx(0.5, rel=0.1)
    assert weights[3] < 0.03
    chance = 1 / (1 + np.exp(-(constant + (signs - typical) @ weights)))
    assert chance.mean() == pytest.approx(true.mean(), abs=0.01)


def test_what_tells_joints_from_cracks_is_found_and_holds_on_the_other_half(tiles: list[Tile], tmp_path: Path) -> None:
    (fitted,) = report_rule.fit(Shade(), tiles, [0.5])
    before, after = fitted.halves["report"]["by_length"], fitted.halves["report"]["by_rule"]
    assert before["fires"]["sound"] > 0.3
    assert after["fires"]["sound"] == 0
    assert after["f1_2px"]["cracked"] > 0.95
    assert fitted.sites["sound"]["fires"]["value"] == 0
    assert fitted.rule.bend.weight > 0

    (strict,) = report_rule.fit(Shade(), tiles, [0.5], stricter=[50.0])
    assert strict.halves["report"]["by_rule"]["f1_2px"]["cracked"] == 0
    assert strict.rule.constant == pytest.approx(fitted.rule.constant - 50)
    # Of several, one that loses the cracks is never taken, and one that asks for next to nothing more always is.
    (taken,) = report_rule.fit(Shade(), tiles, [0.5], stricter=[50.0, 0.0, 0.001])
    assert taken.stricter == 0.001
    assert taken.halves["report"]["by_rule"] == after

    record = tmp_path / "w.json"
    record.write_text('{"score_threshold": 0.75, "steps": 3}')
    report_rule.record(record, "crack", fitted)
    told = json.loads(record.read_text())
    assert (told["score_threshold"], told["steps"]) == (0.5, 3)
    assert config.build(ReportRule, told["report_rules"]["crack"], "rule") == fitted.rule
    with pytest.raises(DataError, match="no record of a training"):
        report_rule.record(tmp_path / "none.json", "crack", fitted)


@pytest.mark.parametrize(
    ("record", "kind", "wanted"),
    [
        ({"classes": ["crack", "rust"], "score_threshold": 0.7}, "rust", {"crack": 0.7, "rust": 0.5}),
        ({"classes": ["crack", "rust"], "score_threshold": 0.7}, "crack", {"crack": 0.5}),
        ({"classes": ["crack"], "score_threshold": 0.7, "score_thresholds": {"crack": 0.7}}, "crack", {"crack": 0.5}),
        ({"classes": ["a", "b"], "score_thresholds": {"a": 0.7, "b": 0.6}}, "b", {"a": 0.7, "b": 0.5}),
    ],
)
def test_the_threshold_of_one_class_is_written_to_no_other(
    record: dict[str, object], kind: str, wanted: dict[str, float], tmp_path: Path
) -> None:
    """As the room `convert` reads the record: score_thresholds by class, and score_threshold for the first one."""
    rule = report_rule.by_length(1200.0)
    fitted = report_rule.Fitted(threshold=0.5, rule=rule, stricter=0.0, chosen={}, halves={}, sites={})
    path = tmp_path / "w.json"
    path.write_text(json.dumps(record))
    report_rule.record(path, kind, fitted)
    told = json.loads(path.read_text())
    first = {told["classes"][0]: told["score_threshold"]} if "score_threshold" in told else {}
    assert {**first, **told.get("score_thresholds", {})} == wanted
    assert told.get("score_threshold", 0.5) == wanted[told["classes"][0]] or "score_threshold" not in told


def test_the_rule_of_length_can_stand_on_a_card() -> None:
    rng = np.random.default_rng(3)
    length, doubt = np.exp(rng.uniform(2, 7, 5000)), rng.random(5000) ** 3
    signs = np.column_stack((np.log(length), -np.log(doubt + 0.004), rng.normal(size=(5000, 3))))
    for limit_px in (0.0, 340.0, 1200.0):
        told = np.array([reason is None for reason in judged(signs, report_rule.by_length(limit_px))])
        assert not told[length < limit_px * doubt].any()
        assert told[length >= limit_px * (doubt + 0.004) + 0.1].all()


def test_too_few_pieces_fit_nothing(tiles: list[Tile]) -> None:
    with pytest.raises(DataError, match="needs 20 true and 20 false pieces"):
        report_rule.fit(Shade(), tiles[:8], [])


def test_a_card_takes_the_rule_for_its_line_class_and_refuses_another_version(tiles: list[Tile]) -> None:
    table = json.loads(Path("tests/masks/fixtures/pixel/card.json").read_text(encoding="utf-8"))
    for name in ("schema", "files", "artifacts", "golden", "made", "metrics"):
        table.pop(name, None)
    term = {"weight": 1.0, "typical": 0.5}
    rule = {"version": 1, "constant": 0.5, **dict.fromkeys(ReportRule.signs(), term)}
    card = config.build(Card, {**table, "report_rules": {"crack": rule}}, "card")
    assert card.damage[0].rule == card.report_rules["crack"]
    for wrong, words in (
        ({"crack": {**rule, "version": 2}}, "version"), ({"crack": {**rule, "glow": term}}, "glow"),
        ({"rust": rule}, "none of the classes"),
    ):  # fmt: skip
        with pytest.raises(Exception, match=words):
            config.build(Card, {**table, "report_rules": wrong}, "card")
