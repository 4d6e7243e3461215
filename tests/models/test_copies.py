"""Near copies of held-out pictures are found, and kept out of training."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from models import DataError, duplicates, render
from models.cli import main
from models.config import load_config
from models.sources import split_sources

CONFIG = """
[train]
steps = 1
near_copies = "{choice}"
[[sources]]
name = "a"
images = "learn"
[[validation]]
name = "v"
images = "held"
[[test]]
name = "t"
images = "test"
"""


def scene(seed, height=300, width=420):
    """A surface with large soft shapes, as photos have them."""
    rng = np.random.default_rng(seed)
    field = render.fractal_noise(rng, 512, 3, 5)[:height, :width]
    return np.clip(130 + 35 * field[..., None] + rng.normal(0, 4, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def root(tmp_path):
    for folder, seeds in (("learn", range(6)), ("held", (100, 101)), ("test", (200,))):
        (tmp_path / folder).mkdir()
        for seed in seeds:
            cv2.imwrite(str(tmp_path / folder / f"{seed}.png"), scene(seed))
    return tmp_path


CHANGES = {
    "jpeg": lambda rgb: cv2.imdecode(cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR),
    "smaller": lambda rgb: cv2.resize(rgb, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
    "brighter": lambda rgb: np.clip(rgb * 1.15 + 10, 0, 255).astype(np.uint8),
    "grey": lambda rgb: cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR),
    "flipped": lambda rgb: rgb[:, ::-1],
    "turned": lambda rgb: np.rot90(rgb),
    "turned and flipped": lambda rgb: np.rot90(rgb, 3)[:, ::-1],
    "trimmed": lambda rgb: rgb[3:-3, 4:-4],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_copy_is_found(root, change):
    cv2.imwrite(str(root / "learn/copy.png"), np.ascontiguousarray(change(scene(101))))
    learned, held = (duplicates.fingerprint(sorted((root / name).iterdir())) for name in ("learn", "held"))
    (copy,) = duplicates.near_copies(learned, held)
    assert (copy.picture.name, copy.like.name) == ("copy.png", "101.png")
    assert copy.correlation > 0.9


def test_other_pictures_are_no_copies(root):
    learned, held = (duplicates.fingerprint(sorted((root / name).iterdir())) for name in ("learn", "held"))
    assert duplicates.near_copies(learned, held) == []


def test_training_leaves_copies_of_validation_and_test_pictures_out(root, caplog):
    cv2.imwrite(str(root / "learn/again.png"), scene(200))
    config = root / "config.toml"
    config.write_text(CONFIG.format(choice="drop"))
    parts = split_sources(load_config(config), root)
    assert parts.dropped == {"a": 1}
    assert "again.png" not in [example.image.name for example in parts.train["a"]]
    assert "a: 1 pictures look like a held-out one" in caplog.text
    config.write_text(CONFIG.format(choice="keep"))
    assert len(split_sources(load_config(config), root).train["a"]) == 7
    config.write_text(CONFIG.format(choice="refuse"))
    with pytest.raises(DataError, match=r"1 training pictures look like a held-out one, first .*again\.png like .*200"):
        split_sources(load_config(config), root)


def test_source_that_is_nothing_but_copies_is_refused(root):
    for path in (root / "learn").iterdir():
        path.unlink()
    cv2.imwrite(str(root / "learn/again.png"), scene(200))
    (root / "config.toml").write_text(CONFIG.format(choice="drop"))
    with pytest.raises(DataError, match="All pictures of source a look like a held-out one"):
        split_sources(load_config(root / "config.toml"), root)


def test_a_source_that_its_holdout_empties_is_told(root, capsys):
    """All its pictures are of one photograph, which is held out whole: nothing would be left to cut a crop from."""
    names = sorted(path.name for path in (root / "learn").iterdir())
    (root / "index.csv").write_text("image,photo\n" + "".join(f"learn/{name},one\n" for name in names))
    config = root / "one.toml"
    config.write_text(CONFIG.format(choice="keep").replace('images = "learn"', 'images = "learn"\nholdout = 0.2'))
    assert main(["train", str(config), "--out", str(root / "out")]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: Source a is one photograph (/one) of 6 pictures, and its holdout = 0.2 keeps all")
    assert message.count("\n") == 1


def test_command_lists_what_looks_alike(root, capsys):
    cv2.imwrite(str(root / "learn/again.png"), scene(100))
    (root / "config.toml").write_text(CONFIG.format(choice="refuse"))
    assert main(["duplicates", str(root / "config.toml")]) == 0
    found = capsys.readouterr()
    picture, like, correlation = found.out.strip().split("\t")
    assert (picture, like) == (str(root / "learn/again.png"), str(root / "held/100.png"))
    assert float(correlation) > 0.99
    assert found.err.endswith("1 training pictures look like a held-out one\n")
    assert main(["duplicates", str(root / "config.toml"), "--data", str(root / "nowhere")]) == 2


HOLDS_OUT = """
[train]
steps = 1
near_copies = "keep"
[[sources]]
name = "cracked"
images = "images"
masks = "masks"
holdout = 0.3
[[sources]]
name = "sound"
images = "negatives"
{more}
"""


@pytest.fixture
def imported(tmp_path):
    """The layout that `models import` writes: of each of ten photographs a piece with and a piece without a crack."""
    rows = ["image,photo"]
    for i in range(10):
        for folder in ("images", "negatives", "masks"):
            (tmp_path / folder).mkdir(exist_ok=True)
            picture = np.zeros((8, 8, 3), np.uint8)
            cv2.imwrite(str(tmp_path / folder / f"piece{i}.png"), picture)
        rows += [f"images/piece{i}.png,photo{i}", f"negatives/piece{i}.png,photo{i}"]
    (tmp_path / "index.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def numbers(examples):
    """Photographs by the number in the file's name, as the fixture wrote it."""
    return {int(one.image.stem.removeprefix("piece")) for one in examples}


def test_photograph_held_out_of_one_source_is_learned_from_in_no_other(imported, tmp_path, caplog):
    from models import record
    from models.unet import classic_unet

    (imported / "config.toml").write_text(HOLDS_OUT.format(more=""))
    config = load_config(imported / "config.toml")
    parts = split_sources(config, imported)
    held = numbers(parts.held["cracked/held"])
    assert len(held) == 3
    assert numbers(parts.train["cracked"]) == numbers(parts.train["sound"]) == set(range(10)) - held
    assert "sound: 3 pictures are of photographs that another set holds out" in caplog.text
    record.write_run(tmp_path / "run.json", config, "", parts, classic_unet(32, 32, 2, 1))
    assert json.loads((tmp_path / "run.json").read_text())["held_photos_dropped"] == {"sound": 3}


@pytest.mark.parametrize("kind", ["validation", "test"])
def test_photograph_of_a_validation_or_test_set_is_not_learned_from(imported, kind):
    (imported / "other").mkdir()
    (imported / "images/piece4.png").rename(imported / "other/piece4.png")
    (imported / "masks/piece4.png").unlink()
    index = imported / "index.csv"
    index.write_text(index.read_text().replace("images/piece4.png", "other/piece4.png"))
    text = HOLDS_OUT.format(more=f'[[{kind}]]\nname = "v"\nimages = "other"').replace("holdout = 0.3", "")
    (imported / "config.toml").write_text(text)
    parts = split_sources(load_config(imported / "config.toml"), imported)
    assert numbers(parts.train["sound"]) == set(range(10)) - {4}
    assert parts.same_photo == {"sound": 1}


def test_pictures_of_one_name_are_two_photographs_where_no_index_says_otherwise(imported):
    """Cameras count anew on each card: IMG_0001 of two folders of one name, as a/images and b/images, are two."""
    (imported / "index.csv").unlink()
    (imported / "b").mkdir()
    (imported / "negatives").rename(imported / "b/images")
    text = HOLDS_OUT.format(more="").replace('"negatives"', '"b/images"')
    (imported / "config.toml").write_text(text)
    parts = split_sources(load_config(imported / "config.toml"), imported)
    assert numbers(parts.train["sound"]) == set(range(10))


def test_dropped_copies_are_recorded(root, tmp_path):
    from models import record
    from models.unet import classic_unet

    cv2.imwrite(str(root / "learn/again.png"), scene(200))
    (root / "config.toml").write_text(CONFIG.format(choice="drop"))
    config = load_config(root / "config.toml")
    record.write_run(tmp_path / "run.json", config, "", split_sources(config, root), classic_unet(32, 32, 2, 1))
    assert json.loads((tmp_path / "run.json").read_text())["near_copies_dropped"] == {"a": 1}
