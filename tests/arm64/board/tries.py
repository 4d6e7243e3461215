"""Run on the board as root, moved into the service's own cgroup: takes more than it may. Prints one JSON object.

python3 tries.py tasks|device|memory
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup/system.slice/spanhawk.service")
MANY = 200
DEVICE = "/dev/vda"  # the card itself. Not the clock: ProtectClock= lets a service read it
WANTED_MB = 1500


def tasks() -> dict[str, object]:
    """How many processes it gets beside the daemon's threads."""
    (CGROUP / "cgroup.procs").write_text(str(os.getpid()))
    children = []
    why = "none was refused"
    try:
        for _ in range(MANY):
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)
    except OSError as error:
        why = error.strerror
    there = int((CGROUP / "pids.current").read_text())
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return {"tried": MANY, "started": len(children), "refused": why, "in_the_cgroup": there}


def device() -> dict[str, object]:
    """Whether root opens the card outside, and within."""
    answers = [_opened()]
    (CGROUP / "cgroup.procs").write_text(str(os.getpid()))
    answers.append(_opened())
    return {"device": DEVICE, "outside": answers[0], "within": answers[1]}


def memory() -> dict[str, object]:
    """Takes memory until it is killed; what the parent, outside, then sees."""
    before = _oom_kills()
    child = os.fork()
    if child == 0:
        (CGROUP / "cgroup.procs").write_text(str(os.getpid()))
        blocks = [b"x" * (1 << 20) for _ in range(WANTED_MB)]
        os._exit(len(blocks) % 2)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    time.sleep(0.1)
    return {"wanted_mb": WANTED_MB, "killed": killed, "oom_kills": _oom_kills() - before}


def _oom_kills() -> int:
    """Of all services: the cgroup of one that was stopped is gone."""
    text = CGROUP.parent.joinpath("memory.events").read_text()
    return int(dict(line.split() for line in text.splitlines())["oom_kill"])


def _opened() -> str:
    try:
        os.close(os.open(DEVICE, os.O_RDONLY))
    except OSError as error:
        return str(error.strerror)
    return "opened"


if __name__ == "__main__":
    print(json.dumps({"tasks": tasks, "device": device, "memory": memory}[sys.argv[1]]()))
