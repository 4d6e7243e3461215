"""kill -9 at any moment: every letter whose put returned is there afterwards, whole frames only."""

import os
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from edge.outbox import LetterState
from edge.outbox.sqlite import Options, open_outbox
from edge.support.clock import SystemClock

ROOT = Path(__file__).parents[2]
KILLS = 6


def run_and_kill(path, run, after_lines):
    """Start a putter, kill it some time after it said so many lines, return all lines it said."""
    command = [sys.executable, "-m", "tests.outbox.putter", str(path), str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        lines = []
        for line in child.stdout:
            lines.append(line.split())
            if len(lines) == after_lines:
                child.kill()
    assert child.returncode == -9
    return lines


def test_what_was_put_outlives_kill_9(tmp_path):
    path, chance = tmp_path / "outbox.db", random.Random(int.from_bytes(os.urandom(4), "big"))
    put, confirming = set(), set()
    for run in range(KILLS):
        for word, *ids in run_and_kill(path, run, chance.randint(2, 120)):
            put.update(ids if word == "put" else ())
            confirming.update(ids if word == "confirming" else ())
        check(path, put, confirming)
    assert len(put) > 50 * KILLS / 2
    deliver(path, put)


def check(path, put, confirming):
    with open_outbox(Options(path=path, ballast_bytes=0, min_free_bytes=0), SystemClock()) as box:
        stored = {one.letter.id: one for one in box.list(1_000_000)}
        assert put <= set(stored), f"lost {sorted(put - set(stored))}"
        assert {id for id, one in stored.items() if one.state is LetterState.CONFIRMED} <= confirming
        assert box.counts()[LetterState.SENT] == 0
        assert all(one.letter.put_ns is None for one in stored.values())
        assert box.health() is None
    frames = defaultdict(set)
    for id in stored:
        frames[id.rpartition(".")[0]].add(int(id.rpartition(".")[2]))
    assert all(letters == set(range(len(letters))) for letters in frames.values())
    for frame in {id.rpartition(".")[0] for id in put}:
        said = {id for id in put if id.startswith(frame + ".")}
        assert len(said) == len(frames[frame])


def deliver(path, put):
    with open_outbox(Options(path=path, ballast_bytes=0, min_free_bytes=0), SystemClock()) as box:
        while taken := box.take(100):
            box.done([letter.id for letter in taken])
        counts = box.counts()
        assert counts[LetterState.CONFIRMED] == sum(counts.values()) >= len(put)
