"""Checkpoints: whatever is damaged is told in one sentence, and nothing that ends a write harms the one before."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from models import DataError, checkpoint, record
from tests.models.sets import run

WAY_OUT = "move it away to begin anew"


def state(step: int = 7, width: int = 3) -> checkpoint.Checkpoint:
    arrays = [np.arange(2 * width, dtype=np.float32).reshape(2, width)]
    return checkpoint.Checkpoint(step=step, seconds=1.5, best=0.25, weights=arrays, ema=arrays, optimizer=arrays)


def refused(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        checkpoint.load(path, WAY_OUT)
    return str(caught.value)


def archive(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    checkpoint.save(tmp_path / "c.npz", state())
    found = checkpoint.load(tmp_path / "c.npz", WAY_OUT)
    assert (found.step, found.seconds, found.best) == (7, 1.5, 0.25)
    for group in (found.weights, found.ema, found.optimizer):
        np.testing.assert_array_equal(group, [[[0, 1, 2], [3, 4, 5]]])


def test_one_that_is_cut_off_or_damaged_is_told(tmp_path):
    path = tmp_path / "c.npz"
    checkpoint.save(path, state())
    whole = path.read_bytes()
    wanted = f"{path} cannot be read as the checkpoint of a training (it is no whole .npz file); {WAY_OUT}."
    for length in range(0, len(whole), 11):
        assert refused(path, whole[:length]) == wanted
    flipped = bytearray(whole)
    flipped[whole.index(b"weights_0000") + 170] ^= 0x10  # a value, which the archive's checksum covers
    assert refused(path, bytes(flipped)) == wanted
    assert refused(path, bytes(range(256)) * 9) == wanted


def test_another_program_s_file_is_told(tmp_path):
    path = tmp_path / "c.npz"
    foreign = f"{path} is another program's file, no checkpoint of a training; {WAY_OUT}."
    assert refused(path, archive(images=np.zeros(3), masks=np.zeros(3))) == foreign
    assert refused(path, archive()) == foreign
    assert refused(path, archive(step=np.arange(9), seconds=np.array(1.0), best=np.array(1.0))) == foreign
    texts = io.BytesIO()
    with zipfile.ZipFile(texts, "w") as other:
        for name in ("step", "seconds", "best"):
            other.writestr(name, "7")
    assert "cannot be read as the checkpoint of a training" in refused(path, texts.getvalue())
    single, pickled = io.BytesIO(), archive(step=np.array({"of": "another"}, object))
    np.save(single, np.zeros(3))
    for content in (single.getvalue(), pickled):
        assert "cannot be read as the checkpoint of a training" in refused(path, content)


def test_one_of_another_network_does_not_fit():
    mine, other = state(), state(width=4)
    assert mine.fits(mine.weights, mine.optimizer)
    assert not mine.fits(other.weights, mine.optimizer)
    assert not mine.fits(mine.weights, other.optimizer)
    assert not mine.fits([*mine.weights, *mine.weights], mine.optimizer)
    assert not dataclasses.replace(mine, ema=other.ema).fits(mine.weights, mine.optimizer)


KILLED = """
import os, resource, signal, sys
from pathlib import Path
import numpy as np
from models import checkpoint
path = Path(sys.argv[1])
size = path.stat().st_size
arrays = [np.full((2, 3), 9, np.float32)]
new = checkpoint.Checkpoint(step=8, seconds=2.0, best=0.5, weights=arrays, ema=arrays, optimizer=arrays)
for limit in [0, 1, 40, size // 2, size - 1]:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        checkpoint.save(path, new)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert ended == -signal.SIGXFSZ, ended
    assert checkpoint.load(path, "").step == 7, limit
checkpoint.save(path, new)
"""


def test_a_kill_in_the_midst_of_a_write_leaves_the_last_one_whole(tmp_path):
    """The kernel kills the process at a byte of its choice: a limit on the size of files, with SIGXFSZ not ignored."""
    path = tmp_path / "c.npz"
    checkpoint.save(path, state())
    code, _, err = run(["-c", KILLED, str(path)])
    assert code == 0, err
    assert checkpoint.load(path, WAY_OUT).step == 8
    assert [item.name for item in tmp_path.iterdir()] == ["c.npz"], "what a kill left is gone with the next write"


@pytest.mark.parametrize("text", ["step,score\nfive,0.5\n", "a,b\n1,2\n", "step,score\n1,0.5,7,8\n", "\xff\0"])
def test_scores_that_cannot_be_read_are_told(tmp_path, text):
    path = tmp_path / "history.csv"
    assert record.read_history(path) == []
    path.write_text("step,score\n5,0.5\n")
    assert record.read_history(path) == [{"step": 5, "score": 0.5}]
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"history\.csv is damaged or no record of a training's scores; move it away"):
        record.read_history(path)
