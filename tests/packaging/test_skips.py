"""Under CI a missing component fails the run, and is counted once although the tests run in two processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MODULE = 'import pytest\npytest.importorskip("no_such_library")\n'
ONE = 'import pytest\n\ndef test_device() -> None:\n    pytest.skip("{reason}")\n'
PASSES = "def test_passes() -> None:\n    pass\n"


def run(folder: Path) -> "subprocess.CompletedProcess[str]":
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_passes.py").write_text(PASSES)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {"CI": "true"}
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", ".", "-n", "2", "--dist", "loadfile", "."]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_missing_component_fails_the_run_under_ci(tmp_path: Path) -> None:
    (tmp_path / "test_module.py").write_text(MODULE)
    (tmp_path / "test_one.py").write_text(ONE.format(reason="no broker"))
    ran = run(tmp_path)
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout + ran.stderr
    assert "1 passed, 2 skipped" in ran.stdout
    assert "not run: 1 x no broker" in ran.stdout
    assert "not run: 1 x could not import 'no_such_library'" in ran.stdout
    assert "FAILED: under CI nothing may be missing" in ran.stdout


def test_missing_photos_fail_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(ONE.format(reason="photos: no folder"))
    ran = run(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "not run: 1 x photos: no folder" in ran.stdout
