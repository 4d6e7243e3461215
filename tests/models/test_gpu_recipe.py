"""Recipes of GPU runs: those that ship can be read, and those that cannot be are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import DataError
from models.gpu.pack import select
from models.gpu.recipe import leave_out, load_recipe, only, replace_numbers, without
from tests.models.gpu_runs import RECIPE
from tests.models.sets import ROOT

GPU_RECIPES = [f"gpu-{of}.toml" for of in ("research", "open", "research-2", "open-2")]
CPU_RECIPES = [f"cpu-{of}.toml" for of in ("open", "research", "small", "wide")]
RECIPES = [*GPU_RECIPES, *CPU_RECIPES, "rule-open.toml", "leave-out.toml"]


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


def test_mosaics_and_enlarged_crops_are_shares_of_one_batch(data: Path) -> None:
    (data / "recipe.toml").write_text(RECIPE.replace("[mix]", "[mix]\nmosaics = 0.3\nenlarged = 0.8"))
    with pytest.raises(DataError, match="0 to 1 together"):
        load_recipe(data / "recipe.toml")


def test_numbers_are_replaced_by_name_and_checked(data: Path) -> None:
    recipe = load_recipe(data / "recipe.toml")
    assert replace_numbers(recipe, ["batch=3", "ema=0.9"]).run.batch == 3
    with pytest.raises(DataError, match="no number 'colour'"):
        replace_numbers(recipe, ["colour=3"])
    with pytest.raises(DataError, match="multiple of 64"):
        replace_numbers(recipe, ["crop_px=70"])


def test_sources_are_left_out_whole_and_what_is_judged_by_them_or_without_them_follows(data: Path) -> None:
    recipe = load_recipe(data / "recipe.toml")
    there = [source.name for source in recipe.sources]
    left = leave_out(recipe, ["sound"])
    held = {source.name: [out for _, out in select(source, data)] for source in left.sources}
    assert all(held["sound"])
    assert any(held["cracked"])  # its own share stays held out
    assert not all(held["cracked"])
    assert [source.name for source in only(recipe, ["sound"]).sources] == ["sound"]
    assert only(recipe, ["sound"]).sources[0].hold == 1
    assert [source.name for source in without(recipe, ["sound"]).sources] == [one for one in there if one != "sound"]
    with pytest.raises(DataError, match="no source sonud to leave out; it has cracked, sound, guessed"):
        leave_out(recipe, ["sonud"])
    with pytest.raises(DataError, match="Every source"):
        without(recipe, there)
