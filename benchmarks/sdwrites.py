"""What the outbox makes a card write: detections put and confirmed one by one, and the sectors that reached the disk.

The disk is an ext4 image on a loop device (root; mkfs.ext4, losetup, tracefs), mounted as the card is. The kernel tells
the sector of each write; whose it is, the extents of the files and of the file system's own journal say. Five a second
in real time takes minutes; ``--fast`` lets the clock run by itself and syncs the file system every five seconds of it,
because ext4 would otherwise not have come to write its journal (that counts a little too much).

    python benchmarks/sdwrites.py --seconds 180 --json out/sdwrites.json
    python benchmarks/sdwrites.py --fast --seconds 600 --frame 5 --mount noatime,commit=60
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import itertools
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tqdm import tqdm  # noqa: E402

from edge.outbox import Letter, Outbox  # noqa: E402
from edge.outbox.sqlite import Options, open_outbox  # noqa: E402
from edge.support.clock import ManualClock, SystemClock  # noqa: E402

FILES = {"file of SQLite": "", "journal of SQLite": "-wal", "index of that journal": "-shm"}
TRACING = Path("/sys/kernel/tracing")
_SECTOR = 512
_BLOCK = 4096
_SYNC_S = 5.0
_FIEMAP = 0xC020660B
_FIEMAP_FLAG_SYNC = 1
_JOURNAL_INODE = "<8>"
_LINE = re.compile(r"block_rq_complete: \d+,\d+ (?P<how>[A-Z]+) .*? (?P<first>\d+) \+ (?P<count>\d+) ")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--per-s", type=int, default=5, help="detections a second")
    parser.add_argument("--frame", type=int, default=1, help="so many of them share a frame, and so a transaction")
    parser.add_argument("--mount", default="noatime", help="mount options")
    parser.add_argument("--payloads", type=Path, default=ROOT / "tests/golden/detections.jsonl", help="one a line")
    parser.add_argument("--fast", action="store_true", help="do not wait between them")
    parser.add_argument("--folder", type=Path, help="where the image lies for the time; default: the temporary folder")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    arguments = parser.parse_args()
    payloads = arguments.payloads.read_bytes().splitlines()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        told = measure(Path(folder), arguments, payloads)
    print(json.dumps(told, indent=1))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def measure(folder: Path, how: argparse.Namespace, payloads: Sequence[bytes]) -> dict[str, object]:
    """The figures of one run on a file system of its own."""
    with mounted(folder, how.mount) as (disk, device):
        path, started = disk / "outbox.db", datetime.now(timezone.utc)
        clock = ManualClock(started, 0) if how.fast else SystemClock()
        options = Options(path=path, min_free_bytes=0)
        with open_outbox(options, clock) as box:
            sync(disk)
            before = sectors_written(device)
            with traced(device) as trace:
                put, raw_bytes = fly(box, clock, disk, how, payloads)
                sync(disk)
                written = sectors_written(device) - before
                seen = Counter(trace.read_text(encoding="ascii").splitlines())
            whose = owners(device, {name: Path(f"{path}{end}") for name, end in FILES.items()})
        kept = path.stat().st_size
    seconds = put / how.per_s
    parts = split(seen, whose)
    per_h = 3600 / seconds / 1e6
    return {
        "detections": put,
        "transactions": -(-put // how.frame),
        "seconds": seconds,
        "mount": how.mount,
        "real_time": not how.fast,
        "payload_bytes_mean": round(raw_bytes / put),
        "mb_per_h": round(written * _SECTOR * per_h, 1),
        "kb_per_detection": round(written * _SECTOR / put / 1e3, 2),
        "payloads_mb_per_h": round(raw_bytes * per_h, 1),
        "one_block_a_transaction_mb_per_h": round(put / how.frame * _BLOCK * per_h, 1),
        "parts_mb_per_h": {name: round(count * _SECTOR * per_h, 1) for name, count in parts.items()},
        "parts_missed_mb_per_h": round((written - sum(parts.values())) * _SECTOR * per_h, 1),
        "file_at_the_end_mb": round(kept / 1e6, 2),
    }


def fly(
    box: Outbox, clock: ManualClock | SystemClock, disk: Path, how: argparse.Namespace, payloads: Sequence[bytes]
) -> tuple[int, int]:
    """Put what is found, frame by frame, and confirm it as a broker near by does; how many, and their bytes."""
    chance, source = random.Random(1), itertools.cycle(payloads)
    began, put, raw_bytes, synced = time.monotonic(), 0, 0, 0.0
    for frame in tqdm(range(how.seconds * how.per_s // how.frame), disable=None):
        letters = [
            Letter(str(uuid.UUID(int=chance.getrandbits(128))), "spanhawk/drone1/detections", next(source), None)
            for _ in range(how.frame)
        ]
        box.put(letters)
        box.done([letter.id for letter in box.take(8)])
        put += len(letters)
        raw_bytes += sum(len(letter.payload) for letter in letters)
        due_s = (frame + 1) * how.frame / how.per_s
        if not isinstance(clock, ManualClock):
            time.sleep(max(0.0, due_s - (time.monotonic() - began)))
            continue
        clock.advance(how.frame * 10**9 // how.per_s)
        if due_s - synced >= _SYNC_S:
            sync(disk)
            synced = due_s
    return put, raw_bytes


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[tuple[Path, str]]:
    """An empty ext4 with blocks as on a card; its folder, and the name of its loop device."""
    image, disk = folder / "disk.img", folder / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(512 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-b", str(_BLOCK), "-E", "lazy_itable_init=0", str(image)], check=True)
    device = subprocess.run(["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True)
    name = Path(device.stdout.strip())
    try:
        subprocess.run(["mount", "-o", options, str(name), str(disk)], check=True)
        try:
            yield disk, name.name
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    finally:
        subprocess.run(["losetup", "--detach", str(name)], check=True)


@contextlib.contextmanager
def traced(device: str) -> Iterator[Path]:
    """A file that has a line for each request that the device finishes meanwhile."""
    if not (TRACING / "events").is_dir():
        subprocess.run(["mount", "-t", "tracefs", "tracefs", str(TRACING)], check=True)
    mine = TRACING / "instances" / f"sdwrites-{device}"
    mine.mkdir()
    try:
        major, minor = map(int, Path(f"/sys/block/{device}/dev").read_text(encoding="ascii").split(":"))
        (mine / "buffer_size_kb").write_text("16384", encoding="ascii")
        event = mine / "events/block/block_rq_complete"
        (event / "filter").write_text(f"dev == {major << 20 | minor}", encoding="ascii")
        (event / "enable").write_text("1", encoding="ascii")
        yield mine / "trace"
    finally:
        mine.rmdir()


def sectors_written(device: str) -> int:
    """Of 512 bytes, since the device exists (Documentation/admin-guide/iostats.rst, field 7)."""
    return int(Path(f"/sys/block/{device}/stat").read_text(encoding="ascii").split()[6])


def sync(disk: Path) -> None:
    """This file system alone: others of the machine have nothing to do with it."""
    subprocess.run(["sync", "--file-system", str(disk)], check=True)


def owners(device: str, files: dict[str, Path]) -> dict[int, str]:
    """Whose each block is: of the files, or of the file system's journal."""
    whose = {block: name for name, path in files.items() for block in blocks(path)}
    listed = subprocess.run(
        ["debugfs", "-R", f"blocks {_JOURNAL_INODE}", f"/dev/{device}"], check=True, capture_output=True, text=True
    )
    return whose | dict.fromkeys(map(int, listed.stdout.split()), "journal of ext4")


def blocks(path: Path) -> list[int]:
    """Where a file lies (Documentation/filesystems/fiemap.rst)."""
    room = 512
    with path.open("rb") as file:
        answer = bytearray(struct.pack("=QQLLLL", 0, 2**64 - 1, _FIEMAP_FLAG_SYNC, 0, room, 0) + bytes(56 * room))
        fcntl.ioctl(file.fileno(), _FIEMAP, answer, True)
    found: list[int] = []
    for number in range(struct.unpack_from("=L", answer, 20)[0]):
        _logical, first, length = struct.unpack_from("=QQQ", answer, 32 + 56 * number)
        found += range(first // _BLOCK, (first + length) // _BLOCK)
    return found


def split(seen: Counter[str], whose: dict[int, str]) -> dict[str, int]:
    """Sectors written, by owner."""
    parts: Counter[str] = Counter()
    for line, times in seen.items():
        event = _LINE.search(line)
        if event and "W" in event["how"]:
            first, count = int(event["first"]), int(event["count"])
            for sector in range(first, first + count):
                parts[whose.get(sector * _SECTOR // _BLOCK, "ext4's inodes, tables and the rest")] += times
    return dict(sorted(parts.items()))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no loop device stays
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    main()
