"""What is installed in the container: the wheel of this checkout, and versions that are better or worse than it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from edge import __version__

ROOT = Path(__file__).parents[2]
BOARD = "amd64-python3.11"  # Debian 12 on a PC

# What the installer and the building of a wheel look at.
_CHECKOUT = ("pyproject.toml", "README.md", "LICENSE", "edge", "models/bundles", "systemd")
_DAEMON = "edge/daemon/service.py"
_MODEL = "edge/masks/bundles/fast-unet/model.tflite"


class Payload:
    """A folder with everything that goes in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in _CHECKOUT:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / name, self.checkout / name)
        shutil.copy2(ROOT / "card" / "first-boot.sh", folder)
        run = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
        subprocess.run(run, check=True, capture_output=True)
        (self.wheel,) = folder.glob("spanhawk-*.whl")
        made = subprocess.run(
            [ROOT / "systemd" / "deb.sh", self.wheel, BOARD], check=True, text=True, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHON": sys.executable},
        )  # fmt: skip
        self.deb = ROOT / made.stdout.strip().splitlines()[-1]

    def wheelhouse(self) -> Path:
        """The wheels of the pinned packages: what a checkout installs from where there is no index."""
        folder = self.folder / "wheelhouse"
        fetch = [sys.executable, "-m", "pip", "download", "-qq", "--only-binary", ":all:", "--dest", str(folder)]
        pinned = ROOT / "systemd/requirements" / f"{BOARD}.txt"
        subprocess.run([*fetch, "--python-version", "3.11", "--no-deps", "--require-hashes", "-r", pinned], check=True)
        return folder

    def builders(self) -> Path:
        """The wheels that building a wheel takes, as the package index has them."""
        folder = self.folder / "builders"
        fetch = [sys.executable, "-m", "pip", "download", "-qq", "--only-binary", ":all:", "--dest", str(folder)]
        subprocess.run([*fetch, "--python-version", "3.11", "hatchling>=1.27"], check=True)
        return folder

    @property
    def checkout(self) -> Path:
        """As a clone has it, as far as the installer looks."""
        return self.folder / "checkout"

    def better(self) -> Path:
        """The same under the next version number."""
        return self._variant("better", {})

    def altered(self) -> Path:
        """Its model is not the one its card describes."""
        return self._variant("altered", {_MODEL: lambda data: data[:-100] + bytes(100)})

    def crashing(self) -> Path:
        """Passes its own check, and dies before READY."""
        bad = b"\nraise RuntimeError('this version cannot start')\n"
        return self._variant("crashing", {_DAEMON: lambda data: data + bad})

    def refusing(self) -> Path:
        """Ends with 78 at the start."""
        bad = b"\nimport sys\nsys.exit(78)\n"
        return self._variant("refusing", {_DAEMON: lambda data: data + bad})

    def _variant(self, name: str, changes: dict[str, object]) -> Path:
        """A wheel with another version number and some files changed."""
        version = f"{__version__}+{name}"
        path = self.folder / f"spanhawk-{version}-py3-none-any.whl"
        with zipfile.ZipFile(self.wheel) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
            for entry in old.namelist():
                data = old.read(entry)
                if entry.endswith("/METADATA"):
                    data = data.replace(f"\nVersion: {__version__}\n".encode(), f"\nVersion: {version}\n".encode())
                if entry == "edge/__init__.py":
                    data = data.replace(f'"{__version__}"'.encode(), f'"{version}"'.encode())
                if entry in changes:
                    data = changes[entry](data)  # type: ignore[operator]
                new.writestr(entry.replace(f"spanhawk-{__version__}.dist-info", f"spanhawk-{version}.dist-info"), data)
        return path
