"""Roots of Debian for this processor or another: made by mmdebstrap once, and kept below ``CACHE``."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from edge.support.errors import DeviceError

CACHE = Path(os.environ.get("SPANHAWK_ROOTS", "/var/cache/spanhawk-test"))


def debian_root(say: Callable[[str], None], suite: str, packages: tuple[str, ...], processor: str = "") -> Path:
    """The pristine root with these packages set up, made where it is not in the cache.

    ``processor``: Debian's name of it; empty: this machine's. Another one takes qemu-user-static and binfmt-support.
    Raises DeviceError when it cannot be made.
    """
    name = hashlib.sha256(" ".join((suite, *packages)).encode()).hexdigest()[:12]
    folder = CACHE / "-".join(filter(None, (suite, processor, name)))
    words = ("--mode=root", f"--architectures={processor}") if processor else ()
    return _made(say, folder, suite, packages, ("--variant=minbase", *words))


def extracted_root(say: Callable[[str], None], suite: str, packages: tuple[str, ...], processor: str = "") -> Path:
    """The files of packages, none of which is set up: also for another processor, in half a minute.

    ``processor``: Debian's name of it; empty: this machine's. Raises DeviceError when it cannot be made.
    """
    name = hashlib.sha256(" ".join((suite, processor, *packages)).encode()).hexdigest()[:12]
    words = ("--variant=extract", *((f"--architectures={processor}",) if processor else ()))
    return _made(say, CACHE / f"{suite}-{processor or 'native'}-{name}", suite, packages, words)


def _made(
    say: Callable[[str], None], root: Path, suite: str, packages: tuple[str, ...], words: tuple[str, ...]
) -> Path:
    if root.is_dir():
        return root
    say(f"making a Debian {suite} root in {root} (once; minutes, for another processor many)")
    CACHE.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=CACHE))
    try:
        made = subprocess.run(
            # In mounts of its own: those of one that is interrupted are gone with it, and what is left can be deleted.
            ["unshare", "--mount", "mmdebstrap", *words, f"--include={','.join(packages)}", *_apt_options(), suite,
             str(part), mirror()],
            capture_output=True, text=True,
        )  # fmt: skip
        if made.returncode != 0:
            raise DeviceError(f"mmdebstrap cannot make a root: {' '.join(made.stderr.split()[-40:])}")
        part.rename(root)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return root


def mirror() -> str:
    """Debian's mirror as this host names it, or Debian's own."""
    for path in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")):
        for word in path.read_text(encoding="utf-8", errors="replace").split() if path.is_file() else ():
            if word.startswith("http") and word.rstrip("/").endswith("/debian"):
                return word
    return "http://deb.debian.org/debian"


def _apt_options() -> list[str]:
    """The host's own words to apt (proxies and the like), for the time of the making only."""
    dumped = subprocess.run(["apt-config", "dump", "--format", "%f=%v%n"], capture_output=True, text=True).stdout
    wanted = ("Acquire::http::", "Acquire::https::", "Acquire::Check-")
    lines = [line.partition("=") for line in dumped.splitlines() if line.startswith(wanted) and not line.endswith("=")]
    return [f'--aptopt={name} "{value}"' for name, _, value in lines]
