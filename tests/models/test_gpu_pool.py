"""Crops that are learned from several times: how often each is, and what the student is to answer."""

from __future__ import annotations

from tests.models.gpu_runs import needs_torch, run_python

POOL = """
    import numpy as np, torch
    from models.gpu import light
    from models.gpu.pool import FIRST_BATCHES, Pool
    from models.gpu.scenes import CLEAN_WEIGHT, Batch
    light.change = lambda rng, rgb, gentle: rgb
    made = []

    class Numbered:  # crop number n: red says which it is, green where its crack is; odd ones lie on sound ground
        def unlit(self, count, size):
            which = torch.arange(len(made), len(made) + count, dtype=torch.float32).reshape(-1, 1, 1, 1)
            made.extend(which.flatten().int().tolist())
            crack = torch.zeros(count, 1, size, size)
            crack[:, 0, 3, :20] = 1
            rgb = torch.cat([which.expand(count, 1, size, size), crack * 255, crack], 1)
            weight = torch.where(which % 2 == 1, CLEAN_WEIGHT, 1.0).expand_as(crack)
            return Batch(rgb=rgb, crack=crack, weight=weight), np.zeros(count, bool)

    batch_size, capacity, reuse, looked = 4, 100, 5, []
    def answer(rgb):  # a teacher that sees a crack everywhere
        looked.append(len(rgb))
        return torch.ones_like(rgb[:, :1])
    pool = Pool(Numbered(), answer, 32, capacity, reuse, seed=0)
    used = {}
    for _ in range(200):
        batch, target = pool.draw(batch_size)
        number = (batch.rgb[:, 0] * 255).round().amax((1, 2)).int().tolist()
        assert torch.equal((batch.rgb[:, 1:2] > 0.5).float(), batch.crack)  # label and picture are turned alike
        assert batch.crack.sum((1, 2, 3)).eq(20).all()
        for i, n in enumerate(number):
            used[n] = used.get(n, 0) + 1
        sure = (batch.weight == CLEAN_WEIGHT).amax((1, 2, 3))
        assert target[~sure].eq(1).all()  # where nobody is sure the teacher is believed
        assert target[sure].sum((1, 2, 3)).eq(22 * 5).all()  # on sound ground only within 2 px of the crack laid there
    assert sum(looked) == len(made) == FIRST_BATCHES * batch_size + 200 * batch_size // reuse == 240
    past = [used.get(n, 0) for n in range(100, 140)]  # made after the first ones, and replaced before the end
    assert abs(sum(past) / len(past) - reuse) < 1, sum(past) / len(past)
"""


@needs_torch
def test_crops_are_used_as_often_as_asked_and_known_ground_is_believed_before_the_teacher() -> None:
    run_python(POOL)
