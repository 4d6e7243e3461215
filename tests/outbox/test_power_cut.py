"""A power cut loses nothing that was put: ext4 on a loop device, its shutdown ioctl, as root."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_what_was_put_outlives_a_power_cut(tmp_path):
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        pytest.skip("cutting the power of a file system needs root and mkfs.ext4")
    image, disk = tmp_path / "disk.img", tmp_path / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(24 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    probe = subprocess.run(["unshare", "--mount", "mount", "-o", "loop", str(image), str(disk)], capture_output=True)
    if probe.returncode:
        pytest.skip(f"this machine mounts no loop devices: {probe.stderr.decode().strip()}")
    command = ["unshare", "--mount", sys.executable, "-m", "tests.outbox.power_cut", str(image), str(disk), "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["lost"] == 0
    assert told["put"] > 2 * 60
