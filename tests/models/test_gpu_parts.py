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

NEARBY = """
    import cv2, dataclasses, numpy as np, torch
    from models import DataError
    from models.gpu.bank import load_bank
    from models.gpu.packed import Entry, Packed
    from models.gpu.recipe import MixRecipe, Recipe, SourceRecipe, StudentRecipe
    from models.gpu.rendered import rendered_once
    from models.gpu.scenes import Batch, Scenes
    def picture(source, red, held=False):  # a straight crack of 10 px; red says whose picture it is
        rgb, mask = np.full((256, 256, 3), 120, np.uint8), np.zeros((256, 256), np.uint8)
        rgb[..., 2] = red
        if source != "sound":
            mask[120:130] = 1
        image, label = (cv2.imencode(".png", one)[1].tobytes() for one in (rgb, mask))
        entry = Entry(source=source, name="a", photo="a", held=held, image=(0, 0), mask=(0, 0))
        return Packed(entry=entry, image=image, mask=label)
    packed = [picture("exact", 40), picture("loose", 120), picture("sound", 200), picture("away", 250)]
    sources = tuple(
        SourceRecipe(name=name, images="a", masks=None if name == "sound" else "b", looseness_px=loose, hold=hold)
        for name, loose, hold in (("exact", 0, 0), ("loose", 2, 0), ("sound", 1, 0), ("away", 0, 1))
    )
    mix = MixRecipe(mosaics=0.0, rendered_cracks=0.0, pasted_cracks=0.0, enlarged=0.5, joined=1.0,
                    lookalikes_on_cracked=0.0, lookalikes_on_clean=0.0)
    recipe = Recipe(students=(StudentRecipe(name="small"),), sources=sources, mix=mix)
    recipe = dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, cracks=1, lookalikes=1))
    bank = load_bank(packed, recipe, torch.device("cpu"), 1)
    assert bank.held.tolist() == [False, False, False, True]  # whatever the pack says, a source with hold = 1 is
    if __name__ == "__main__":
        rendered = rendered_once(None, recipe, 1)
        scenes, reds, widths = Scenes(recipe, bank, rendered, 3), [], []
        for _ in range(12):
            made, _ = scenes.unlit(8, 64)
            assert made.sure.flatten().tolist() == [0] * 4 + [1] * 4
            target = made.corrected(torch.full_like(made.crack, 0.25))
            assert (target[:4] == 0.25).all() and torch.equal(target[4:], made.crack[4:])  # all labels are known here
            reds += made.rgb[4:, 0].median(-1).values.median(-1).values.round().int().tolist()
            for crop, label in zip(made.rgb[4:], made.crack[4:, 0]):
                if float(crop[0].median()) < 60:
                    gap = cv2.distanceTransform(label.numpy().astype(np.uint8), cv2.DIST_L2, 5).max()
                    widths.append(2 * gap if label.mean() < 1 else 64)
        assert set(reds) == {40, 200}  # never of loose labels, of other pictures by an edge, or held out
        assert 5 < reds.count(200) < 30  # a quarter of 48
        assert min(widths) > 12 and max(widths) > 35, sorted(widths)  # 1.6 to 5 times 10 px, as far as 64 px show them
        unknown = Batch(rgb=made.rgb, crack=made.crack, weight=torch.zeros_like(made.crack), sure=made.sure)
        assert (unknown.corrected(torch.full_like(made.crack, 0.25)) == 0.25).all()
        loose = dataclasses.replace(recipe, sources=(*sources[1:3], dataclasses.replace(sources[0], looseness_px=1)))
        try:
            Scenes(loose, load_bank(packed, loose, torch.device("cpu"), 1), rendered, 3)
        except DataError as error:
            assert "looseness_px = 0" in str(error)
        else:
            raise AssertionError("labels that are not exact were taken for enlarging")
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
def test_cracks_are_shown_from_nearby_by_exact_labels_which_are_believed_before_the_teacher() -> None:
    run_python(NEARBY)


@needs_torch
def test_held_out_pictures_are_judged_with_a_disk_and_fire_with_fifty_pixels() -> None:
    run_python(JUDGED)
