"""Things that a GPU run renders beforehand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import DataError
from models.gpu import rendered
from models.gpu.recipe import load_recipe


def test_rendered_things_are_kept_and_nothing_else_passes_for_them(data: Path) -> None:
    recipe, path = load_recipe(data / "recipe.toml"), data / "things.npz"
    kept = rendered.Rendered(cracks=np.ones((2, 1, 1, 2), np.uint8), lookalikes=np.ones((1, 1, 1, 7), np.uint8))
    np.savez(path, cracks=kept.cracks, lookalikes=kept.lookalikes)
    np.testing.assert_array_equal(rendered.rendered_once(path, recipe, 1).cracks, kept.cracks)
    np.savez(path, cracks=kept.cracks)
    with pytest.raises(DataError, match=r"things\.npz holds cracks, no rendered things"):
        rendered.rendered_once(path, recipe, 1)
    with pytest.raises(DataError, match=r"there is no folder .*nowhere; make it"):
        rendered.rendered_once(data / "nowhere" / "things.npz", recipe, 1)


def test_what_a_lookalike_does_is_read_off_for_any_ground() -> None:
    """Painted on a third ground, a look-alike is what the factor and the addition say, to a grey level or two."""
    from models import lookalikes

    for seed in range(8):
        stored = rendered.lookalike(np.random.default_rng(seed), 96).astype(np.float32)
        rng = np.random.default_rng(seed)
        painter = lookalikes.PAINTERS[int(rng.integers(len(lookalikes.PAINTERS)))]
        ground = np.full((96, 96, 3), 100, np.uint8)
        expected, _ = painter(np.random.default_rng(int(rng.integers(2**31))), ground)
        found = 100 * stored[..., :3] / rendered.FACTOR_SCALE + stored[..., 3:6] - rendered.OFFSET
        inside = (expected > 2) & (expected < 250)  # what was cut off at black or white cannot be told
        assert np.abs(found - expected)[inside].mean() < 1.5


def test_rendering_does_not_depend_on_the_number_of_processes() -> None:
    one, two = (rendered.render_all(2, 1, seed=5, processes=count) for count in (1, 2))
    np.testing.assert_array_equal(one.cracks, two.cracks)
    np.testing.assert_array_equal(one.lookalikes, two.lookalikes)
    assert (one.cracks[..., 1] == 255).any(axis=(1, 2)).all()
