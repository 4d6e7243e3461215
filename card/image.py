"""A Raspberry Pi image: unpacked, recognised, looked into, its boot partition written. No root, no loop device.

The partition table is the PC's (four entries of 16 bytes from byte 446). mtools writes FAT inside a file
(``IMAGE@@OFFSET``), debugfs of e2fsprogs reads ext4 inside a file (``IMAGE?offset=N``).
"""

from __future__ import annotations

import lzma
import re
import shutil
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.support.errors import DeviceError, TryAgainError, UsageError

_SECTOR = 512
_FAT_TYPES = (0x0B, 0x0C, 0x0E)
_LINUX_TYPE = 0x83
_CHUNK = 4 << 20
_FIRST_PERSON = 1000  # Debian's; Raspberry Pi's image has one such user, pi, whom cloud-init sets up as it stands
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # a user's own often lacks sbin, where debugfs is
_PACKED = (
    (b"\x1f\x8b", "gzip", "gunzip"),
    (b"PK\x03\x04", "zip", "unzip"),
    (b"\x28\xb5\x2f\xfd", "Zstandard", "unzstd"),
    (b"BZh", "bzip2", "bunzip2"),
)
_XZ = b"\xfd7zXZ\x00"
_TOOLS = {"mcopy": "mtools", "mdir": "mtools", "mtype": "mtools", "mmd": "mtools", "debugfs": "e2fsprogs"}
# Each Raspberry Pi OS has at least these; a PC's image has none of them.
_BOOT_FILES = ("config.txt", "cmdline.txt")


@dataclass(frozen=True, slots=True)
class Partition:
    """Where a partition lies in the image, bytes."""

    start: int
    size: int


@dataclass(frozen=True, slots=True)
class System:
    """What the root partition says of itself."""

    name: str
    """PRETTY_NAME of /etc/os-release."""
    architecture: str
    """Debian's word: arm64."""
    python: str
    """Its Python, as 3.13."""
    packages: frozenset[str]
    """What is installed, by package name."""
    taken: frozenset[str]
    """Names that no user can be given: those of the system's own users and groups."""


@dataclass(frozen=True, slots=True)
class Image:
    """An unpacked image of Raspberry Pi OS with cloud-init; made by ``open_image``."""

    path: Path
    boot: Partition
    root: Partition
    system: System

    def read(self, name: str) -> str | None:
        """A text file of the boot partition; None where it is not there."""
        ran = _run(["mtype", "-i", self._fat, f"::{name}"])
        return ran.stdout.decode("utf-8", "replace") if ran.returncode == 0 else None

    def write(self, files: Mapping[str, Path]) -> None:
        """Copy files into the boot partition by their names there; one folder deep. Raises UsageError when it is full.

        Nothing is written unless everything fits.
        """
        needed, free = sum(path.stat().st_size for path in files.values()), self.free_bytes()
        if needed + (1 << 20) > free:  # clusters are rounded up, folders take some, and the report needs a place
            raise UsageError(
                f"the boot partition has {free / 1e6:.1f} MB free and {needed / 1e6:.1f} MB are to be written; take a "
                "fresh image, or delete what was added to it"
            )
        for folder in sorted({str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}):
            if _run(["mdir", "-i", self._fat, f"::{folder}"]).returncode != 0:
                self._do(["mmd", "-i", self._fat, f"::{folder}"])
        for name, source in files.items():
            self._do(["mcopy", "-o", "-m", "-i", self._fat, str(source), f"::{name}"])

    def free_bytes(self) -> int:
        """Room in the boot partition."""
        listed = self._do(["mdir", "-i", self._fat, "::"])
        found = re.search(r"([\d ]+) bytes free", listed.replace(",", " "))
        if found is None:
            raise UsageError(f"{self.path}: mdir does not say what is free in the boot partition; it may be damaged")
        return int(found[1].replace(" ", ""))

    @property
    def _fat(self) -> str:
        return f"{self.path}@@{self.boot.start}"

    def _do(self, command: Sequence[str]) -> str:
        ran = _run(command)
        if ran.returncode != 0:
            why = " ".join(ran.stderr.decode("utf-8", "replace").split())
            raise UsageError(f"{self.path}: {command[0]} fails on its boot partition ({why}); take a fresh image")
        return ran.stdout.decode("utf-8", "replace")


def unpack(source: Path, target: Path) -> None:
    """The image as it is on a card: copied, or unpacked from xz. Raises UsageError, TryAgainError (disk full)."""
    try:
        with source.open("rb") as file:
            magic = file.read(8)
    except OSError as error:
        raise UsageError(
            f"{source}: cannot be read ({error.strerror}); IMAGE= names the image of Raspberry Pi OS"
        ) from error
    for head, kind, tool in _PACKED:
        if magic.startswith(head):
            raise UsageError(f"{source}: is packed with {kind}, not xz; unpack it first with {tool}")
    opener = lzma.open if magic.startswith(_XZ) else open
    try:
        with opener(source, "rb") as packed, target.open("wb") as unpacked:
            while chunk := packed.read(_CHUNK):
                if chunk.strip(b"\0"):
                    unpacked.write(chunk)
                else:
                    unpacked.seek(len(chunk), 1)  # a hole: most of an image is empty
            unpacked.truncate()
    except (lzma.LZMAError, EOFError) as error:
        raise UsageError(f"{source}: is damaged or cut off ({error}); download it again") from error
    except OSError as error:
        raise TryAgainError(f"{target}: cannot be written ({error.strerror}); make room and try again") from error


def open_image(path: Path) -> Image:
    """Recognise an unpacked image; raises UsageError saying why it is not one that can be used."""
    for tool, package in _TOOLS.items():
        if shutil.which(tool, path=_PATH) is None:
            raise DeviceError(f"{tool} is not installed; apt install {package}")
    boot, root = _partitions(path)
    listed = _run(["mdir", "-b", "-i", f"{path}@@{boot.start}", "::"])
    names = {line.removeprefix("::/").lower() for line in listed.stdout.decode("utf-8", "replace").splitlines()}
    missing = [name for name in _BOOT_FILES if name not in names]
    if listed.returncode != 0 or missing:
        raise UsageError(
            f"{path.name}: is no Raspberry Pi image (its first partition has no {' and no '.join(missing)}); download "
            "Raspberry Pi OS Lite (64-bit)"
        )
    return Image(path, boot, root, _system(path, root))


def _partitions(path: Path) -> tuple[Partition, Partition]:
    size = path.stat().st_size
    with path.open("rb") as file:
        table = file.read(_SECTOR)
    if len(table) < _SECTOR or table[510:512] != b"\x55\xaa":
        raise UsageError(
            f"{path.name}: is no Raspberry Pi image ({size} bytes, no partition table); download Raspberry Pi OS Lite "
            "(64-bit)"
        )
    entries = [struct.unpack_from("<4xB3xII", table, 446 + 16 * index) for index in range(2)]
    if entries[0][0] not in _FAT_TYPES or entries[1][0] != _LINUX_TYPE:
        kinds = " and ".join(f"{kind:#04x}" for kind, _, _ in entries)
        raise UsageError(
            f"{path.name}: is no Raspberry Pi image (partitions of type {kinds}, not FAT and Linux); download "
            "Raspberry Pi OS Lite (64-bit)"
        )
    boot, root = (Partition(first * _SECTOR, count * _SECTOR) for _, first, count in entries)
    if max(boot.start + boot.size, root.start + root.size) > size:
        raise UsageError(
            f"{path.name}: is too small, {size} bytes for partitions that end at {root.start + root.size}; it was cut "
            "off, so download it again"
        )
    return boot, root


def _system(path: Path, root: Partition) -> System:
    release = _cat(path, root, "/usr/lib/os-release") or _cat(path, root, "/etc/os-release")
    status = _cat(path, root, "/var/lib/dpkg/status")
    if release is None or status is None:
        raise UsageError(f"{path.name}: its second partition holds no Debian; download Raspberry Pi OS Lite (64-bit)")
    found = re.search(r'^PRETTY_NAME="?(.*?)"?$', release, re.MULTILINE)
    name = found[1] if found else "a Debian without a name"
    installed = [
        dict(re.findall(r"^(Package|Architecture|Version): (\S+)$", entry, re.MULTILINE))
        for entry in status.split("\n\n")
        if re.search(r"^Status: install ok installed$", entry, re.MULTILINE)
    ]
    by_name = {entry["Package"]: entry for entry in installed if "Package" in entry}
    # What dpkg itself is built for decides: a 32-bit system may run under a 64-bit kernel.
    architecture = by_name.get("dpkg", {}).get("Architecture", "unknown")
    if architecture != "arm64":
        raise UsageError(f"{path.name}: {name} is for {architecture}, arm64 is needed; take the 64-bit image")
    if "cloud-init" not in by_name:
        raise UsageError(
            f"{path.name}: {name} has no cloud-init, which sets it up at the first boot; take Raspberry Pi OS Trixie "
            "of November 2025 or newer, or install the .deb on the board by hand"
        )
    python = re.match(r"\d+\.\d+", by_name.get("python3", {}).get("Version", ""))
    if python is None:
        raise UsageError(f"{path.name}: {name} has no python3, which spanhawk needs; take Raspberry Pi OS Lite")
    return System(name, architecture, python[0], frozenset(by_name), _taken(path, root))


def _taken(path: Path, root: Partition) -> frozenset[str]:
    """useradd(8) gives a user a group of its own name, and takes no name that a group or a user has."""
    passwd, group = (
        [line.split(":") for line in (_cat(path, root, f"/etc/{name}") or "").splitlines()]
        for name in ("passwd", "group")
    )
    people = {fields[0] for fields in passwd if fields[2:] and fields[2].isdigit() and int(fields[2]) >= _FIRST_PERSON}
    return frozenset(fields[0] for fields in (*passwd, *group)) - people


def _cat(path: Path, root: Partition, name: str) -> str | None:
    """A file of the root partition; None where it is not there."""
    ran = _run(["debugfs", "-R", f"cat {name}", f"{path}?offset={root.start}"])
    return ran.stdout.decode("utf-8", "replace") if ran.returncode == 0 and ran.stdout else None


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    # mtools asks what to do about odd geometries and existing names; it shall neither ask nor refuse.
    return subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL,
        env={"PATH": _PATH, "MTOOLS_SKIP_CHECK": "1", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
