"""A disk that is full, has become read-only, or takes half a minute for each fsync: the real daemon on it."""

from __future__ import annotations

import math
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

from edge.support.clock import stopwatch_ns
from tests.faults.row import Measured, NotRunError, Row, Scale, need, need_root
from tests.faults.world import Account, pause, until, world

_SLOW = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
static void wait_for_it(void) { usleep((useconds_t)(atof(getenv("SLOW_S")) * 1e6)); }
int fsync(int f) { wait_for_it(); return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(f); }
int fdatasync(int f) { wait_for_it(); return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(f); }
"""


@contextmanager
def mounted(disk: Path, *how: str) -> Iterator[None]:
    """A file system of its own at ``disk``."""
    disk.mkdir(exist_ok=True)
    tried = subprocess.run(["mount", *how, str(disk)], capture_output=True, text=True)
    if tried.returncode:
        raise NotRunError(f"this machine mounts no {how[1]} ({tried.stderr.strip()})")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def run_full(scale: Scale) -> Measured:
    """A tmpfs of 16 MB, filled to the last byte while the daemon writes, and freed again."""
    need_root("mount")
    disk, rounds, told = scale.folder / "disk", scale.times(5, 1), ""
    with mounted(disk, "-t", "tmpfs", "-o", "size=16m", "tmpfs"), world(scale.folder, disk / "outbox.db") as made:
        made.start()
        for _ in range(rounds):
            before = made.kept()
            until(lambda before=before: made.kept() > before, "the daemon to write something down")
            filler = disk / "filler"
            with filler.open("wb", buffering=0) as file:
                for size in (1 << 16, 4096, 1):
                    try:
                        while True:
                            file.write(b"f" * size)
                    except OSError:
                        continue
            until(lambda: "full" in made.reasons(), "status to say that the disk is full")
            told = made.reasons()
            pause(2.0)
            filler.unlink()
            until(lambda: "full" not in made.reasons(), "status to say that the disk has room again")
            if not made.alive:
                return Measured("the daemon ended", held=False)
        _, account = made.settle()
    return _measured(f"{rounds} times full and freed, daemon alive", account, told)


def run_read_only(scale: Scale) -> Measured:
    """ext4 that meets an error and turns read-only, as a failing card does; then it is mounted again."""
    need_root("mkfs.ext4", "losetup")
    image, disk = scale.folder / "disk.img", scale.folder / "disk"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-e", "remount-ro", str(image)], check=True)
    with world(scale.folder, disk / "outbox.db") as made:
        with mounted(disk, "-o", "loop", str(image)):
            device = subprocess.run(["findmnt", "-no", "SOURCE", disk], capture_output=True, text=True).stdout.strip()
            trigger = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
            if not trigger.exists():
                raise NotRunError(f"this kernel has no {trigger}")
            made.start()
            until(lambda: made.kept() > 20, "the daemon to write something down")
            trigger.write_text("1")
            until(lambda: "cannot be used now" in made.reasons(), "status to say that the disk fails")
            told = made.reasons()
            pause(2.0)
            if not made.alive:
                return Measured("the daemon ended", held=False)
            put = made.kept()
            made.end()
        with mounted(disk, "-o", "loop", str(image)):
            made.start()
            _, account = made.settle()
    return _measured(f"daemon alive, {put} letters readable meanwhile", account, told)


class Beats:
    """When systemd heard of the daemon; safe to use from several threads."""

    def __init__(self) -> None:
        self._at_ns: list[int] = []

    def hear(self, listening: socket.socket) -> None:
        """Until the socket is shut."""
        while said := listening.recv(10_000):
            if said.startswith((b"READY", b"WATCHDOG")):
                self._at_ns.append(stopwatch_ns())

    def longest_s(self) -> float:
        """The longest time without a beat from READY until now; endless where there was no READY."""
        times = [*self._at_ns, stopwatch_ns()]
        return max((after - before for before, after in pairwise(times)), default=math.inf) / 1e9


@contextmanager
def heard_by_systemd(path: Path) -> Iterator[Beats]:
    """A notify socket at ``path``, as systemd's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        beats = Beats()
        thread = threading.Thread(target=beats.hear, args=(listening,))
        thread.start()
        try:
            yield beats
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"", str(path))
            thread.join()


def run_slow(scale: Scale) -> Measured:
    """Every fsync takes half a minute (an interposed library); the ground must go on hearing of it."""
    need("gcc")
    source, library = scale.folder / "slow.c", scale.folder / "slow.so"
    source.write_text(_SLOW, encoding="utf-8")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    slow_s = 6.0 if scale.quick else 30.0
    with ExitStack() as stack:
        made = stack.enter_context(world(scale.folder))
        made.start()  # folders and file are made at full speed
        until(lambda: made.kept() > 0, "the daemon to write something down")
        made.end()
        systemd = stack.enter_context(heard_by_systemd(scale.folder / "notify"))
        # As long as one fsync: a picture alone takes two.
        slowed = {"LD_PRELOAD": str(library), "SLOW_S": str(slow_s)}
        made.start({**slowed, "NOTIFY_SOCKET": str(scale.folder / "notify"), "WATCHDOG_USEC": f"{slow_s * 1e6:.0f}"})
        before = made.kept()
        until(lambda: made.kept() > before, "one slow write", 10 * slow_s + 30)
        heard = len(made.ear.payloads("spanhawk/drone1/telemetry"))
        pause(2 * slow_s)
        telemetry = len(made.ear.payloads("spanhawk/drone1/telemetry")) - heard
        told, alive, silent_s = made.reasons(), made.alive, systemd.longest_s()
        made.end()
        made.start()
        _, account = made.settle()
    figures = (
        f"{slow_s:.0f} s per fsync: daemon {'alive' if alive else 'ENDED'}, {telemetry} telemetry in {2 * slow_s:.0f} "
        f"s, systemd heard nothing for {silent_s:.1f} s at most"
    )
    alive = alive and silent_s < slow_s and "accelerator" not in told
    measured = _measured(figures, account, told)
    return Measured(measured.figures, measured.held and alive and "disk" in told and telemetry > slow_s / 2)


def _measured(figures: str, account: Account, told: str) -> Measured:
    figures += f"; {account.put} put, {account.gaps} gaps, {account.missing} not received; status said: “{told}”"
    return Measured(figures, not (account.gaps or account.missing) and bool(told))


_ASKED = "0 lost, daemon alive, status says why"
ROWS = (
    Row("disk-full", "disk full to the last byte", _ASKED, run_full),
    Row("disk-read-only", "disk turns read-only", _ASKED, run_read_only),
    Row("disk-slow", "30 s for each fsync", _ASKED, run_slow),
)
