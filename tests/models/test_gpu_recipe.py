"""Recipes of GPU runs: those that ship can be read, and those that cannot be are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import DataError
from models.gpu.recipe import load_recipe, replace_numbers
from tests.models.gpu_runs import RECIPE
from tests.models.sets import ROOT

GPU_RECIPES = [f"gpu-{of}.toml" for of in ("research", "open", "research-2", "open-2")]
RECIPES = [*GPU_RECIPES, "cpu-open.toml", "cpu-small.toml", "rule-open.toml"]


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_that_ship_can_be_read(name: str) -> None:
    recipe = load_recipe(ROOT / "models" / "configs" / name)
    assert all(source.licence != "unknown" for source in recipe.sources)
    assert not any("test" in source.images for source in recipe.sources)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('hold = 0.3\n[[sources]]\nname = "sound"\nimages = "x"', "two of the sources"),
        ("unlabelled = true\nmasks = 'x'", "unlabelled and has masks"),
        ("hold = 2", "it is a share"),
        ("colour = 1", "colour"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(data: Path, change: str, words: str) -> None:
    (data / "recipe.toml").write_text(RECIPE.replace("unlabelled = true", change))
    with pytest.raises(DataError, match=words):
        load_recipe(data / "recipe.toml")


def test_numbers_are_replaced_by_name_and_checked(data: Path) -> None:
    recipe = load_recipe(data / "recipe.toml")
    assert replace_numbers(recipe, ["batch=3", "ema=0.9"]).run.batch == 3
    with pytest.raises(DataError, match="no number 'colour'"):
        replace_numbers(recipe, ["colour=3"])
    with pytest.raises(DataError, match="multiple of 64"):
        replace_numbers(recipe, ["crop_px=70"])
