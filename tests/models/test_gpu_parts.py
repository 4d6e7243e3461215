"""Parts of the GPU path: the same networks in both frameworks, edges and peaks, judging, and what it needs."""

from __future__ import annotations

from tests.models.gpu_runs import needs_torch, run_python

PARITY = """
    import keras, numpy as np, torch
    from models.gpu import nets, transfer
    from models.unet import SIZES, fast_unet, resized
    rng = np.random.default_rng(0)
    images = rng.random((2, 96, 64, 3), np.float32)
    for kind, size in SIZES.items():
        model = fast_unet(96, 64, size=size)
        model.set_weights([rng.uniform(0.5, 1.5, w.shape) if w.ndim == 1 else w for w in model.get_weights()])
        net = nets.student(kind).eval()
        arrays = transfer.from_keras(model)
        missing = net.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in arrays.items()}, strict=False)
        assert not missing.unexpected_keys and all("num_batches" in key for key in missing.missing_keys)
        with torch.no_grad():
            planes = net(torch.from_numpy(images).permute(0, 3, 1, 2))
        answer = torch.pixel_unshuffle(planes, size.shuffle).permute(0, 2, 3, 1).numpy()
        expected = np.asarray(model.predict_on_batch(images))
        np.testing.assert_allclose(answer, expected, atol=1e-4 * np.abs(expected).max())
        again = resized(model, 96, 64)
        transfer.to_keras({k: v.numpy() for k, v in net.state_dict().items()}, again)
        for mine, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
"""

# A GPU is lent for minutes, on a machine that has PyTorch, NumPy and OpenCV and no network.
BARE = """
    import builtins, sys
    there, take = sys.stdlib_module_names | {"numpy", "torch", "cv2", "edge", "models"}, builtins.__import__

    def only(name, globals=None, locals=None, fromlist=(), level=0):
        by = str((globals or {}).get("__name__"))
        if level == 0 and by.split(".")[0] in ("edge", "models") and name.split(".")[0] not in there:
            raise ModuleNotFoundError(f"{by} wants {name}")
        return take(name, globals, locals, fromlist, level)

    builtins.__import__ = only
    import models.gpu.__main__, models.gpu.run
    try:
        import models.gpu.take
    except ModuleNotFoundError:
        pass
    else:
        raise AssertionError("the import that needs more was not refused, so this shows nothing")
"""

PIECES = """
    import numpy as np, torch
    from models.gpu.joined import join
    from models.gpu.losses import PEAK_PX, peak_loss
    from models.gpu.nets import TEACHERS, Teacher
    from models.gpu.scenes import Batch
    count, size = 12, 64
    tone = torch.arange(20.0, 20.0 + 15 * count, 15).reshape(-1, 1, 1, 1)
    rgb = tone.expand(count, 3, size, size).clone()
    crack = torch.zeros(count, 1, size, size)
    crack[::2] = 1
    weight = 1 + torch.arange(float(count)).reshape(-1, 1, 1, 1).expand_as(crack)
    same = join(np.random.default_rng(0), rgb, crack, weight, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(same, (rgb, crack, weight)))
    _, label, trust = join(np.random.default_rng(0), rgb, crack, weight, 1.0)
    # the weight tells whose pixel it is: its label came with it, and other pictures are in most of these
    whose = trust.long() - 1
    assert torch.equal(label, (whose % 2 == 0).float())
    assert (whose != torch.arange(count).reshape(-1, 1, 1, 1)).flatten(1).any(1).sum() >= count // 2

    logits = torch.full((3, 1, size, size), -20.0)
    logits[0, 0, :4, :] = 3.0  # as many pixels as count: a false piece on a sound crop
    logits[1] = 3.0  # a crop with a crack
    cracked = torch.zeros(3, 1, size, size)
    cracked[1, 0, 5] = 1
    batch = Batch(rgb=torch.zeros(3, 3, size, size), crack=cracked, weight=torch.full_like(cracked, 1.5))
    assert PEAK_PX == 4 * size
    cost = float(peak_loss(logits, batch))
    assert abs(cost - np.log1p(np.exp(3.0)) / 2) < 1e-4, cost  # the mean over two sound crops; the other costs nothing
    unsure = Batch(rgb=batch.rgb, crack=cracked, weight=torch.ones_like(cracked))
    assert float(peak_loss(logits, unsure)) == 0  # no crop is of a crack-free source

    for name in TEACHERS:
        net = Teacher(name).eval()
        with torch.no_grad():
            assert net(torch.zeros(1, 3, 64, 96)).shape == (1, 1, 64, 96)
"""


JUDGED = """
    import cv2, numpy as np, torch
    from models.gpu import judge
    from models.gpu.bank import load_bank
    from models.gpu.packed import Entry, Packed
    from models.gpu.recipe import Recipe, SourceRecipe, StudentRecipe
    rng = np.random.default_rng(3)
    def picture(source, shape, fired, truth):  # red says where the network is to fire
        rgb = np.zeros((*shape, 3), np.uint8)
        rgb[..., 2] = fired * 255
        image, mask = (cv2.imencode(".png", one)[1].tobytes() for one in (rgb, truth.astype(np.uint8)))
        entry = Entry(source=source, name="a", photo="a", held=True, image=(0, 0), mask=(0, 0))
        return Packed(entry=entry, image=image, mask=mask)
    shapes = (60, 64), (40, 33)
    pairs = [(rng.random(shape) < 0.03, rng.random(shape) < 0.02) for shape in shapes]
    packed = [picture("cracked", shape, *pair) for shape, pair in zip(shapes, pairs)]
    for count in (49, 50, 51):
        fired = np.arange(60 * 64).reshape(60, 64) % 64 % 5 == 0
        fired &= np.cumsum(fired).reshape(60, 64) <= count
        packed.append(picture("sound", (60, 64), fired, np.zeros((60, 64))))
    sources = (SourceRecipe(name="cracked", images="a", masks="b"), SourceRecipe(name="sound", images="c"))
    recipe = Recipe(students=(StudentRecipe(name="small"),), sources=sources)
    bank = load_bank(packed, recipe, torch.device("cpu"), 1)
    with torch.autocast("cpu", torch.bfloat16):
        found = judge.score(lambda rgb: (rgb[:, :1] - 0.5) * 18, bank, recipe)
    def near(mask, others):  # every pixel against every other one
        at, of = np.argwhere(mask), np.argwhere(others)
        return int((np.hypot(*(at[:, None] - of[None]).transpose(2, 0, 1)).min(1) <= 2).sum())
    precision = sum(near(f, t) for f, t in pairs) / sum(f.sum() for f, _ in pairs)
    recall = sum(near(t, f) for f, t in pairs) / sum(t.sum() for _, t in pairs)
    expected = 2 * precision * recall / (precision + recall)
    assert np.allclose(found["cracked"], expected, atol=6e-4), (found["cracked"], expected)
    assert found["sound"] == [0.667] * 6
"""


@needs_torch
def test_networks_answer_alike_in_both_frameworks() -> None:
    run_python(PARITY)


@needs_torch
def test_a_run_needs_pytorch_numpy_and_opencv_alone() -> None:
    run_python(BARE)


@needs_torch
def test_edges_carry_their_labels_and_peaks_cost_on_sound_crops_alone() -> None:
    run_python(PIECES)


@needs_torch
def test_held_out_pictures_are_judged_with_a_disk_and_fire_with_fifty_pixels() -> None:
    run_python(JUDGED)
