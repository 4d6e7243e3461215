"""A disk image from folders: partition table, FAT and ext4, without a loop device.

As root, files keep their owners; FAT has none.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.support.errors import DeviceError

MB = 1 << 20
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
TOOLS = {"sfdisk": "fdisk", "mkfs.vfat": "dosfstools", "mcopy": "mtools", "mkfs.ext4": "e2fsprogs"}


@dataclass(frozen=True, slots=True)
class Slice:
    """A partition and what is in it."""

    size: int
    """Bytes, whole MB."""
    files: Path
    """The folder whose contents it holds."""
    table: str
    """Its words in sfdisk's table beside start and size, as ``type=83``."""
    label: str
    """The file system's."""
    fat: bool = False
    """FAT32, else ext4."""


def write_disk(image: Path, head: str, slices: Sequence[Slice], start: int, tail: int = 0) -> None:
    """Write ``image``: the table's ``head`` (sfdisk's words), then the slices from byte ``start``, ``tail`` bytes.

    Raises DeviceError with the program's own words when one fails.
    """
    with image.open("wb") as file:
        file.truncate(start + sum(one.size for one in slices) + tail)
    lines, at = [head], start
    for one in slices:
        lines.append(f"start={at // 512}, size={one.size // 512}, {one.table}")
        at += one.size
    run(["sfdisk", "--quiet", str(image)], "\n".join(lines) + "\n")
    at = start
    for one in slices:
        _fill(image, at, one)
        at += one.size


def _fill(image: Path, at: int, one: Slice) -> None:
    blocks = str(one.size // 1024)
    if one.fat:
        run(["mkfs.vfat", "-F", "32", "-n", one.label, "--offset", str(at // 512), str(image), blocks])
        contents = sorted(str(path) for path in one.files.iterdir())
        if contents:
            run(["mcopy", "-s", "-m", "-i", f"{image}@@{at}", *contents, "::"])
    else:
        run(["mkfs.ext4", "-q", "-F", "-L", one.label, "-E", f"offset={at}", "-d", str(one.files), str(image),
             f"{blocks}k"])  # fmt: skip


def run(command: Sequence[str], stdin: str = "") -> str:
    """What a program prints. Raises DeviceError with its last words."""
    env = {"PATH": _PATH, "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8"}
    ran = subprocess.run(command, input=stdin, capture_output=True, text=True, env=env)
    if ran.returncode:
        raise DeviceError(f"{' '.join(command[:3])} … fails: {(ran.stderr or ran.stdout)[-800:].strip()}")
    return ran.stdout
