"""Ten photographs teach a bundle a structure that it cannot read, or it is refused."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.support.errors import TryAgainError
from models import Example, render, report_rule, sites
from models.adapt import intake, judge
from models.cli import main
from tests.models.photographs import photo, write

ROOT = Path(__file__).parents[2]


class Faint:
    """Scores dark pixels 0.7 of 1."""

    name, threshold = "faint", 0.6

    def score(self, rgb: np.ndarray) -> np.ndarray:
        return np.where(rgb[..., 0] < 60, 180, 3).astype(np.uint8)


def test_the_old_rule_stays_unless_another_is_worth_more_and_then_stands_on_the_card(tmp_path):
    """Cracks of 120 px at 0.7 need 340 px x 0.3 and not 1200 px x 0.3; the same for a card that has a rule."""
    photos = []
    for i in range(4):
        rgb, mask = np.full((160, 160, 3), 200, np.uint8), np.zeros((160, 160), np.uint8)
        for picture, value in ((rgb, (20, 20, 20)), (mask, 1)):
            cv2.line(picture, (20, 40 + 10 * i), (140, 60 + 10 * i), value, 3)
        example = Example(image=tmp_path / f"{i}.png", mask=None, group=str(i))
        photos.append(intake.Photo(example=example, rgb=rgb, mask=mask))
    own = sites.Setting(threshold=0.6)
    chosen = judge.choose(Faint(), photos, own)
    assert chosen.rule in (report_rule.by_length(0), report_rule.by_length(340))
    assert judge.side(Faint(), photos, chosen).f1 > 0.9 > judge.side(Faint(), photos, own).f1
    by_rule = sites.Setting(threshold=0.6, rule=report_rule.by_length(1200))
    assert judge.side(Faint(), photos, by_rule).f1 == 0
    chosen = judge.choose(Faint(), photos, by_rule)
    assert chosen.rule == replace(by_rule.rule, constant=by_rule.rule.constant + 2)
    assert judge.choose(Faint(), photos, chosen) == chosen  # nothing is worth more


needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch: pip install --group torch to adapt"
)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A bundle of a tiny network that has learned nothing; everything about adapting it small, conversion in here."""
    pytest.importorskip("tensorflow")
    import keras

    from convert.cli import main as convert
    from models.adapt import conversion, judge, learn, replay, run
    from models.unet import fast_unet

    def inside(folder: Path, *words: str) -> None:
        with monkeypatch.context() as here:
            here.chdir(folder)
            assert convert(list(words)) == 0

    monkeypatch.setattr(conversion, "run", inside)
    for room, name, value in (
        (conversion, "CALIBRATION", 8), (conversion, "CALIBRATION_PX", 128), (judge, "RENDERED", 4),
        (judge, "RENDERED_PX", 128), (replay, "COUNT", 20), (learn, "WARMUP_STEPS", 5),
        (learn, "OWN", 4), (learn, "REPLAYED", 2), (learn, "RATE", 1e-2), (learn, "KEEP", 0.2),
        (learn, "EMA", 0.9),
        (run, "CROP_PX", 128), (learn, "SHARES", (1.0,)), (judge, "MAY_FORGET", 1.0),
    ):  # fmt: skip
        monkeypatch.setattr(room, name, value)
    (tmp_path / "frames").mkdir()
    for i in range(8):
        cv2.imwrite(str(tmp_path / f"frames/{i}.png"), render.concrete(np.random.default_rng(i), 128))
    keras.utils.set_random_seed(1)
    net = fast_unet(64, 64, base=8, dtype="float32")
    net.save_weights(tmp_path / "start.weights.h5")
    settings = {"kind": "fast_unet", "base": 8, "shuffle": 4}
    rules = {"crack": asdict(report_rule.by_length(300))}  # its photos are 128 px wide
    record = {"classes": ["crack"], "config": {"model": settings}, "train": {"bridges": {"images": 3}},
              "report_rules": rules, "score_threshold": 0.6}  # fmt: skip
    (tmp_path / "start.json").write_text(json.dumps(record))
    inside(tmp_path, "quantize", "start.weights.h5", "--data", "frames", "-o", "base", "--height", "128",
           "--width", "128", "--threshold", "0.6", "--finetune", "0")  # fmt: skip
    return tmp_path


@needs_torch
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
def test_a_structure_is_learned_after_an_interruption_or_the_old_bundle_stays(small, capsys, monkeypatch):
    """One story, since the bundle and the first step are what takes the time."""
    from models.adapt import judge, learn, start

    data = write(small / "photos", 10, 9)
    base = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (small / "base").iterdir()}

    def ask(steps: int) -> int:
        # the steps alone decide, on a busy machine too
        words = ["--data", str(data), "--steps", str(steps), "--minutes", "600", "-o", str(small / "mine")]
        return main(["adapt", str(small / "base"), *words])

    one_step = learn.Learner.learn

    def until_a_key_is_pressed(self, made, progress):
        if self.step == 20:
            raise KeyboardInterrupt
        return one_step(self, made, progress)

    with monkeypatch.context() as here:
        here.setattr(learn.Learner, "learn", until_a_key_is_pressed)
        assert ask(90) == TryAgainError.exit_code
    assert "Interrupted at step 20; the same command goes on from there" in capsys.readouterr().err
    assert ask(91) == 2
    assert "mine.work is of another adaptation" in capsys.readouterr().err
    with monkeypatch.context() as here:
        here.setattr(judge, "LESS_ERROR", 2.0)  # better than perfect
        assert ask(90) == 2
    assert "base stays as it is: F1 at 2 px of the 2 photos kept apart goes from 0.000 to" in capsys.readouterr().err
    assert "Refused: the old bundle stays." in (small / "mine.html").read_text()
    assert not (small / "mine").exists()
    assert ask(90) == 0  # the very same, by the limit that stands
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (found["steps"], found["share"]) == (90, 1.0)
    assert found["f1_2px"]["after"] > found["f1_2px"]["before"] + 0.3
    assert "The new bundle is taken." in (small / "mine.html").read_text()
    card = json.loads((small / "mine/card.json").read_text())
    assert card["score_threshold"] == found["score_threshold"]
    assert card["made"]["float"]["file"] == "../mine.weights.h5"
    assert card["report_rules"]["crack"] == found["report_rule"]  # the old one, with as much evidence as was chosen
    assert card["report_rules"]["crack"]["sureness"] == {"weight": 1.0, "typical": 0.0}
    assert {one["name"] for one in card["training_data"]} >= {"mine photos", "bridges"}
    assert start.open_base(small / "mine", None).threshold == found["score_threshold"]
    assert not (small / "mine.work").exists()
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (small / "base").iterdir()} == base
    assert ask(90) == 2
    assert "mine exists; choose another name with -o" in capsys.readouterr().err


@needs_torch
def test_the_way_is_gone_as_far_as_made_pictures_do_not_change(monkeypatch):
    import torch

    from models.adapt import learn, replay, run
    from models.gpu.nets import FastUNet
    from models.unet import fast_size

    monkeypatch.setattr(run, "CROP_PX", 64)
    example = Example(image=Path("0.png"), mask=None, group="0")
    rgb, mask = photo(0, cracked=True)
    mix = run.mix_of([intake.Photo(example=example, rgb=rgb, mask=mask)])
    torch.manual_seed(1)
    first = learn.arrays_of(FastUNet(fast_size(4, 4)))
    net = learn.build(fast_size(4, 4), first)
    with torch.no_grad():
        net.logits.bias.fill_(0.0)  # about half of all pixels are crack to it
    first = learn.arrays_of(net)
    held = replay.make_replay(net, mix, 1, count=10, series=1)
    assert not np.array_equal(held.images, replay.make_replay(net, mix, 1, count=10).images)
    learner = learn.Learner(fast_size(4, 4), first, mix, held, 1)
    arrays, share, changed = learner.result(held, 0.5, 0.02)
    assert (share, changed) == (0.6, 0.0)  # nothing was learned, nothing changes
    with torch.no_grad():
        learner.average.logits.bias.fill_(-100.0)  # learned: no crack anywhere
    arrays, share, changed = learner.result(held, 0.5, 0.02)
    assert (share, changed) == (0.2, 1.0)
    assert arrays["logits.bias"] == pytest.approx(-20.0)
    assert learner.result(held, 0.5, 1.0)[1] == 0.6  # whoever flies nothing else


@needs_torch
def test_a_bundle_without_float_weights_and_one_that_knows_more_are_told(tmp_path, capsys):
    import shutil

    shutil.copytree(ROOT / "models/bundles/fast-unet-s", tmp_path / "alone")
    words = ["--data", str(write(tmp_path / "photos", 5, 5)), "-o", str(tmp_path / "mine")]
    assert main(["adapt", str(tmp_path / "alone"), *words]) == 2
    told = capsys.readouterr().err
    assert "The float weights of" in told
    assert "int8 ones cannot learn: name them with --weights" in told
    assert main(["adapt", str(ROOT / "models/bundles/patch-classifier"), *words]) == 2
    assert "only a fast U-Net that knows cracks alone can be adapted" in capsys.readouterr().err
    assert not (tmp_path / "mine.work").exists()
