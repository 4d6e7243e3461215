"""Soft clDice in PyTorch against plain minimum and maximum filters in NumPy, and what it is there for."""

from __future__ import annotations

import pytest

from models import DataError
from models.gpu.recipe import Recipe, RunRecipe, SourceRecipe, StudentRecipe, replace_numbers
from tests.models.gpu_runs import needs_torch, run_python

CL_DICE = """
    import numpy as np, torch
    from models.gpu.losses import cl_dice_loss, label_loss, soft_skeleton
    from models.gpu.scenes import Batch

    CROSS = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
    SQUARE = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]

    def filtered(plane, steps, rule, outside):  # every pixel with those around it that lie in the picture
        high, wide = plane.shape
        padded = np.pad(plane, 1, constant_values=outside)
        return rule([padded[1 + y : 1 + y + high, 1 + x : 1 + x + wide] for y, x in steps], axis=0)

    def skeleton_of(plane, iterations):  # Algorithm 1 of Shit et al. 2021, as it is printed
        def erode(p):
            return filtered(p, CROSS, np.min, np.inf)
        def opened(p):
            return filtered(erode(p), SQUARE, np.max, -np.inf)
        skeleton = np.maximum(plane - opened(plane), 0)
        for _ in range(iterations):
            plane = erode(plane)
            skeleton = skeleton + (1 - skeleton) * np.maximum(plane - opened(plane), 0)
        return skeleton

    def oracle(scores, labels, weights, iterations):
        sums = np.zeros(4)
        for score, label, weight in zip(scores, labels, weights):
            score, label = np.where(weight > 0, score, 0), np.where(weight > 0, label, 0)
            line, true_line = skeleton_of(score, iterations), skeleton_of(label, iterations)
            sums += (line * label).sum(), line.sum(), (true_line * score).sum(), true_line.sum()
        p, s = (sums[0] + 1) / (sums[1] + 1), (sums[2] + 1) / (sums[3] + 1)
        return 1 - 2 * p * s / (p + s)

    def batch_of(labels, weights):
        crack, weight = (torch.from_numpy(np.asarray(one, np.float32))[:, None] for one in (labels, weights))
        return Batch(rgb=torch.zeros(len(crack), 3, *crack.shape[2:]), crack=crack, weight=weight)

    def logits_of(scores):
        return torch.from_numpy(np.log(scores / (1 - scores)))[:, None].float()

    rng = np.random.default_rng(1)
    scores = rng.uniform(0.01, 0.99, (4, 19, 23))
    labels = (rng.random((4, 19, 23)) < 0.3).astype(float)
    labels[0, 5:9, 2:20] = labels[1, :, 9:14] = 1
    weights = rng.choice([0, 0.3, 1, 1.5], (4, 19, 23), p=[0.2, 0.2, 0.4, 0.2])
    weights[3] = 0
    for iterations in (1, 3):
        planes = torch.from_numpy(scores)[:, None]
        expected = np.stack([skeleton_of(one, iterations) for one in scores])
        np.testing.assert_allclose(soft_skeleton(planes, iterations)[:, 0].numpy(), expected, atol=1e-12)
        found = cl_dice_loss(logits_of(scores), batch_of(labels, weights), iterations)
        assert found.dtype == torch.float32
        assert abs(float(found) - oracle(scores, labels, weights, iterations)) < 1e-5

    # what nobody labelled neither costs nor teaches, also in half precision
    logits = logits_of(scores).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = cl_dice_loss(logits, batch_of(labels, weights), 3)
    assert loss.dtype == torch.float32
    loss.backward()
    slope = logits.grad[:, 0].float().numpy()
    assert np.isfinite(slope).all() and (slope[weights == 0] == 0).all() and (slope[weights > 0] != 0).any()
    changed = np.where(weights == 0, 0.5, scores)
    assert abs(float(cl_dice_loss(logits_of(changed), batch_of(labels, weights), 3) -
                     cl_dice_loss(logits_of(scores), batch_of(labels, weights), 3))) < 1e-6
    nothing = cl_dice_loss(logits_of(scores), batch_of(labels, np.zeros_like(weights)), 3)
    assert float(nothing) == 0

    # a line of 3 px: as many of its pixels are missing at its rim, or as gaps across it
    for seed in range(20):
        rng = np.random.default_rng(seed)
        middle = np.clip(np.cumsum(rng.integers(-1, 2, 60)) + 20, 3, 36)
        label = np.zeros((40, 60))
        for x, y in enumerate(middle):
            label[y - 1 : y + 2, x] = 1
        gaps = rng.choice(np.arange(5, 55, 3), 4, replace=False)
        broken, thinner = label.copy(), label.copy()
        broken[:, gaps] = 0
        rim = np.array([(y + side, x) for x, y in enumerate(middle) for side in (-1, 1)])
        thinner[tuple(rim[rng.choice(len(rim), 12, replace=False)].T)] = 0
        assert broken.sum() == thinner.sum() == label.sum() - 12
        whole = batch_of(label[None], np.ones_like(label)[None])
        costs = {}
        for name, shown in (("broken", broken), ("thinner", thinner), ("right", label)):
            logits = logits_of(np.where(shown > 0, 0.98, 0.02)[None])
            costs[name] = float(cl_dice_loss(logits, whole, 5))
            costs[name, "label"] = float(label_loss(logits, whole, torch.ones_like(logits)))
        assert abs(costs["broken", "label"] - costs["thinner", "label"]) < 1e-4  # Dice and entropy see no difference
        assert abs(costs["right"] - costs["thinner"]) < 0.01 < costs["broken"] - costs["thinner"], costs
"""


@needs_torch
def test_soft_cldice_is_that_of_the_paper_on_what_is_known_and_gaps_cost_more_than_width() -> None:
    run_python(CL_DICE)


def test_its_weight_stands_in_the_recipe_and_is_off() -> None:
    recipe = Recipe(students=(StudentRecipe(name="a"),), sources=(SourceRecipe(name="b", images="b"),))
    assert recipe.run.cl_dice == 0
    changed = replace_numbers(recipe, ["cl_dice=0.25", "cl_dice_iterations=8"]).run
    assert (changed.cl_dice, changed.cl_dice_iterations) == (0.25, 8)
    for wrong in ({"cl_dice": -0.1}, {"cl_dice": float("nan")}, {"cl_dice": 0.1, "cl_dice_iterations": 0}):
        with pytest.raises(ValueError, match="cl_dice is a weight of at least 0 and cl_dice_iterations at least 1"):
            RunRecipe(**wrong)
    with pytest.raises(DataError, match="--set: cl_dice is a weight"):
        replace_numbers(recipe, ["cl_dice=-1"])
