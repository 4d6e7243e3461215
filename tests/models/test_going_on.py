"""A training goes on only with what it began with, and Ctrl-C costs no step."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from models import DataError, checkpoint, record
from models.cli import main
from models.config import load_config
from models.sources import split_sources
from tests.models.sets import configure

pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")


@pytest.fixture
def begun(tmp_path):
    """Folders of the data and of a training that has a checkpoint, though of no steps."""
    from models.unet import classic_unet

    root, out = tmp_path / "data", tmp_path / "out"
    out.mkdir()
    config = load_config(configure(root))
    record.write_run(out / "run.json", config, "", split_sources(config, root), classic_unet(32, 32, 2, 1))
    (out / "checkpoint.npz").touch()
    return root, out


def extra_set(root):
    for kind in ("images", "masks"):
        (root / "other" / kind).mkdir(parents=True, exist_ok=True)
        source = next((root / kind).iterdir())
        (root / "other" / kind / source.name).write_bytes(source.read_bytes())
    return '[[validation]]\nname = "other"\nimages = "other/images"\nmasks = "other/masks"'


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate": "2e-3"}, "train.learning_rate was 0.001 and is 0.002"),
        ({"train": "seed = 7"}, "train.seed was 1 and is 7"),
        ({"mix": "rendered_cracks = 0.25"}, "mix.rendered_cracks was 0.5 and is 0.25"),
        ({"model": 'kind = "unet"\ndepth = 1\nclasses = ["rust"]', "mix": ""}, "model.classes"),
        ({"rest": '[[sources]]\nname = "more"\nimages = "images"'}, "sources differs"),
    ],
)
def test_another_configuration_is_refused_by_its_key_and_the_record_stays(begun, capsys, changes, words):
    root, out = begun
    before = (out / "run.json").read_bytes()
    assert main(["train", str(configure(root, **changes)), "--out", str(out)]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"error: {out} holds a training of another configuration (")
    assert words in message
    assert (out / "run.json").read_bytes() == before


def test_other_pictures_and_other_held_out_ones_are_refused(begun, capsys):
    root, out = begun
    words = ["train", str(configure(root)), "--out", str(out)]
    path = next((root / "masks").iterdir())
    old = path.read_bytes()
    cv2.imwrite(str(path), 255 - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    assert main(words) == 2
    assert "(the pictures or masks differ)" in capsys.readouterr().err
    path.write_bytes(old)
    told = json.loads((out / "run.json").read_text())
    told["held"]["set/held"]["names"][0] = "another.png"
    (out / "run.json").write_text(json.dumps(told))
    assert main(words) == 2
    assert "(what is held out differs)" in capsys.readouterr().err
    (out / "run.json").unlink()
    assert main(words) == 2
    assert "run.json tells not of which configuration" in capsys.readouterr().err


def test_a_longer_training_and_a_record_of_an_older_version_go_on(begun):
    root, out = begun
    path = out / "run.json"
    told = json.loads(path.read_text())
    del told["config"]["loss"]["cl_dice"], told["config"]["mix"]["gentle"], told["config"]["teacher"]
    del told["config"]["validation"], told["config"]["sources"][0]["labels"]
    path.write_text(json.dumps(told))
    config = load_config(configure(root, steps=99, every=7, train="minutes = 3\nthreads = 2"))
    record.check_same(path, config, split_sources(config, root))

    told["config"]["loss"] = {}
    path.write_text(json.dumps(told))
    record.check_same(path, config, split_sources(config, root))
    other = load_config(configure(root, rest="[loss]\ncl_dice = 0.5"))
    with pytest.raises(DataError, match=r"\(loss\.cl_dice was 0\.0 and is 0\.5\)"):
        record.check_same(path, other, split_sources(other, root))


def test_words_for_the_card_and_far_test_pictures_may_change(begun):
    root, out = begun
    told = json.loads((out / "run.json").read_text())
    told["config"]["sources"][0] |= {"licence": "CC-BY 4.0", "split": "val"}
    told["config"]["test"] = [{"name": "far", "images": "far"}]
    (out / "run.json").write_text(json.dumps(told))
    config = load_config(configure(root))
    record.check_same(out / "run.json", config, split_sources(config, root))
    told["config"]["sources"][0]["weight"] = 2.0
    (out / "run.json").write_text(json.dumps(told))
    with pytest.raises(DataError, match=r"\(sources\[0\]\.weight was 2\.0 and is 1\.0\)"):
        record.check_same(out / "run.json", config, split_sources(config, root))


def test_help_and_refusal_name_every_key_that_may_change(begun, capsys):
    root, out = begun
    assert main(["train", str(configure(root, train="seed = 7")), "--out", str(out)]) == 2
    refusal = capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    told = capsys.readouterr().out
    for key in record.FREE:
        assert key.split(".")[-1] in refusal[refusal.index("begin anew") :], key
        assert key.split(".")[-1] in told[told.index("exit code 75") :], key


@pytest.fixture
def quick(monkeypatch):
    """A training whose steps and scores cost nothing: no graph is built. Returns the steps that were learned."""
    from models import train
    from models.segmentation import Segmentation

    learned = []

    def learner(model):
        model.optimizer.build(model.trainable_variables)
        return lambda images, targets: learned.append(1) or 0.5

    monkeypatch.setattr(train, "_learner", learner)
    monkeypatch.setattr(train, "finish", lambda task, out: {})
    monkeypatch.setattr(Segmentation, "score", lambda task, judge: {"score": 0.25})
    monkeypatch.setattr(Segmentation, "sheet", lambda task, judge: np.zeros((8, 8, 3), np.uint8))
    return learned


def interrupted(*arguments):
    raise KeyboardInterrupt


def test_ctrl_c_loses_no_step_and_no_validation(tmp_path, capsys, monkeypatch, quick):
    """Once between validations, and once in the last one: without it there would be no best weights to end with."""
    from models import train
    from models.segmentation import Segmentation

    root, out = tmp_path / "data", tmp_path / "out"
    words = ["train", str(configure(root, steps=5, every=50)), "--data", str(root), "--out", str(out)]
    learner = train._learner

    def three_steps(model):
        learn = learner(model)
        return lambda images, targets: learn(images, targets) if len(quick) < 3 else interrupted()

    with monkeypatch.context() as patch:
        patch.setattr(train, "_learner", three_steps)
        assert main(words) == 75
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert said.startswith("error: Interrupted at step 3; the same command goes on from there")
    assert checkpoint.load(out / "checkpoint.npz", "").step == 3
    with monkeypatch.context() as patch:
        patch.setattr(Segmentation, "score", interrupted)
        assert main(words) == 75
    state = checkpoint.load(out / "checkpoint.npz", "")
    assert (len(quick), state.step, state.best) == (5, 5, -np.inf)
    assert main(words) == 0
    assert (out / "best.weights.h5").is_file()
    assert [line.split(",")[0] for line in (out / "history.csv").read_text().splitlines()] == ["step", "5"]
    assert len(quick) == 5


def test_a_checkpoint_is_written_between_validations(tmp_path, monkeypatch, quick):
    """A power cut loses a minute: here the minute is none."""
    from models import train

    root, out = tmp_path / "data", tmp_path / "out"
    steps = []
    save = checkpoint.save
    monkeypatch.setattr(train, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "save", lambda path, state: (steps.append(state.step), save(path, state)))
    assert main(["train", str(configure(root, steps=3, every=50)), "--data", str(root), "--out", str(out)]) == 0
    assert steps == [1, 2, 3]


def test_ctrl_c_elsewhere_is_one_line(capsys, monkeypatch):
    from convert import commands
    from convert.cli import main as convert
    from models import cli

    monkeypatch.setattr(cli, "_render", interrupted)
    monkeypatch.setattr(commands, "check", interrupted)
    assert main(["render", "somewhere"]) == 130
    assert convert(["check", "somewhere"]) == 130
    assert capsys.readouterr().err.splitlines() == ["error: interrupted"] * 2
