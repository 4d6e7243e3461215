"""Students come back from a GPU run: what cannot be taken is told in the sentence that is its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.cli import main
from models.rendered import write_set

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

from models.gpu.transfer import from_keras  # noqa: E402
from models.unet import SIZES, fast_unet  # noqa: E402

RECIPE = """
[[students]]
name = "small"
kind = "fast_unet_s"
[[sources]]
name = "cracked"
images = "images"
masks = "masks"
"""


VERSIONS = {"python": "3.99.1", "torch": "2.99.0+cu", "numpy": "2.99.0", "opencv": "5.99.0"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of two halves, of which the second was cut short, with their log and the data they learned from."""
    root = tmp_path_factory.mktemp("run")
    write_set(root, 2, 64, seed=1)
    (root / "recipe.toml").write_text(RECIPE)
    arrays = from_keras(fast_unet(64, 64, size=SIZES["fast_unet_s"]))
    for name in ("seen-small", "small"):
        np.savez(root / f"{name}.npz", **arrays)
    np.savez(root / "other.npz", **{name: value for name, value in arrays.items() if name.startswith("logits")})
    log = [
        {"seconds": 0.0, "event": "began", "versions": VERSIONS, "device": "cuda"},
        {"seconds": 60.0, "event": "trained", "half": "seen", "step": 300, "crops": 1800},
        {"seconds": 120.0, "event": "saved", "half": "all", "step": 200, "crops": 1200},
        {"seconds": 126.0, "half": "all", "step": 250, "progress": 0.4},
    ]
    (root / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    return root


def take(run: Path, weights: str, out: str, *more: str) -> int:
    words = ["gpu-take", str(run / "recipe.toml"), str(run / weights), "--data", str(run), "--out", str(run / out)]
    return main([*words, *more])


def test_weights_of_a_run_that_was_cut_short_are_taken_and_marked(run: Path) -> None:
    assert take(run, "small.npz", "taken") == 0
    record = json.loads((run / "taken.json").read_text())
    assert record["cut_short"] is True
    assert (record["steps"], record["crops"], record["minutes"]) == (500, 3000, 2.0)
    here = record["versions"].pop("taken with")
    assert record["versions"] == VERSIONS  # of the machine that trained, not of this one
    assert (here["numpy"], here["keras"]) == (np.__version__, keras.__version__)


@pytest.mark.parametrize(("began", "versions"), [({"torch": "2.98.0"}, {"torch": "2.98.0"}), ({}, {})])
def test_a_log_that_says_less_gets_no_versions_of_this_machine(
    run: Path, began: dict[str, str], versions: dict[str, str]
) -> None:
    lines = (run / "log.jsonl").read_text().splitlines()
    folder = run / f"earlier{len(began)}"
    folder.mkdir()
    (folder / "log.jsonl").write_text("\n".join([json.dumps({"event": "began", **began}), *lines[1:]]) + "\n")
    (folder / "small.npz").write_bytes((run / "small.npz").read_bytes())
    assert take(run, f"{folder.name}/small.npz", f"{folder.name}/taken") == 0
    record = json.loads((folder / "taken.json").read_text())
    del record["versions"]["taken with"]
    assert record["versions"] == versions


@pytest.mark.parametrize(
    ("weights", "more", "sentence"),
    [
        ("small.npz", ["--mix", "{run}/seen-small.npz=2"], "The share of the other weights is 2.0; it is 0 to 1."),
        ("small.npz", ["--mix", "{run}/seen-small.npz"], "--mix {run}/seen-small.npz: give FILE.npz=SHARE"),
        ("small.npz", ["--mix", "{run}/other.npz=0.5"], "{run}/other.npz is another network's; give weights that"),
        ("small.npz", ["--mix", "{run}/log.jsonl=0.5"], "{run}/log.jsonl cannot be read as weights to mix with"),
        ("small.npz", ["--mix", "{run}/none.npz=0.5"], "{run}/none.npz does not exist"),
        ("else/small.npz", [], "{run}/else/small.npz does not exist; it is to hold weights of a student."),
        ("part/small.npz", [], "{run}/part/small.npz is no fast_unet_s: The weights do not fit layer"),
        ("bare/small.npz", [], "{run}/bare/log.jsonl, the run's log, cannot be read"),
    ],
)
def test_what_cannot_be_taken_is_told_by_its_own_sentence(
    run: Path, weights: str, more: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, source in (("part", "other.npz"), ("bare", "small.npz")):
        (run / folder).mkdir(exist_ok=True)
        (run / folder / "small.npz").write_bytes((run / source).read_bytes())
    assert take(run, weights, "wrong", *(word.format(run=run) for word in more)) == 2
    assert f"error: {sentence.format(run=run)}" in capsys.readouterr().err
    assert not list(run.glob("wrong*"))


def test_weights_that_learned_of_the_held_out_pictures_are_not_recorded_as_judged_by_them(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert take(run, "small.npz", "all") == 0
    (run / "held.toml").write_text(RECIPE + "hold = 0.5\n")
    words = ["gpu-take", str(run / "held.toml"), str(run / "seen-small.npz"), "--data", str(run), "--out"]
    assert main([*words, str(run / "seen")]) == 0
    assert main([*words, str(run / "judged"), "--after", str(run / "seen.json")]) == 0
    assert main([*words, str(run / "praised"), "--after", str(run / "all.json")]) == 2
    assert "judged on held-out pictures of cracked" in capsys.readouterr().err
    assert not list(run.glob("praised*"))


def test_a_source_that_a_run_left_out_is_recorded_as_held_out_whole(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert take(run, "seen-small.npz", "usual") == 0
    assert take(run, "seen-small.npz", "left", "--leave-out", "cracked") == 0
    usual, left = (json.loads((run / f"{name}.json").read_text()) for name in ("usual", "left"))
    assert left["held"]["cracked"]["images"] == usual["train"]["cracked"]["images"] > 0
    assert (left["train"], usual["held"]) == ({}, {})
    assert take(run, "seen-small.npz", "wrong", "--leave-out", "craked") == 2
    assert "error: The recipe has no source craked to leave out; it has cracked." in capsys.readouterr().err
