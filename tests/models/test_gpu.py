"""The GPU path, small and on a CPU: the same networks in both frameworks, packs, batches, a whole run, and back.

PyTorch and Keras run in processes of their own: Keras picks its backend once, and warnings of one are not the other's.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest

from models import DataError
from models.gpu import rendered
from models.gpu.pack import held_photos, write_packs
from models.gpu.packed import Packed, read_packs
from models.gpu.recipe import Recipe, SourceRecipe, load_recipe, replace_numbers
from models.rendered import write_set
from tests.models.sets import ROOT

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch: pip install --group torch to train with it"
)

RECIPE = """
[run]
crop_px = 64
batch = 6
cracks = 2
lookalikes = 4
ema = 0.5
sound_peaks = 0.1
cl_dice = 0.1
[mix]
joined = 0.5
[[students]]
name = "small"
kind = "fast_unet_s"
[[sources]]
name = "cracked"
images = "cracked/images"
masks = "cracked/masks"
wide = "cracked/wide"
hold = 0.3
[[sources]]
name = "sound"
images = "sound"
hold = 0.3
[[sources]]
name = "guessed"
images = "guessed"
unlabelled = true
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_set(tmp_path / "cracked", 6, 96, seed=1)
    wide = tmp_path / "cracked" / "wide"
    wide.mkdir()
    for mask in (tmp_path / "cracked" / "masks").iterdir():
        cv2.imwrite(str(wide / mask.name), cv2.dilate(cv2.imread(str(mask)), np.ones((9, 9), np.uint8)))
    for name, seed in (("sound", 2), ("guessed", 3)):
        write_set(tmp_path / f"{name}-set", 6, 96, seed=seed)
        (tmp_path / f"{name}-set" / "images").rename(tmp_path / name)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def packed(data: Path) -> tuple[Recipe, list[Packed]]:
    recipe = load_recipe(data / "recipe.toml")
    write_packs([recipe], data, data / "packs", parts=2)
    return recipe, read_packs(sorted((data / "packs").iterdir()))


GPU_RECIPES = [f"gpu-{of}.toml" for of in ("research", "open", "research-2", "open-2")]
RECIPES = [*GPU_RECIPES, "cpu-open.toml", "cpu-small.toml", "rule-open.toml"]


@pytest.mark.parametrize("name", RECIPES)
def test_the_recipes_that_ship_can_be_read(name: str) -> None:
    recipe = load_recipe(ROOT / "models" / "configs" / name)
    assert all(source.licence != "unknown" for source in recipe.sources)
    assert not any("test" in source.images for source in recipe.sources)


def test_a_pack_holds_every_picture_once_with_what_nobody_knows(data: Path) -> None:
    _, found = packed(data)
    assert len(found) == 18
    for one in found:
        rgb, mask = one.decode()
        original = cv2.imread(str(next(data.glob(f"{one.entry.source}*/**/{one.entry.name}"), data / "sound")))
        assert rgb.shape == (96, 96, 3)
        if one.entry.source != "cracked":
            assert one.mask is None
            assert not mask.any()
            continue
        drawn = cv2.imread(str(data / "cracked" / "masks" / one.entry.name), cv2.IMREAD_GRAYSCALE) > 0
        band = cv2.imread(str(data / "cracked" / "wide" / one.entry.name), cv2.IMREAD_GRAYSCALE) > 0
        np.testing.assert_array_equal(mask == 1, drawn)
        np.testing.assert_array_equal(mask == 128, band & ~drawn)
        assert np.abs(rgb[..., ::-1].astype(int) - original).mean() < 10  # WebP, not another picture


def test_the_last_photographs_are_held_out_and_never_all() -> None:
    source = SourceRecipe(name="a", images="a", hold=0.3)
    photos = [f"a/{i}" for i in range(10)]
    assert held_photos(source, photos) == {"a/7", "a/8", "a/9"}
    assert held_photos(SourceRecipe(name="a", images="a", hold=0.99), photos) == set(photos[1:])
    assert held_photos(SourceRecipe(name="a", images="a", hold=1), photos) == set(photos)
    assert held_photos(SourceRecipe(name="a", images="a", hold_photos=("3",)), photos) == {"a/3"}


def test_a_source_of_one_photograph_is_refused_in_a_sentence() -> None:
    with pytest.raises(DataError, match="is one photograph"):
        held_photos(SourceRecipe(name="a", images="a", hold=0.3), ["a/1", "a/1"])
    with pytest.raises(DataError, match="not all photographs"):
        held_photos(SourceRecipe(name="a", images="a", hold_photos=("9",)), ["a/1", "a/2"])


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


def test_a_file_that_is_no_pack_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "pack.npz", blob=np.zeros(3, np.uint8))
    with pytest.raises(DataError, match=r"pack\.npz is no pack of pictures; make it with"):
        read_packs([tmp_path / "pack.npz"])


def test_a_file_of_arrays_that_is_absent_cut_off_or_something_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "pack.npz"
    with pytest.raises(DataError, match=r"pack\.npz does not exist; it is to hold a pack of pictures"):
        read_packs([path])
    np.savez_compressed(path, blob=np.arange(300, dtype=np.uint8), index=np.frombuffer(b"[]", np.uint8))
    whole = path.read_bytes()
    assert read_packs([path]) == []
    flipped = bytearray(whole)
    flipped[80] ^= 0xFF
    np.save(tmp_path / "single.npy", np.zeros(3))
    told = r"pack\.npz cannot be read as a pack of pictures \(it is no whole \.npz file\); copy it again"
    broken = [whole[:length] for length in range(0, len(whole), 7)]
    for content in [*broken, bytes(flipped), b"nothing", (tmp_path / "single.npy").read_bytes()]:
        path.write_bytes(content)
        with pytest.raises(DataError, match=told):
            read_packs([path])


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

RUN = """
    import sys, time
    import numpy as np, torch
    from pathlib import Path
    from models.gpu.bank import load_bank
    from models.gpu.packed import read_packs
    from models.gpu.recipe import load_recipe
    from models.gpu.rendered import rendered_once
    from models.gpu.inputs import Inputs, read_networks
    from models.gpu.journal import Journal
    from models.gpu.run import Training, versions
    from models.gpu.scenes import Scenes
    data = Path(sys.argv[1])
    recipe = load_recipe(data / "recipe.toml")
    things = rendered_once(data / "things.npz", recipe, 1)
    bank = load_bank(read_packs(sorted((data / "packs").iterdir())), recipe, torch.device("cpu"), 1)
    scenes = Scenes(recipe, bank, things, 1)
    batch = scenes.batch(12, 64)
    assert batch.rgb.shape == (12, 3, 64, 64) and 0 <= batch.rgb.min() and batch.rgb.max() <= 1
    assert set(batch.crack.unique().tolist()) == {0.0, 1.0}
    assert batch.weight.min() == 0  # the pictures that nobody labelled, and the bands
    inputs = Inputs(packs=[], imagenet=None, starts={})
    out = data / "out"
    out.mkdir()
    journal = Journal(out / "log.jsonl", time.monotonic())
    journal.write(event="began", versions=versions(), device="cpu")
    training = Training(recipe, read_networks(recipe, inputs), bank, scenes, out, journal)
    training.half("seen", 12.0, first=True)
    training.half("all", 20.0, first=False)
"""

FROZEN = """
    import dataclasses
    from models import DataError
    from models.gpu import nets
    torch.manual_seed(0)
    from models.gpu.run import Together
    teachers = [nets.student("fast_unet").eval() for _ in range(2)]
    for name, teacher in zip("ab", teachers):
        np.savez(data / f"{name}.npz", **{k: v.numpy() for k, v in teacher.state_dict().items() if v.ndim})
    rgb = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        one, other = (teacher(rgb).double().numpy() for teacher in teachers)
        both = Together(teachers)(rgb).numpy()
    assert np.abs(one - other).max() > 0.01
    np.testing.assert_allclose(both, (one + other) / 2, atol=1e-5)
    run = dataclasses.replace(recipe.run, reuse=3, pool=30, unseen_share=1.0)
    recipe = dataclasses.replace(recipe, run=run)
    out = data / "out"
    out.mkdir()
    journal = Journal(out / "log.jsonl", time.monotonic())
    try:
        read_networks(recipe, Inputs(packs=[], imagenet=None, starts={}))
    except DataError as error:
        assert "--frozen" in str(error)
    else:
        raise AssertionError("crops were to be used again, and nobody asked who teaches")
    inputs = Inputs(packs=[], imagenet=None, starts={}, frozen=(data / "a.npz", data / "b.npz"))
    Training(recipe, read_networks(recipe, inputs), bank, scenes, out, journal).half("seen", 15.0, first=True)
"""

MIXED = """
    import sys
    import numpy as np
    from pathlib import Path
    from models.cli import main
    data, a, b = map(Path, sys.argv[1:])
    common = ["gpu-take", str(data / "recipe.toml"), str(a), "--data", str(data), "--out"]
    assert main([*common, str(data / "mixed"), "--mix", f"{b}=0.25"]) == 0
    from models.gpu.transfer import from_keras
    from models.unet import SIZES, fast_unet
    model = fast_unet(256, 256, size=SIZES["fast_unet_s"])
    model.load_weights(data / "mixed.weights.h5")
    with np.load(a) as one, np.load(b) as two:
        assert any(np.abs(one[key].astype(float) - two[key]).max() > 0.01 for key in one.files)
        for key, value in from_keras(model).items():
            mean = 0.75 * one[key].astype(np.float64) + 0.25 * two[key].astype(np.float64)
            np.testing.assert_allclose(value, mean, rtol=2e-3, atol=1e-3)
    import json
    from models.record import training_data
    began = data / "began.toml"
    began.write_text((data / "recipe.toml").read_text().replace("[[students]]", "[[students]]\\nstart_from = 'old'"))
    from models.gpu.recipe import load_recipe
    assert load_recipe(began).students[0].start_from == "old"
    common[1] = str(began)
    old = data / "old.json"
    old.write_text(json.dumps({
        "train": {"cracked": {"images": 1}, "masonry": {"images": 9}},
        "before": {"decks": {"images": 2, "split": "train", "licence": "of decks"}},
        "config": {"sources": [{"name": "masonry", "licence": "of masonry"}], "mix": {"rendered_cracks": 0.1}},
    }))
    assert main([*common, str(data / "wrong")]) == 2  # what the start learned from would stand nowhere
    for broken in ("{}", "[]", "no json"):
        (data / "broken.json").write_text(broken)
        assert main([*common, str(data / "wrong"), "--after", str(data / "broken.json")]) == 2
    assert not (data / "wrong.json").exists()
    assert main([*common, str(data / "went-on"), "--after", str(old)]) == 0
    listed = {one["name"]: one for one in training_data(json.loads((data / "went-on.json").read_text()))}
    assert listed["masonry"] == {"name": "masonry", "images": 9, "split": "train", "licence": "of masonry"}
    assert listed["decks"]["licence"] == "of decks"
    assert listed["cracked"]["images"] > 1  # its own
    assert "rendered" in listed
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


def run_python(code: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=ROOT, env={**os.environ, "KERAS_BACKEND": "tensorflow"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


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


@needs_torch
def test_frozen_teachers_are_there_from_the_first_step(data: Path) -> None:
    packed(data)
    code = RUN[: RUN.index("    inputs =")] + FROZEN
    run_python(code, str(data))
    journal = [json.loads(line) for line in (data / "out" / "log.jsonl").read_text().splitlines()]
    assert {line["network"] for line in journal if line.get("event") == "judged"} == {"small"}
    assert (data / "out" / "seen-small.npz").exists()
    assert not (data / "out" / "seen-teacher.pt").exists()  # nothing of it was learned


@needs_torch
def test_a_run_leaves_weights_that_keras_takes(data: Path) -> None:
    packed(data)
    run_python(RUN, str(data))
    journal = [json.loads(line) for line in (data / "out" / "log.jsonl").read_text().splitlines()]
    judged = [line for line in journal if line.get("event") == "judged"]
    assert {line["network"] for line in judged} == {"teacher", "small"}
    assert all(0 <= value <= 1 for line in judged for key in ("cracked", "sound") for value in line[key])
    for name in ("seen-small", "small"):
        run_python(
            "from models.cli import main; import sys; raise SystemExit(main(sys.argv[1:]))",
            "gpu-take", str(data / "recipe.toml"), str(data / "out" / f"{name}.npz"), "--data", str(data),
            "--out", str(data / "taken" / name),
        )  # fmt: skip
    halves = [data / "out" / f"{name}.npz" for name in ("seen-small", "small")]
    run_python(MIXED, str(data), *map(str, halves))
    seen, whole = (json.loads((data / "taken" / f"{name}.json").read_text()) for name in ("seen-small", "small"))
    assert seen["train"]["cracked"]["images"] + seen["held"]["cracked"]["images"] == 6
    assert whole["train"]["cracked"]["images"] == 6
    assert whole["held"] == {}
    assert whole["config"]["model"]["size"] == "fast_unet_s"
    for name in ("torch", "numpy", "opencv"):
        package = importlib.metadata.version({"opencv": "opencv-python-headless"}.get(name, name))
        assert package.startswith(whole["versions"][name].partition("+")[0])
    assert "cut_short" not in whole
