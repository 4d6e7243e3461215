"""Distillation and pseudo-labels: a teacher's opinion beside the labels, and where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from models import UNKNOWN, DataError, Example
from models.cli import main
from models.config import load_config
from models.segmentation import Segmentation
from models.sources import load_mix, split_sources
from models.teacher import Teacher
from tests.models.sets import configure

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

from models.unet import fast_unet  # noqa: E402

TEACHER = '[teacher]\nmodel = "teacher.keras"\nweight = {weight}\n'
UNLABELLED = '[[sources]]\nname = "drone"\nimages = "images"\npseudo_confidence = 0.8\n'


@pytest.fixture
def root(tmp_path):
    configure(tmp_path)
    keras.utils.set_random_seed(3)
    fast_unet(32, 32, base=4).save(tmp_path / "teacher.keras")
    return tmp_path


def test_scores_are_those_of_the_network_at_full_size(root):
    images = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
    logits = fast_unet(64, 64, base=4)
    logits.set_weights(keras.models.load_model(root / "teacher.keras", compile=False).get_weights())
    raw = logits.predict_on_batch(images)
    found = Teacher(root / "teacher.keras", 1.0, 64).scores(images)
    assert found.shape == (2, 64, 64)
    for n, y, x in [(0, 0, 0), (1, 13, 46), (1, 63, 30)]:
        assert found[n, y, x] == pytest.approx(1 / (1 + np.exp(-raw[n, y // 4, x // 4, y % 4 * 4 + x % 4])), abs=1e-4)


def test_targets_carry_the_teachers_scores(root):
    config = load_config(configure(root, rest=TEACHER.format(weight=0.5)))
    teacher = Teacher(root / "teacher.keras", 0.5, 32)
    task = Segmentation(config, split_sources(config, root), teacher)
    images, targets = task.teach(task.batch(0))
    assert targets.shape == (2, 32, 32, 3)
    assert np.allclose(targets[..., 2], teacher.scores(images))


def test_doubtful_pixels_of_pseudo_labels_are_unknown(monkeypatch, tmp_path, root):
    class Ramp:
        def score(self, rgb):
            return np.tile(np.arange(256, dtype=np.uint8), (2, 1))

    monkeypatch.setattr("models.scoring.open_scorer", lambda *arguments, **named: Ramp())
    image = next((root / "images").iterdir())
    ((_, mask),) = Teacher(root / "teacher.keras", 0, 32).draw([Example(image=image, mask=None, group="")], 0.8)
    assert (mask[0] == 1).nonzero()[0].tolist() == list(range(204, 256))
    assert (mask[0] == UNKNOWN).nonzero()[0].tolist() == list(range(52, 204))
    assert (mask[0] == 0).nonzero()[0].tolist() == list(range(52))


def test_unlabelled_pictures_teach_only_what_the_teacher_is_sure_of(root):
    config = load_config(configure(root, rest=TEACHER.format(weight=0.0) + UNLABELLED, train="near_copies = 'keep'\n"))
    mix = load_mix(config, split_sources(config, root), Teacher(root / "teacher.keras", 0.0, 32), 1, 1)
    drone = mix.sources[1]
    assert not drone.clean
    assert len(drone.pictures) == 8
    assert any((mask & UNKNOWN).any() for _, mask, _ in drone.pictures)


def test_training_with_a_teacher_runs(root, tmp_path):
    path = configure(root, steps=2, rest=TEACHER.format(weight=0.5) + UNLABELLED)
    assert main(["train", str(path), "--out", str(tmp_path / "out")]) == 0


def test_absent_teacher_is_named(root):
    with pytest.raises(DataError, match=r"model names .*gone\.keras, which is not a \.keras file"):
        Teacher(root / "gone.keras", 1.0, 32)


def test_pseudo_labels_without_a_teacher_are_refused(root):
    with pytest.raises(DataError, match=r"pseudo_confidence needs a \[teacher\]"):
        load_config(configure(root, rest=UNLABELLED))
