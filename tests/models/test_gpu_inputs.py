"""What a GPU run is given is read before anything takes time, and what it leaves says whose it is."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from models import DataError
from models.gpu.journal import Journal, learned, read_journal
from models.gpu.recipe import load_recipe
from models.record import versions
from tests.models.gpu_runs import needs_torch, run_python
from tests.models.sets import ROOT

INPUTS = """
    import dataclasses, sys
    from pathlib import Path
    import numpy as np, torch
    from models import DataError
    from models.gpu import nets, run
    from models.gpu.inputs import Inputs, read_networks
    from models.gpu.packed import Entry, Packed
    from models.gpu.recipe import Recipe, RunRecipe, SourceRecipe, StudentRecipe
    folder = Path(sys.argv[1])
    torch.manual_seed(9)
    small, whole = nets.student("fast_unet_s"), nets.student("fast_unet")
    def keep(name, net, **more):
        state = {key: value.numpy() for key, value in net.state_dict().items() if value.ndim}
        np.savez(folder / name, **(state | more))
    keep("s.npz", small)
    keep("whole.npz", whole)
    keep("more.npz", whole, extra=np.zeros(3))
    (folder / "cut.npz").write_bytes((folder / "whole.npz").read_bytes()[:-40])
    torch.save(nets.Teacher("lite1").state_dict(), folder / "lite1.pt")
    students = (StudentRecipe(name="small", kind="fast_unet_s", start_from="old"),)
    recipe = Recipe(students=students, sources=(SourceRecipe(name="deck", images="deck"),))
    started = {"old": folder / "s.npz"}

    found = read_networks(recipe, Inputs(packs=[], imagenet=None, starts=started, frozen=(folder / "whole.npz",)))
    named = [(one, key, value) for one, net in ((found.frozen[0], whole), (found.students["small"], small))
             for key, value in net.state_dict().items()]
    assert all(torch.equal(one.state_dict()[key], value) for one, key, value in named)
    assert found.taken == {"small": sum(value.ndim > 0 for value in small.state_dict().values())}

    def refused(words, recipe=recipe, **changes):
        given = {"packs": [], "imagenet": None, "starts": started} | changes
        try:
            read_networks(recipe, Inputs(**given))
        except DataError as error:
            assert words in str(error), error
        else:
            raise AssertionError(f"not refused: {words}")

    refused("s.npz is no fast_unet", frozen=(folder / "s.npz",))
    refused("more.npz is no fast_unet", frozen=(folder / "whole.npz", folder / "more.npz"))
    refused("cut.npz cannot be read as weights of a fast U-Net", frozen=(folder / "cut.npz",))
    refused("absent.npz does not exist", frozen=(folder / "absent.npz",))
    refused("absent.npz does not exist", starts={"old": folder / "absent.npz"})
    refused("starts from 'old': give --start", starts={})
    refused("lite1.pt is no teacher with a lite0 encoder", elder=folder / "lite1.pt")
    refused("give --frozen", recipe=dataclasses.replace(recipe, run=RunRecipe(reuse=2)))

    def never(*_):
        raise AssertionError("rendering takes minutes, and a file was missing")
    run.rendered_once = never
    packs = folder / "pack-0.npz"
    index = b'[{"source": "deck", "name": "a", "photo": "a", "held": false, "image": [0, 1], "mask": null}]'
    np.savez(packs, blob=np.zeros(1, np.uint8), index=np.frombuffer(index, np.uint8))
    def ends(words, recipe=recipe, **changes):
        given = {"packs": [packs], "imagenet": None, "starts": started} | changes
        try:
            run.start(recipe, Inputs(**given), folder / "out", 1.0, torch.device("cpu"), 1)
        except DataError as error:
            assert words in str(error), error
        else:
            raise AssertionError(f"not refused: {words}")
    ends("absent.npz does not exist", starts={"old": folder / "absent.npz"})
    ends("absent.npz does not exist", packs=[folder / "absent.npz"])
    other = dataclasses.replace(recipe, sources=(SourceRecipe(name="wall", images="wall"),))
    ends("The packs hold no picture of wall", recipe=other)

    from models.gpu.__main__ import main
    (folder / "file").write_text("")
    words = ["models/configs/cpu-open.toml", "--packs", "p", "--seconds", "9", "--device", "cpu", "--out"]
    sys.argv = ["models.gpu", *words, str(folder / "file" / "out")]
    assert main() == 2
"""


@needs_torch
def test_every_file_is_read_whole_before_anything_is_rendered(tmp_path: Path) -> None:
    run_python(INPUTS, str(tmp_path))


def test_the_recipe_of_the_default_bundle_on_a_workstation_can_be_read() -> None:
    assert load_recipe(ROOT / "models" / "configs" / "cpu-research.toml").students[0].name == "fast-unet"


def test_the_log_of_another_run_is_kept_and_one_that_made_no_step_gives_way(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    Journal(path, 0.0).write(event="began", torch="1", device="cpu")
    journal = Journal(path, 0.0)  # the first one never got to a step, so it left no weights
    journal.write(event="began", torch="2", device="cpu")
    assert [line["torch"] for line in read_journal(path)] == ["2"]
    journal.write(half="seen", step=50, loss={"small": 1.0})
    before = path.read_bytes()
    with pytest.raises(DataError, match="holds the log and the weights of another run"):
        Journal(path, 0.0)
    assert path.read_bytes() == before


def test_a_recipe_says_nothing_that_nobody_reads(tmp_path: Path) -> None:
    source = '[[sources]]\nname = "deck"\nimages = "deck"\n'
    (tmp_path / "recipe.toml").write_text(f'[[students]]\nname = "small"\nbase = 8\n{source}')
    with pytest.raises(DataError, match="base"):
        load_recipe(tmp_path / "recipe.toml")


@needs_torch
def test_a_record_names_pytorch_where_it_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert "torch" not in versions()
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    assert versions()["torch"] == importlib.metadata.version("torch")


def lines(*facts: dict[str, object]) -> str:
    return "".join(json.dumps(one) + "\n" for one in facts)


def test_what_weights_learned_is_told_by_the_last_time_that_they_were_saved(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    seen = [
        {"event": "saved", "half": "seen", "step": 200, "crops": 2000, "seconds": 20},
        {"event": "trained", "half": "seen", "step": 300, "crops": 3000, "seconds": 30},
    ]
    more = [
        {"event": "saved", "half": "all", "step": 200, "crops": 2000, "seconds": 50},
        {"half": "all", "step": 250, "progress": 0.6, "seconds": 55},
    ]
    path.write_text(lines(*seen, *more))
    assert learned(path, "seen") == [seen[1]]
    assert learned(path, "all") == [seen[1], more[0]]
    path.write_text(lines(*seen, more[1]))
    with pytest.raises(DataError, match=r"log\.jsonl says nothing of weights of the half 'all'"):
        learned(path, "all")
    for content in ("half a li", "[1]\n"):
        path.write_text(content)
        with pytest.raises(DataError, match=r"log\.jsonl.* copy it again"):
            learned(path, "seen")
