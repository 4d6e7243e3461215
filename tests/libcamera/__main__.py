"""``make test-picamera``: edge/frames/picamera.py on real picamera2 over real libcamera, with its virtual camera.

Makes a Debian 13 once (python3-libcamera of Debian, picamera2 of PyPI, what spanhawk itself needs), puts this checkout
in it, and runs there, without a network, the contract of cameras and ``proofs.py``, on two cameras that show pictures.
Ends with 0 when all holds, 1 when not, 69 where no such root can be made.

Not shown here, because only a sensor shows it: exposure, gain, focus and their metadata, the tone curve of a tuning,
sensor modes, a second stream, BGR888, buffers of the dma heap, rolling shutter, a camera that is pulled out, and the
frame rate: this virtual camera takes FrameDurationLimits and delivers as fast as it is read.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from card.root import CACHE, debian_root
from edge.frames.synthetic import Options, open_camera
from edge.support.clock import SystemClock
from tests.system.container import NotAllowedError, check_allowed

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
SUITE = "trixie"
PYTHON = "3.13"
PACKAGES = (
    "python3", "python3-venv", "python3-dev", "python3-libcamera", "libcamera-tools", "python3-prctl", "python3-av",
    "python3-jsonschema", "python3-pil", "python3-libarchive-c", "python3-tqdm", "gcc", "libc6-dev", "ca-certificates",
)  # fmt: skip
WHEELS = (
    "numpy", "opencv-python-headless>=4.9", "simplejpeg>=1.8.2,<2", "ai-edge-litert>=2.0.3", "paho-mqtt>=2.1,<3",
    "pymavlink>=2.4.42", "tqdm", "py-minisign>=0.20,<1", "pytest>=8.3", "hypothesis>=6.110",
)  # fmt: skip
# Without what they depend on: Debian's packages above have that, the rest stands in (sitecustomize.py).
VENDORS = ("picamera2==0.3.38", "videodev2==0.0.4", "piexif==1.1.3")
CHECKOUT = ("edge", "models", "tests", "pyproject.toml")


def main() -> int:
    """Make the root, fill it, run."""
    try:
        check_allowed()
        root = _with_python(debian_root(_say, SUITE, PACKAGES))
    except NotAllowedError as error:
        _say(f"NOT PROVED: this machine cannot make the root: {error}")
        return 69
    _fill(root)
    # picamera2 calls setDaemon(), which Python 3.13 warns of.
    pytest = "/opt/venv/bin/python -m pytest -p no:cacheprovider -q -rA -W 'ignore:setDaemon:DeprecationWarning'"
    inside = (
        "export LD_PRELOAD=/opt/udmabuf.so PYTHONPATH=/opt/stand-ins:/opt/spanhawk LIBCAMERA_LOG_LEVELS='*:ERROR' "
        'SPANHAWK_PICAMERA=\'{"format": "NV12", "raw": false}\' PYTHONDONTWRITEBYTECODE=1; cd /opt/spanhawk && '
        f"{pytest} -k picamera tests/contracts/test_frames.py && {pytest} tests/libcamera/proofs.py"
    )
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", f"--mount-proc={root}/proc",
         "chroot", str(root), "/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "HOME=/root", "LANG=C.UTF-8",
         "/bin/sh", "-c", inside],
    ).returncode  # fmt: skip


def _with_python(pristine: Path) -> Path:
    """The root with a Python environment in it; cached beside the pristine one. Raises NotAllowedError."""
    name = hashlib.sha256(" ".join((pristine.name, *WHEELS, *VENDORS)).encode()).hexdigest()[:12]
    root, part = CACHE / f"picamera2-{name}", CACHE / f".part-picamera2-{name}"
    if root.is_dir():
        return root
    _say(f"putting picamera2 into {root} (once)")
    shutil.rmtree(part, ignore_errors=True)
    _try(["cp", "-a", "--reflink=auto", str(pristine), str(part)])
    wheels = part / "wheels"
    platforms = [f"--platform=manylinux_2_{glibc}_x86_64" for glibc in (17, 27, 28, 31, 34, 39)]
    fetch = [sys.executable, "-m", "pip", "download", "-qq", "--only-binary=:all:", f"--dest={wheels}"]
    _try([*fetch, f"--python-version={PYTHON}", "--platform=manylinux2014_x86_64", *platforms, *WHEELS])
    _try([*fetch, "--no-deps", *VENDORS])
    pip = "/opt/venv/bin/pip install -qq --no-index --find-links /wheels"
    quoted = " ".join(f"'{wheel}'" for wheel in WHEELS)
    steps = f"python3 -m venv --system-site-packages /opt/venv && {pip} {quoted} && {pip} --no-deps {' '.join(VENDORS)}"
    _try(["chroot", str(part), "/usr/bin/env", "-i", "PATH=/usr/bin:/bin", "/bin/sh", "-c", steps])
    shutil.rmtree(wheels)
    part.rename(root)
    return root


def _fill(root: Path) -> None:
    """This checkout, the stand-ins, and what the two cameras see."""
    for name in CHECKOUT:
        target = root / "opt/spanhawk" / name
        shutil.rmtree(target, ignore_errors=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, target)
    for source, target in (
        ("virtual.yaml", "usr/share/libcamera/pipeline/virtual/virtual.yaml"),
        ("sitecustomize.py", "opt/stand-ins/sitecustomize.py"),
        ("udmabuf.c", "opt/udmabuf.c"),
    ):
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(HERE / source, root / target)
    _try(["chroot", str(root), "gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", "/opt/udmabuf.so",
          "/opt/udmabuf.c"])  # fmt: skip
    chart = _chart()
    _pictures(root / "var/lib/chart", [chart, chart[:, ::-1]])
    options = Options(width_px=640, height_px=480, fps=5.0)
    with open_camera(options, SystemClock()) as camera:
        frames = camera.frames()
        _pictures(root / "var/lib/bridge", [next(frames).rgb for _ in range(20)])


def _chart() -> np.ndarray:
    """Twenty-four flat colours, six by four, from dark to saturated; RGB, 480x640."""
    levels = [0, 60, 128, 190, 255]
    colours = [(r, g, b) for r in levels[::2] for g in levels[::2] for b in levels[::2]][:24]
    chart = np.array(colours, np.uint8).reshape(4, 6, 3)
    return cv2.resize(chart, (640, 480), interpolation=cv2.INTER_NEAREST)


def _pictures(folder: Path, pictures: list[np.ndarray]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for index, rgb in enumerate(pictures):
        quality = [cv2.IMWRITE_JPEG_QUALITY, 98]
        cv2.imwrite(str(folder / f"{index:03d}.jpg"), np.ascontiguousarray(rgb[:, :, ::-1]), quality)


def _try(command: list[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        raise NotAllowedError(f"{' '.join(command[:4])} … fails: {ran.stderr[-800:]}")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
