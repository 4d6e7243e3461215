"""The .deb that goes on the card: is it spanhawk's, and can it be installed on that system without a network?"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from card.image import System
from edge.support.errors import DeviceError, UsageError


def check(deb: Path, further: Sequence[Path], system: System, camera: str) -> None:
    """Raise UsageError where the packages do not fit the image's system; ``camera`` is the configuration's backend."""
    check_kind(deb, system.architecture, system.python, system.name)
    fields = {path: _fields(path) for path in (deb, *further)}
    for path, field in fields.items():
        _check_architecture(path, field, system.architecture, system.python)
    there = system.packages | {field["Package"] for field in fields.values()}
    needed = [name for field in fields.values() for name in _names(field["Depends"], there)]
    needed += ["python3-picamera2"] if camera == "picamera" and "python3-picamera2" not in there else []
    if needed:
        raise UsageError(
            f"{system.name} lacks {', '.join(sorted(set(needed)))}, and the board may have no network; take an image "
            "that has it, or name its .deb (and what that needs) in [card] packages"
        )


def check_kind(deb: Path, architecture: str, python: str, system: str = "the image") -> None:
    """Raise UsageError unless it is spanhawk's package for this processor and Python."""
    field = _fields(deb)
    if field["Package"] != "spanhawk":
        raise UsageError(f"{deb}: is the package {field['Package']}, not spanhawk; make it with make deb")
    _check_architecture(deb, field, architecture, python)
    wanted = re.search(r"python3 \(>= ([\d.]+)\)", field["Depends"])
    if wanted is not None and wanted[1] != python:
        raise UsageError(
            f"{deb}: is for Python {wanted[1]} and {system} has {python}; make deb BOARD={architecture}-python{python}"
        )


def _check_architecture(path: Path, field: dict[str, str], architecture: str, python: str) -> None:
    if field["Architecture"] not in (architecture, "all"):
        raise UsageError(
            f"{path}: is for {field['Architecture']} and the image for {architecture}; "
            f"make deb BOARD={architecture}-python{python}"
        )


def _names(depends: str, there: frozenset[str] | set[str]) -> list[str]:
    """Which dependencies nothing satisfies, by their first alternative; versions are left to dpkg."""
    missing = []
    for group in filter(None, (part.strip() for part in depends.split(","))):
        names = [re.split(r"[\s(:]", alternative.strip())[0] for alternative in group.split("|")]
        if not any(name in there for name in names):
            missing.append(names[0])
    return missing


def _fields(deb: Path) -> dict[str, str]:
    if shutil.which("dpkg-deb") is None:
        raise DeviceError("dpkg-deb is not installed; make the card on a Debian or Ubuntu")
    fields = {}
    for name in ("Package", "Architecture", "Depends"):
        ran = subprocess.run(["dpkg-deb", "--field", str(deb), name], capture_output=True, text=True)
        if ran.returncode != 0:
            why = ran.stderr.strip().splitlines()
            raise UsageError(f"{deb}: is no Debian package ({why[-1] if why else 'unreadable'}); make it with make deb")
        fields[name] = ran.stdout.strip()
    return fields
