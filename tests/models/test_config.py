"""Training configurations, right and wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import DataError
from models.config import load_config

CONFIGS = Path(__file__).parents[2] / "models" / "configs"


# Recipes lie there too; they have students, and tests of their own.
TRAININGS = sorted(path for path in CONFIGS.glob("*.toml") if "[[students]]" not in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", TRAININGS, ids=lambda path: path.stem)
def test_shipped_configurations_load(path):
    config = load_config(path)
    assert config.train.steps > 0
    assert all(not Path(source.images).is_absolute() for source in config.sources)


def test_shipped_training_never_touches_test_or_validation_pictures():
    config = load_config(CONFIGS / "fast-unet.toml")
    folders = [source.images for source in config.sources]
    assert not [one for one in folders if "test" in one or "val" in one]
    assert not {source.images for source in config.validation} & set(folders)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nsteps = 1\nsped = 2\n", r"config\.train\.sped: unknown key; .*known: .*seed"),
        ("[train]\nsteps = 'many'\n", r"config\.train\.steps: got 'many'"),
        ("[train]\nsteps = 1.5\n", r"steps: got 1.5 \(float\), needs a whole number"),
        ("[train]\nsteps = true\n", r"steps: got True"),
        ("[train]\nseed = 1\n", r"config\.train\.steps: missing"),
        ("[train]\nsteps = 1\n[[sources]]\nimages = 'a'\n", r"config\.sources\[0\]\.name: missing"),
        ("[train]\nsteps = 1\n[extra]\n", r"config\.extra: unknown key"),
        ("[train\n", r"not valid TOML"),
    ],
)
def test_wrong_file_is_answered_with_table_and_key(tmp_path, text, message):
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as told:
        load_config(path)
    assert str(told.value).count(str(path)) == 1


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"^\S+gone\.toml: cannot read the configuration"):
        load_config(tmp_path / "gone.toml")
