"""``make test-arm64``: the wheel on a board's processor, emulated: int8 answers, tracing, a flight, and the outbox.

A Debian 12 for arm64 with the packages that fly there, pinned as on the board, run program by program by QEMU's user
mode; nothing in it needs a kernel of its own. QEMU is taken from Debian 13: the 7.2 of Debian 12 crashes in LiteRT's
kernels. Ends with 0 when all holds, 1 when not, 69 where no such root can be made.

Not shown here, because only a board shows it: speed, memory and heat, the service and its limits, any device, and a
processor with instructions that QEMU's ``cortex-a72`` has not.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from card.root import CACHE, extracted_root
from tests.system.container import NotAllowedError

ROOT = Path(__file__).parents[2]
BOARD = "arm64-python3.11"
PROCESSOR = "cortex-a72"  # Raspberry Pi 4
PACKAGES = ("python3", "libstdc++6", "ca-certificates")
# Of the development tools only those that the tests below import.
TOOLS = ("pytest>=8.3", "hypothesis>=6.110", "pillow>=10")
TESTS = ("tests/arm64/answers.py", "tests/golden", "tests/cracks/test_trace.py", "tests/outbox/test_sqlite.py")


def main() -> int:
    """Make the root, fill it, run."""
    try:
        if os.geteuid() != 0:
            raise NotAllowedError("needs root")
        if shutil.which("mmdebstrap") is None:
            raise NotAllowedError("not installed: mmdebstrap (apt install mmdebstrap)")
        root = _filled(extracted_root(_say, "bookworm", PACKAGES, "arm64"))
        shutil.copy2(extracted_root(_say, "trixie", ("qemu-user",)) / "usr/bin/qemu-aarch64", root / "usr/bin/emulator")
        wheels = [_checkout(root), root / "opt/wheels"]
    except NotAllowedError as error:
        _say(f"NOT PROVED: this machine cannot make the root: {error}")
        return 69
    path = ":".join(f"/{wheel.relative_to(root)}" for wheel in wheels)
    inside = (
        f"cd {root} && mount -t proc proc proc && mount --bind /sys sys && mount --bind /dev dev && "
        f"exec chroot . /usr/bin/emulator -cpu {PROCESSOR} /usr/bin/python3 -m pytest -p no:cacheprovider -q -s "
        f"--durations=5 -c /opt/spanhawk/pyproject.toml {' '.join(f'/opt/spanhawk/{test}' for test in TESTS)}"
    )
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "sh", "-c", inside],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "PYTHONPATH": path,
             "PYTHONDONTWRITEBYTECODE": "1"},
    ).returncode  # fmt: skip


def _filled(pristine: Path) -> Path:
    """The root with what flies on the board, and the tests' tools; cached beside the pristine one."""
    pinned = ROOT / "systemd/requirements" / f"{BOARD}.txt"
    name = hashlib.sha256(pinned.read_bytes() + " ".join((pristine.name, *TOOLS)).encode()).hexdigest()[:12]
    root, part = CACHE / f"arm64-{name}", CACHE / f".part-arm64-{name}"
    if root.is_dir():
        return root
    _say(f"putting the board's packages into {root} (once)")
    shutil.rmtree(part, ignore_errors=True)
    _try(["cp", "-a", "--reflink=auto", str(pristine), str(part)])
    platforms = [f"--platform=manylinux_2_{glibc}_aarch64" for glibc in (17, 24, 26, 27, 28, 31, 34, 35)]
    fetch = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--only-binary=:all:",
             "--python-version=3.11", "--platform=manylinux2014_aarch64", *platforms]  # fmt: skip
    for folder in ("proc", "sys", "dev", "tmp", "root"):
        (part / folder).mkdir(exist_ok=True)
    with_tools = part / "wheelhouse"
    _try([*fetch, f"--dest={with_tools}", *TOOLS])
    _try([*fetch, f"--dest={with_tools}", "--require-hashes", "--no-deps", "-r", str(pinned)])
    for wheel in sorted(with_tools.glob("*.whl")):
        shutil.unpack_archive(wheel, part / "opt/wheels", "zip")
    shutil.rmtree(with_tools)
    part.rename(root)
    return root


def _checkout(root: Path) -> Path:
    """The tests of this checkout, the bundles, and the package from its wheel; the folder that goes on Python's path.

    Raises NotAllowedError without the wheel.
    """
    wheels = sorted((ROOT / "dist/arm64").glob("spanhawk-*.whl"))
    if len(wheels) != 1:
        raise NotAllowedError(f"{len(wheels)} wheels in dist/arm64, one is needed; make test-arm64 builds it")
    target = root / "opt/spanhawk"
    shutil.rmtree(target, ignore_errors=True)
    shutil.unpack_archive(wheels[0], target, "zip")
    shutil.copytree(ROOT / "tests", target / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "models/bundles", target / "models/bundles", dirs_exist_ok=True)
    shutil.copy2(ROOT / "pyproject.toml", target)
    return target


def _try(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise NotAllowedError(f"{command[0]}: {' '.join(done.stderr.split()[-40:])}")


def _say(sentence: str) -> None:
    print(f"test-arm64: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
