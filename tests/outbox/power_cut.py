"""Cuts the power of a loop-mounted ext4 in the middle of work, some times over, and counts what is left.

The file system's shutdown ioctl throws away everything that was not flushed, as a power cut does (it does not model
a card that lies about its cache). Runs alone in a mount namespace; prints one line of JSON.
"""

import fcntl
import json
import os
import random
import struct
import subprocess
import sys
from pathlib import Path

from edge.outbox import Letter, LetterState
from edge.outbox.sqlite import Options, open_outbox
from edge.support.clock import SystemClock
from edge.support.errors import TryAgainError

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2


def cut(disk):
    descriptor = os.open(disk, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    finally:
        os.close(descriptor)


def work(disk, run, chance):
    """Put, take and confirm for a while, then lose power; returns the ids whose put had returned."""
    put = []
    with open_outbox(options(disk), SystemClock()) as box:
        for frame in range(chance.randint(20, 120)):
            ids = [f"{run}.{frame}.{n}" for n in range(3)]
            box.put([Letter(id, "t", chance.randbytes(2000), None) for id in ids])
            put += ids
            if frame % 3 == 0:
                box.done([letter.id for letter in box.take(4)][:2])
        cut(disk)
        refused = 0
        for attempt in range(3):
            try:
                box.put([Letter(f"{run}.after.{attempt}", "t", b"x", None)])
            except TryAgainError:
                refused += 1
        assert refused == 3, "a put returned although the disk was gone"
        assert box.health() is not None
    return put


def options(disk):
    return Options(path=disk / "spanhawk" / "outbox.db", ballast_bytes=1 << 20, min_free_bytes=0)


def main(image, disk, cuts):
    chance, put, lost = random.Random(os.urandom(4)), [], 0
    mount = ["mount", "-o", "loop", image, str(disk)]
    for run in range(cuts):
        subprocess.run(mount, check=True)
        put += work(disk, run, chance)
        subprocess.run(["umount", str(disk)], check=True)
        subprocess.run(mount, check=True)
        with open_outbox(options(disk), SystemClock()) as box:
            assert box.health() is None, box.health()
            lost = len(set(put) - {one.letter.id for one in box.list(10**6)})
            assert box.counts()[LetterState.SENT] == 0
        subprocess.run(["umount", str(disk)], check=True)
    print(json.dumps({"cuts": cuts, "put": len(put), "lost": lost}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
