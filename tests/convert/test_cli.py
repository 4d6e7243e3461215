"""What the command lines of the workstation load, and what the card says of a command."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from convert import cli, commands
from models import DataError
from models.rendered import write_set


@pytest.mark.parametrize("room", ["models", "convert"])
def test_help_loads_no_heavy_library(room):
    code = (
        f"import sys, contextlib, io, {room}.cli as cli\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): cli.main(['--help'])\n"
        "print([name for name in ('tensorflow', 'keras', 'cv2', 'numpy', 'matplotlib') if name in sys.modules])\n"
    )
    root = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_recorded_command_names_no_folder_of_this_machine():
    words = ["quantize", "/home/someone/out/model.keras", "--data", "walls/train", "-o", "/srv/bundles/fast-unet"]
    assert cli._as_recorded(words) == "quantize model.keras --data walls/train -o fast-unet"


def test_test_set_is_cut_down_to_what_was_held_out(tmp_path):
    from convert.gate import named_set

    write_set(tmp_path, 4, 64, seed=1)
    images, masks = tmp_path / "images", tmp_path / "masks"
    held = {"images": 2, "names": ["rendered_0001.png", "rendered_0003.png"]}
    assert len(named_set("set", images, masks, None).examples) == 4
    kept = named_set("set/held", images, masks, held)
    assert [example.image.name for example in kept.examples] == ["rendered_0001.png", "rendered_0003.png"]
    assert (kept.kind, named_set("set", images, None, None).kind) == ("labelled", "crack_free")
    for folder in (images, masks):
        (folder / "rendered_0003.png").unlink()
    with pytest.raises(DataError, match="holds 1 of the 2 pictures of set/held"):
        named_set("set/held", images, masks, held)
    with pytest.raises(DataError, match=r"^set was learned from in part: write set/held to score what the training"):
        commands._named({"held": {"set/held": held}}, "set", str(images), str(masks))
    assert len(commands._named({"held": {"set/held": held}}, "other", str(images), "-").examples) == 3


@pytest.mark.parametrize("name", ["set", "set/held"])
def test_a_record_of_gpu_take_cuts_a_set_down_by_both_names(tmp_path, name):
    """There the held-out part has the name of its source alone."""
    write_set(tmp_path, 4, 64, seed=1)
    record = {"train": {"set": {"images": 3}}, "held": {"set": {"images": 1, "names": ["rendered_0002.png"]}}}
    found = commands._named(record, name, str(tmp_path / "images"), str(tmp_path / "masks"))
    assert [example.image.name for example in found.examples] == ["rendered_0002.png"]


@pytest.mark.parametrize(
    ("record", "known"),
    [({"held": {"set": {}, "quay": {}}}, "it names set, quay"), ({}, "there is none, or it names no set")],
)
def test_a_held_out_part_that_no_record_knows_is_not_scored_as_a_whole(tmp_path, record, known):
    with pytest.raises(DataError) as refused:
        commands._named(record, "walls/held", str(tmp_path), "-")
    assert str(refused.value).startswith(f"No training record says what was held out of walls ({known}): write wal")


@pytest.mark.parametrize("page", ["README.md", "docs/conversion.md"])
def test_every_command_the_documentation_shows_is_understood(page):
    """Lines of shell blocks that begin with the command, comments cut off."""
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    shown = [line.partition("  #")[0] for line in text.splitlines() if line.startswith("python -m convert ")]
    assert shown
    for line in shown:
        parsed = cli._parser().parse_args(shlex.split(line)[3:])
        assert callable(parsed.run)
