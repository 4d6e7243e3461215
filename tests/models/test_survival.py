"""A training that is killed or meets a full disk leaves its last checkpoint whole, and goes on from there."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import time

import numpy as np
import pytest

from edge.support.errors import TryAgainError
from models import checkpoint
from models.cli import main
from tests.models.sets import configure, start

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
    assert checkpoint.load(path).step == 7


@contextlib.contextmanager
def no_file_above(limit):
    """Writing beyond `limit` bytes fails, as it does on a full disk (with EFBIG instead of ENOSPC)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk_ends_with_one_sentence_and_training_goes_on_later(tmp_path, capsys):
    root, out = tmp_path / "data", tmp_path / "out"
    arguments = ["--data", str(root), "--out", str(out)]
    assert main(["train", str(configure(root, steps=2)), *arguments]) == 0
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
    assert checkpoint.load(out / "checkpoint.npz").step == 4


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
    assert 0 < checkpoint.load(killed / "checkpoint.npz").step < 16

    assert main([*words, str(killed)]) == 0
    assert main([*words, str(quiet)]) == 0
    one, other = (checkpoint.load(folder / "checkpoint.npz") for folder in (quiet, killed))
    assert one.step == other.step == 16
    for a, b in zip([*one.weights, *one.ema], [*other.weights, *other.ema], strict=True):
        assert np.allclose(a, b, rtol=1e-3, atol=1e-4)
