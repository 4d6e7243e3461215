"""What is installed in the container: the wheel of this checkout, and versions that are better or worse than it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from edge import __version__

ROOT = Path(__file__).parents[2]
BOARD = "amd64-python3.11"  # Debian 12 on a PC

_DAEMON = "edge/daemon/service.py"
_MODEL = "edge/masks/bundles/fast-unet/model.tflite"


class Payload:
    """A folder with everything that goes in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (self.checkout / "systemd").mkdir(parents=True)
        shutil.copytree(ROOT / "systemd", self.checkout / "systemd", dirs_exist_ok=True)
        run = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
        subprocess.run(run, check=True, capture_output=True)
        (self.wheel,) = folder.glob("spanhawk-*.whl")
        made = subprocess.run(
            [ROOT / "systemd" / "deb.sh", self.wheel, BOARD], check=True, text=True, stdout=subprocess.PIPE,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHON": sys.executable, **_pip_environment()},
        )  # fmt: skip
        self.deb = ROOT / made.stdout.strip().splitlines()[-1]

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
                if entry in changes:
                    data = changes[entry](data)  # type: ignore[operator]
                new.writestr(entry.replace(f"spanhawk-{__version__}.dist-info", f"spanhawk-{version}.dist-info"), data)
        return path


def _pip_environment() -> dict[str, str]:
    """The host's own words to pip and its certificates."""
    import os

    return {
        key: value
        for key, value in os.environ.items()
        if key.startswith("PIP_")
        or key.endswith(("_PROXY", "_proxy"))
        or "CERT" in key
        or key in ("HOME", "REQUESTS_CA_BUNDLE")
    }
