"""The judge of sites: halves by photograph, one score, ties, and a scorer whose answer is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from models import DataError, site_table, sites
from models.gpu.recipe import load_recipe
from models.scoring import open_scorer, second_looks_of

RECIPE = """
[[students]]
name = "s"
[[sources]]
name = "cracked"
images = "cracked/images"
masks = "cracked/masks"
wide = "cracked/wide"
hold = 1
[[sources]]
name = "sound"
images = "sound"
hold = 1
"""


class Ink:
    """Scores what is black on the picture as a sure crack."""

    name, threshold = "ink", 0.5

    def score(self, rgb: np.ndarray) -> np.ndarray:
        return np.where(rgb[..., 0] < 60, np.uint8(255), np.uint8(0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four cracked pictures whose upper line is drawn, the lower one only as a band, and four sound ones, one inked."""
    for name in ("cracked/images", "cracked/masks", "cracked/wide", "sound"):
        (tmp_path / name).mkdir(parents=True)
    for i in range(4):
        picture, mask, band = (
            np.full((96, 96, 3), 150, np.uint8),
            np.zeros((96, 96), np.uint8),
            np.zeros((96, 96), np.uint8),
        )
        for y in (30, 70):
            cv2.line(picture, (5, y), (90, y + 4), (0, 0, 0), 3)
            cv2.line(band, (5, y), (90, y + 4), 255, 11)
        cv2.line(mask, (5, 30), (90, 34), 255, 3)
        for name, content in (("images", picture), ("masks", mask), ("wide", band)):
            cv2.imwrite(str(tmp_path / "cracked" / name / f"{i}.png"), content)
        cv2.imwrite(str(tmp_path / "sound" / f"{i}.png"), picture if i == 0 else np.full_like(picture, 150))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def test_what_is_known_counts_and_what_nobody_knows_does_not(folder: Path) -> None:
    tiles = list(sites.held_tiles(load_recipe(folder / "recipe.toml"), folder))
    assert [tile.part for tile in tiles if tile.site == "cracked"] == ["choose", "report", "choose", "report"]
    table = sites.measure(Ink(), tiles, [0.5], [0.0])
    (row,) = sites.sweep(table, None)
    assert row["f1_2px"]["cracked"] > 0.98  # the line in the band, which nobody drew, is neither right nor wrong
    assert row["fires"]["sound"] == 0.25
    assert row["score"] == pytest.approx(row["f1_2px"]["cracked"] - 0.125 + 0.25 * row["hairline_recall"], abs=1e-3)
    assert sites.sweep(table, "report")[0]["fires"]["sound"] == 0
    assert sites.report(table, 0, None)["sound"]["fires"]["value"] == 0.25


def test_fewer_pictures_of_a_site_stay_in_the_half_that_they_are_in(folder: Path) -> None:
    """What a rule was fitted on must not be scored as unseen because fewer pictures are looked at."""
    recipe = load_recipe(folder / "recipe.toml")
    whole = {tile.image: tile.part for tile in sites.held_tiles(recipe, folder)}
    for most in (1, 2, 3):
        some = list(sites.held_tiles(recipe, folder, most=most))
        assert 0 < len(some) <= len(whole)
        assert all(tile.part == whole[tile.image] for tile in some)
    halves = {(tile.site, tile.part) for tile in sites.held_tiles(recipe, folder, most=2)}
    assert halves == {(site, part) for site in ("cracked", "sound") for part in sites.PARTS}


def test_a_limit_that_no_line_reaches_reports_nothing_unsure(folder: Path) -> None:
    class Unsure(Ink):
        def score(self, rgb: np.ndarray) -> np.ndarray:
            return np.where(rgb[..., 0] < 60, np.uint8(200), np.uint8(0))

    tiles = list(sites.held_tiles(load_recipe(folder / "recipe.toml"), folder, most=2))
    assert len(tiles) == 4
    loose, strict = sites.sweep(sites.measure(Unsure(), tiles, [0.5], [0.0, 1e6]), None)
    assert loose["fires"]["sound"] > strict["fires"]["sound"] == 0
    assert strict["f1_2px"]["cracked"] == 0


def test_of_equal_scores_the_one_that_finds_most_hairlines_is_taken() -> None:
    rows = [{"score": 0.90, "hairline_recall": 0.6}, {"score": 0.897, "hairline_recall": 0.7},
            {"score": 0.88, "hairline_recall": 0.9}]  # fmt: skip
    assert sites.choose(rows) == 1


def test_a_bundle_looks_again_where_that_is_asked_for_and_nothing_else_does(tmp_path: Path) -> None:
    pixel = Path(__file__).parents[1] / "masks/fixtures/pixel"
    doubtful = np.full((60, 60, 3), 128, np.uint8)
    for runs, looked in ((0, 0), (1, 1), (9, 2)):
        scorer = open_scorer(pixel, second_look=runs)
        scorer.score(doubtful)
        assert second_looks_of(scorer) == looked
    assert second_looks_of(Ink()) == 0
    with pytest.raises(DataError, match="no bundle folder: --second-look and --half-look are"):
        open_scorer(tmp_path / "model.keras", second_look=4)


def test_a_table_compares_several_demands_for_evidence_on_either_half(folder: Path) -> None:
    class Doubtful(Ink):
        def score(self, rgb: np.ndarray) -> np.ndarray:
            return np.where(rgb[..., 0] < 60, np.uint8(250), np.uint8(0))  # 85 px at 250 need a limit below 4,300 px

    tiles = list(sites.held_tiles(load_recipe(folder / "recipe.toml"), folder))
    table = sites.measure(Doubtful(), tiles, [0.5], [1200.0], stricter=[-1.0, 0.0, 3.0])
    head, _, _, _, *rows = site_table.markdown(table, second_looks=7).splitlines()
    assert head == "8 pictures, 7 second looks; cracked: cracked; crack-free: sound"
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [(cell[0], cell[1]) for cell in cells] == [
        (f"0.5, 1200 px, {more}", part) for more in ("-1", "0", "3") for part in ("choose", "report", "both")
    ]
    assert [cell[-1] for cell in cells] == ["50 %", "0 %", "25 %"] * 2 + ["0 %"] * 3
    assert float(cells[0][5]) > 0.98
    assert float(cells[-1][5]) == 0 == float(cells[-1][2])
    assert cells[2][4] == cells[2][5] == "1.000"


def test_a_half_without_a_picture_of_a_site_has_no_value_for_it(folder: Path) -> None:
    tiles = [one for one in sites.held_tiles(load_recipe(folder / "recipe.toml"), folder) if one.part == "choose"]
    sound = [one for one in sites.held_tiles(load_recipe(folder / "recipe.toml"), folder) if one.clean]
    table = sites.measure(Ink(), [tiles[0], *sound], [0.5], [0.0])
    rows = site_table.markdown(table).splitlines()[-3:]
    assert [row.split("|")[6].strip() == "–" for row in rows] == [False, True, False]
