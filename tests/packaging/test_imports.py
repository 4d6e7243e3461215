"""What importing costs and what it may load: the command starts on the standard library."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENDORS = {
    "tensorflow", "keras", "jax", "torch", "matplotlib", "picamera2", "libcamera", "cv2", "numpy", "paho",
    "pymavlink", "ai_edge_litert", "tflite_runtime", "amqtt", "tqdm",
    "onnxruntime", "minisign",
}  # fmt: skip


def loaded_by(code: str) -> set[str]:
    """Top-level modules a fresh interpreter has loaded after running ``code``."""
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys, json; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return {name.partition(".")[0] for name in json.loads(ran.stdout.splitlines()[-1])}


def test_the_command_loads_no_vendor_library() -> None:
    assert not loaded_by("import edge.cli; edge.cli._parser()") & VENDORS


def test_the_daemon_loads_no_device_library_and_no_training_framework() -> None:
    heavy = loaded_by("import edge.daemon.service, edge.tools.replay.run") & (VENDORS - {"numpy", "cv2"})
    assert not heavy


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_ships_edge_alone_with_the_default_bundle(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"edge"}
    for file in ("model.tflite", "card.json", "golden.npz"):
        assert f"edge/masks/bundles/fast-unet/{file}" in names
    assert "edge/detections/schema/detection-2.json" in names
    assert "edge/py.typed" in names


def test_the_wheel_flies_by_itself(wheel: Path, tmp_path: Path) -> None:
    """Unpacked far from the checkout, it finds its own bundle and opens it."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from edge.masks.options import NetworkOptions\n"
        "from edge.masks.segmenter import open_bundle\n"
        "print(open_bundle(NetworkOptions()).folder)"
    )
    ran = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path / "site")] if sys.version_info >= (3, 11)
        else [sys.executable, "-I", "-c", code, str(tmp_path / "site")],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert Path(ran.stdout.strip()).is_relative_to(tmp_path / "site")


def test_the_rooms_keep_their_doors() -> None:
    """The import-linter contracts of pyproject.toml, in the test run."""
    lint = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([str(lint), "--no-cache"], capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stdout
