"""Puts, takes and confirms letters as fast as it can until it is killed, telling on stdout what has returned."""

import random
import sys
from pathlib import Path

from edge.outbox import Letter
from edge.outbox.sqlite import Options, open_outbox
from edge.support.clock import SystemClock


def say(*words):
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def main(path, run):
    chance = random.Random(int(run))
    with open_outbox(Options(path=Path(path), ballast_bytes=0, min_free_bytes=0), SystemClock()) as box:
        say("open")
        for frame in range(1_000_000):
            ids = [f"{run}.{frame}.{n}" for n in range(chance.randint(1, 5))]
            box.put([Letter(id, "t", chance.randbytes(chance.randint(1, 6000)), None) for id in ids])
            say("put", *ids)
            if frame % 3 == 0:
                taken = [letter.id for letter in box.take(chance.randint(1, 8))]
                say("confirming", *taken[:-1])
                box.done(taken[:-1])
            if frame % 50 == 49:
                box.release()


if __name__ == "__main__":
    main(*sys.argv[1:])
