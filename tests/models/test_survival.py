"""A training that is killed or meets a full disk leaves its last checkpoint whole, and goes on from there."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import resource
import shutil
import signal
import time

import numpy as np
import pytest

from edge.support.errors import TryAgainError
from models import DataError, checkpoint
from models.cli import main
from tests.models.sets import TINY, configure, start

pytest.importorskip("keras")
pytest.importorskip("tensorflow")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")


def state():
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3)]
    return checkpoint.Checkpoint(step=7, seconds=1.5, best=0.25, weights=arrays, ema=arrays, optimizer=arrays)


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, state())
    before = path.read_bytes()

    def fail():
        with checkpoint.replacing(path) as part:
            part.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(TryAgainError, match=r"checkpoint\.npz cannot be written \(No space left on device\); what was"):
        fail()
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint.npz"]
    assert checkpoint.load(path, "").step == 7


@contextlib.contextmanager
def no_file_above(limit):
    """Writing beyond `limit` bytes fails, as it does on a full disk (with EFBIG instead of ENOSPC)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The data, and what a training of two steps left: for every test to copy."""
    folder = tmp_path_factory.mktemp("trained")
    root, out = folder / "data", folder / "out"
    assert main(["train", str(configure(root, steps=2)), "--data", str(root), "--out", str(out)]) == 0
    return root, out


def test_full_disk_ends_with_one_sentence_and_training_goes_on_later(trained, tmp_path, capsys):
    root, out = trained[0], tmp_path / "out"
    shutil.copytree(trained[1], out)
    arguments = ["--data", str(root), "--out", str(out)]
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    limit = len(before["run.json"]) + 1000
    assert limit < len(before["checkpoint.npz"]), "or nothing fails"

    longer = configure(root, steps=4)
    capsys.readouterr()
    with no_file_above(limit):
        assert main(["train", str(longer), *arguments]) == 75
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert "cannot be written (File too large); what was there before is untouched" in said
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(after) == set(before), "no half file is left"
    assert {name for name in before if before[name] != after[name]} <= {"run.json"}

    assert main(["train", str(longer), *arguments]) == 0
    assert checkpoint.load(out / "checkpoint.npz", "").step == 4


def test_a_checkpoint_that_cannot_be_used_ends_training_with_a_sentence_that_leads_on(trained, tmp_path, capsys):
    root, out, kept = trained[0], tmp_path / "out", tmp_path / "kept.weights.h5"
    shutil.copytree(trained[1], out)
    arguments = ["--data", str(root), "--out", str(out)]
    path, best = out / "checkpoint.npz", out / "best.weights.h5"
    whole = path.read_bytes()
    advice = f"move it away to train from the start, or from a copy of {best}, the best weights so far, by naming"

    def refused(config):
        before = {item.name: item.read_bytes() for item in out.iterdir()}
        capsys.readouterr()
        assert main(["train", str(config), *arguments]) == DataError.exit_code
        assert {item.name: item.read_bytes() for item in out.iterdir()} == before
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return said[said.index("error: ") :]

    path.write_bytes(whole[: len(whole) // 2])
    told = refused(configure(root, steps=4))
    assert told.startswith(f"error: {path} cannot be read as the checkpoint of a training")
    assert advice in told
    path.write_bytes(whole)
    state = checkpoint.load(path, "")
    told = refused(configure(root, steps=4, base=3))
    assert told.startswith(f"error: {out} holds a training of another configuration (model.base was 2 and is 3)")
    wider = [np.repeat(array, 2, axis=-1) if array.ndim == 4 else array for array in state.weights]
    checkpoint.save(path, dataclasses.replace(state, weights=wider))
    told = refused(configure(root, steps=4))
    assert told.startswith(f"error: {path} is of another network or precision than the configuration")
    assert advice in told

    kept.write_bytes(best.read_bytes())
    path.unlink()
    assert main(["train", str(configure(root, steps=4, model=f'{TINY}start_from = "{kept}"')), *arguments]) == 0
    assert checkpoint.load(path, "").step == 4


def test_training_killed_at_any_moment_ends_where_an_undisturbed_one_ends(tmp_path):
    root, quiet, killed = (tmp_path / name for name in ("data", "quiet", "killed"))
    words = ["train", str(configure(root, steps=16, every=4)), "--data", str(root), "--out"]
    process = start(["-m", "models", *words, str(killed)])
    ends = time.monotonic() + 120
    while not (killed / "checkpoint.npz").exists() and process.poll() is None and time.monotonic() < ends:
        os.sched_yield()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    assert 0 < checkpoint.load(killed / "checkpoint.npz", "").step < 16

    assert main([*words, str(killed)]) == 0
    assert main([*words, str(quiet)]) == 0
    one, other = (checkpoint.load(folder / "checkpoint.npz", "") for folder in (quiet, killed))
    assert one.step == other.step == 16
    for a, b in zip([*one.weights, *one.ema], [*other.weights, *other.ema], strict=True):
        assert np.allclose(a, b, rtol=1e-3, atol=1e-4)
