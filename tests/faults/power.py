"""Power cuts: a block device whose file system forgets all that was not flushed to it."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.faults.row import Measured, NotRunError, Row, Scale, need_root


def run(scale: Scale) -> Measured:
    """ext4 on a loop device, its shutdown ioctl without a flush; one JSON line comes back."""
    need_root("mkfs.ext4", "unshare")
    image, disk, cuts = scale.folder / "disk.img", scale.folder / "disk", scale.times(50, 2)
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate((24 << 20) + cuts * (1 << 20))  # what was put stays, all of it
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    mounted = subprocess.run(["unshare", "--mount", "mount", "-o", "loop", image, disk], capture_output=True, text=True)
    if mounted.returncode:
        raise NotRunError(f"this machine mounts no loop devices ({mounted.stderr.strip()})")
    command = ["unshare", "--mount", sys.executable, "-m", "tests.outbox.power_cut", str(image), str(disk), str(cuts)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return Measured(f"ended with {done.stderr.strip().splitlines()[-1]}", held=False)
    told = json.loads(done.stdout)
    return Measured(f"{told['cuts']} cuts, {told['put']} letters put, {told['lost']} lost", told["lost"] == 0)


ROW = Row("power", "power cut in the middle of a write (ext4 on a loop device, shutdown without flush)", "0 lost", run)
