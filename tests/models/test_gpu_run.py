"""Whole GPU runs, small and on a CPU, and the way back to Keras."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

from tests.models.gpu_runs import needs_torch, packed, run_python

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
