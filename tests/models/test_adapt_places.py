"""What an adaptation leaves where, how it ends when it is interrupted or refused, and what it says of its options."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest

from edge.support.errors import TryAgainError
from models import DataError, Example
from models.adapt import conversion, intake, judge, page, run
from models.adapt.places import BESIDE, CHECKPOINT, Places
from models.cli import main
from tests.models.photographs import photo, write

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch: pip install --group torch to adapt"
)


@pytest.mark.parametrize("ending", BESIDE)
def test_a_file_beside_the_new_bundle_is_never_replaced(tmp_path, capsys, ending):
    there = tmp_path / f"mine{ending}"
    there.write_bytes(b"of another bundle")
    words = ["adapt", str(tmp_path / "base"), "--data", str(tmp_path / "photos"), "-o", str(tmp_path / "mine")]
    assert main(words) == 2
    assert f"{there} exists and is not replaced" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [there.name]
    assert there.read_bytes() == b"of another bundle"


def test_a_bundle_that_is_made_among_its_photos_can_be_gone_on_with(tmp_path):
    folder, weights = tmp_path / "photos", tmp_path / "base"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"photo")
    weights.write_bytes(b"weights")
    for _ in range(2):  # the second time what the first one left lies among the photos
        places = Places(folder / "mine")
        places.begin(weights, [folder], ["15"])
        (places.work / CHECKPOINT).touch()
    (folder / "b.jpg").write_bytes(b"another")
    with pytest.raises(DataError, match="another adaptation"):
        Places(folder / "mine").begin(weights, [folder], ["15"])


def test_the_page_of_a_refused_attempt_may_be_replaced(tmp_path):
    (tmp_path / "mine.html").write_text(f"<b>{page.REFUSED}</b>")
    Places(tmp_path / "mine").check_free()


def working(tmp_path: Path) -> Places:
    """An adaptation that is done but for its last files' moves."""
    places = Places(tmp_path / "mine")
    (tmp_path / "base.weights.h5").write_bytes(b"old")
    places.begin(tmp_path / "base.weights.h5", [], [])
    for ending in BESIDE:
        places.working(ending).write_text(ending)
    return places


def test_all_moves_to_its_place_and_the_work_folder_goes(tmp_path):
    places = working(tmp_path)
    places.bundle.mkdir()
    places.put_in_place()
    assert [places.beside(ending).read_text() for ending in BESIDE] == list(BESIDE)
    assert places.out.is_dir()
    assert not places.work.exists()
    with pytest.raises(DataError, match=r"mine exists; .* together with mine\.weights\.h5, mine\.json, mine\.html"):
        places.check_free()


def test_a_kill_between_the_moves_is_made_good_by_the_same_command(tmp_path):
    places = working(tmp_path)
    with pytest.raises(FileNotFoundError):  # the bundle, which moves last, is not there
        places.put_in_place()
    assert places.beside(".json").exists()
    places.check_free()
    places.begin(tmp_path / "base.weights.h5", [], [])
    assert [places.working(ending).read_text() for ending in BESIDE] == list(BESIDE)
    assert not any(places.beside(ending).exists() for ending in BESIDE)
    places.beside(".json").write_text("of another bundle")
    with pytest.raises(DataError, match=r"mine\.json exists"):
        places.check_free()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seed", "-1"], "--seed is 0 or more, not -1."),
        (["--steps", "0"], "--steps is 1 or more, not 0; without it the minutes decide."),
        (["--steps", "-5"], "--steps is 1 or more, not -5; without it the minutes decide."),
        (["--minutes", "nan"], "--minutes is above 0 and at most 600, not nan."),
    ],
)
def test_options_out_of_range_are_told_in_one_sentence(tmp_path, capsys, words, told):
    asked = ["adapt", str(tmp_path / "base"), "--data", str(tmp_path), "-o", str(tmp_path / "mine"), *words]
    assert main(asked) == 2
    assert capsys.readouterr().err == f"error: {told}\n"


def test_an_interruption_anywhere_ends_with_one_sentence_and_75(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "_check", Mock())
    monkeypatch.setattr(run, "_adapt", Mock(side_effect=KeyboardInterrupt))
    words = ["adapt", str(tmp_path / "base"), "--data", str(tmp_path), "-o", str(tmp_path / "mine")]
    assert main(words) == TryAgainError.exit_code == 75
    assert capsys.readouterr().err == (
        "error: Interrupted; the old bundle is untouched, and the same command goes on.\n"
    )


def photos(count: int) -> tuple[intake.Photo, ...]:
    drawn = [photo(i, cracked=True) for i in range(count)]
    examples = [Example(image=Path(f"{i}.png"), mask=None, group=str(i)) for i in range(count)]
    return tuple(
        intake.Photo(example=one, rgb=rgb, mask=mask) for one, (rgb, mask) in zip(examples, drawn, strict=True)
    )


@needs_torch
def test_an_interruption_before_the_first_step_can_be_gone_on_from(tmp_path, monkeypatch):
    import torch

    from models.adapt import learn, replay
    from models.unet import fast_size

    for room, name, value in ((run, "CROP_PX", 64), (replay, "COUNT", 5), (learn, "OWN", 2), (learn, "REPLAYED", 2)):
        monkeypatch.setattr(room, name, value)
    torch.manual_seed(1)
    size = fast_size(4, 4)
    base = Mock(size=size, arrays=learn.arrays_of(learn.FastUNet(size)))
    asked = run.Request(bundle=tmp_path / "base", data=tmp_path, out=tmp_path / "mine", steps=9, minutes=600)
    parts = intake.Parts(learn=photos(2), choose=(), report=())
    one_step = learn.Learner.learn

    for step in (0, 2, 3):

        def until_a_key_is_pressed(self, made, progress, last=step):
            if self.step == last:
                raise KeyboardInterrupt
            return one_step(self, made, progress)

        monkeypatch.setattr(learn.Learner, "learn", until_a_key_is_pressed)
        with pytest.raises(TryAgainError, match=f"Interrupted at step {step}; the same command goes on"):
            run._learn(asked, base, parts, tmp_path)
        assert (tmp_path / CHECKPOINT).exists() == (step > 0)


def test_the_gate_is_told_in_words_that_help_who_adapts(tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "CALIBRATION", 4)
    monkeypatch.setattr(judge, "crack_free", lambda size, rng: np.zeros((8, 8, 3), np.uint8))
    past = "gate: 0.300% of the pixels differ between float and int8, more than 0.200%"

    def as_the_gate_does(folder: Path, command: str, *words: str) -> None:
        if command == "verify":
            (tmp_path / "mine").mkdir()
            (tmp_path / "mine/report.json").write_text(json.dumps({"passed": False, "failures": [past]}))
            raise DataError(f"{past}: quantise again with more frames like these, or with --finetune. It is untouched.")

    monkeypatch.setattr(conversion, "run", as_the_gate_does)
    parts = intake.Parts(learn=photos(1), choose=photos(1), report=photos(1))
    made = conversion.Made(setting=Mock(threshold=0.5), learned=Mock())
    with pytest.raises(DataError) as told:
        conversion.convert(Mock(), parts, tmp_path / "mine", made, 1)
    assert past in str(told.value)
    assert "Label more photos" in str(told.value)
    assert "--may-change" in str(told.value)
    assert "--finetune" not in str(told.value)


def test_pictures_of_one_name_both_pass_the_gate(tmp_path, monkeypatch):
    """images/1.png and negatives/1.png are two photographs; the gate compares on each of them, with its own mask."""
    monkeypatch.setattr(conversion, "CALIBRATION", 1)
    monkeypatch.setattr(judge, "crack_free", lambda size, rng: np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setattr(conversion, "run", Mock())
    cracked, sound = photo(1, cracked=True), photo(2, cracked=False)
    two = [
        intake.Photo(example=Example(image=Path(f"{folder}/1.png"), mask=None, group=folder), rgb=rgb, mask=mask)
        for folder, (rgb, mask) in (("images", cracked), ("negatives", sound))
    ]
    parts = intake.Parts(learn=photos(1), choose=(two[0],), report=(two[1],))
    conversion.convert(
        Mock(), parts, tmp_path / "mine", conversion.Made(setting=Mock(threshold=0.5), learned=Mock()), 1
    )
    found = {}
    for path in (tmp_path / "gate/images").iterdir():
        mask = cv2.imread(str(tmp_path / "gate/masks" / path.name), cv2.IMREAD_GRAYSCALE)
        found[cv2.imread(str(path))[..., ::-1].tobytes()] = int((mask > 0).sum())
    assert found == {cracked[0].tobytes(): int(cracked[1].sum()), sound[0].tobytes(): 0}


def test_a_refused_attempt_does_not_stand_in_the_way_of_the_next(tmp_path):
    weights, places = tmp_path / "base.weights.h5", Places(tmp_path / "mine")
    weights.write_bytes(b"weights")
    folders = [write(tmp_path / "a", 4, 4)]
    places.begin(weights, folders, [])
    (places.work / "labels").mkdir()
    cv2.imwrite(str(tmp_path / "a/images/04.png"), photo(4, cracked=True)[0])
    places.begin(weights, folders, [])
    assert not (places.work / "labels").exists()
    (places.work / CHECKPOINT).write_bytes(b"minutes of learning")
    places.begin(weights, folders, [])
    (tmp_path / "a/images/04.png").unlink()
    with pytest.raises(DataError, match=r"mine\.work is of another adaptation"):
        places.begin(weights, folders, [])
    assert (places.work / CHECKPOINT).exists()
