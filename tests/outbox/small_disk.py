"""What happens on a disk of a few megabytes; each function runs alone in a process that has such a disk."""

import random
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from edge.outbox import Letter, LetterState
from edge.outbox.reader import open_reader
from edge.outbox.sqlite import Options, open_outbox
from edge.support.clock import UTC, ManualClock
from edge.support.errors import ConfigError, TryAgainError
from edge.tools.letters import recover

PAYLOAD = random.Random(1).randbytes(1500)


def options(disk, **given):
    return Options(path=disk / "outbox.db", ballast_bytes=3 << 20, **({"min_free_bytes": 0} | given))


def clock():
    return ManualClock(datetime(2026, 5, 1, tzinfo=UTC), 0)


def fill(disk):
    """Write until not one more byte fits."""
    with (disk / "filler").open("wb", buffering=0) as filler:
        for size in (1 << 16, 4096, 1):
            try:
                while True:
                    filler.write(b"f" * size)
            except OSError:
                continue


def put_until_full(box):
    for n in range(100_000):
        try:
            box.put([Letter(f"{n}", "t", PAYLOAD, None)])
        except TryAgainError as error:
            assert "full" in str(error)
            return [f"{m}" for m in range(n)]
    raise AssertionError("the disk never became full")


def drains_when_full_to_the_last_byte(disk):
    time = clock()
    with open_outbox(options(disk), time) as box:
        put = put_until_full(box)
        assert len(put) > 500
        fill(disk)
        with pytest.raises(TryAgainError):
            box.put([Letter("x", "t", PAYLOAD, None)])
        assert box.health().startswith("storage is full")
        delivered = []
        while taken := box.take(20):
            box.done([letter.id for letter in taken])
            delivered += [letter.id for letter in taken]
        assert sorted(delivered) == sorted(put)
        box.put([Letter("recycled", "t", PAYLOAD, None)])  # in the room of confirmed ones
        assert not (disk / "outbox.db.ballast").exists()
        assert box.health().startswith("storage is full")
        (disk / "filler").unlink()
        box.purge()
        time.advance(11 * 10**9)
        box.put([Letter("later", "t", PAYLOAD, None)])
        assert (disk / "outbox.db.ballast").stat().st_size == 3 << 20
        assert box.health() is None
        assert {s.letter.id for s in box.list(9)} == {"recycled", "later"}


def opens_when_full_to_the_last_byte(disk):
    with open_outbox(options(disk), clock()) as box:
        box.put([Letter(f"{n}", "t", PAYLOAD, None) for n in range(100)])
    fill(disk)
    with open_outbox(options(disk), clock()) as box:
        taken = box.take(200)
        box.done([letter.id for letter in taken])
        assert box.counts()[LetterState.CONFIRMED] == 100
        assert not (disk / "outbox.db.ballast").exists()
        assert box.health().startswith("storage is full")


def does_not_grow_below_the_free_room_it_must_leave(disk):
    with open_outbox(options(disk, min_free_bytes=1 << 20), clock()) as box:
        put = put_until_full(box)
        assert len(put) > 100
        assert (disk / "outbox.db.ballast").exists()
        box.done(put[:50])
        box.put([Letter("x", "t", PAYLOAD, None)])
        assert box.counts()[LetterState.PENDING] == len(put) - 50 + 1


def reports_a_start_on_a_full_disk(disk):
    fill(disk)
    with pytest.raises((TryAgainError, ConfigError), match=r"full|space"):
        open_outbox(options(disk), clock())
    (disk / "filler").unlink()
    with open_outbox(options(disk), clock()) as box:
        box.put([Letter("x", "t", PAYLOAD, None)])


def recovers_nothing_onto_a_full_disk_and_leaves_nothing(disk):
    damaged = disk / "damaged.db"
    with open_outbox(replace(options(disk), path=damaged), clock()) as box:
        box.put([Letter(f"{n}", "t", PAYLOAD, None) for n in range(500)])
    damaged.with_name("damaged.db.ballast").unlink()
    before = damaged.read_bytes()
    with pytest.raises(TryAgainError, match=r"damaged\.db is as it was"):  # less is free than an outbox leaves
        recover(damaged, disk / "new.db")
    assert damaged.read_bytes() == before
    assert not list(disk.glob("new.db*"))


def refuses_a_disk_that_is_read_only(disk):
    with pytest.raises(ConfigError, match="remount it writable"):
        open_outbox(options(disk), clock())
    with pytest.raises(ConfigError, match="cannot create this folder"):
        open_outbox(options(disk / "new" / "folder"), clock())


def is_listed_on_a_card_that_has_become_read_only(disk):
    with open_outbox(options(disk), clock()) as box:
        box.put([Letter("kept", "t", PAYLOAD, None)])
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with open_reader(disk / "outbox.db") as reader:
        assert [stored.letter.id for stored in reader.list(9)] == ["kept"]
        assert list(reader.undelivered()) == [PAYLOAD]


def is_not_read_without_its_journal_where_that_cannot_be_opened(disk):
    """Letters that only the journal has would be left out in silence."""
    box = open_outbox(options(disk), clock())
    box.put([Letter("first", "t", PAYLOAD, None)])
    for name in ("outbox.db", "outbox.db-wal"):
        shutil.copy(disk / name, disk / f"copy-{name}")
    box.__exit__(None, None, None)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(TryAgainError, match="copy it with its -wal"):
        open_reader(disk / "copy-outbox.db")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
