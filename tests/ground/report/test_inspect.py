"""docs/inspect.md: the three commands from the card to the report, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from edge.ground.report import bands
from edge.ground.report.columns import FIELDS
from edge.support import config
from tests.ground.report import made

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "inspect.md").read_text(encoding="utf-8")
pytest.importorskip("pyogrio", reason="the extra [report] is not installed")


def test_the_commands_lead_from_the_card_to_the_page(tmp_path: Path) -> None:
    """On a computer as Debian leaves it: no ``python``, and a pip that installs only into an environment of its own."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "edge", "models"):
        (tmp_path / name).symlink_to(ROOT / name)
    made.write(tmp_path / "FLIGHT", 2)
    (tmp_path / "bin").mkdir()
    inside = '[ -n "$VIRTUAL_ENV" ] || { echo "error: externally-managed-environment" >&2; exit 1; }\n'
    python = f'exec "{sys.executable}"'
    scripts = {
        "python3": f'[ "$2" = venv ] && {python} "$@" --without-pip\n{python} "$@"',
        "pip": f'{inside}{python} -m pip "$@"',
        "spanhawk": f'{inside}{python} -m edge "$@"',
        "browser": f'echo "$1" > {tmp_path}/opened',
    }
    for name, text in scripts.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    surroundings = {
        **os.environ,
        "PATH": str(tmp_path / "bin"),
        "PYTHONPATH": str(ROOT),
        "BROWSER": str(tmp_path / "bin" / "browser"),
        # pip reads the project and its extra, and installs nothing into the environment that tests run in.
        "PIP_DRY_RUN": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip turns this one round: 0 means without isolation
    }
    surroundings.pop("VIRTUAL_ENV", None)
    commands = TEXT.split("```sh\n", 1)[1].split("```", 1)[0]
    assert len(commands.strip().splitlines()) == 4
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", commands], cwd=tmp_path, env=surroundings, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert "does not provide the extra" not in done.stderr + done.stdout
    assert "report/index.html" in (tmp_path / "opened").read_text()
    assert (tmp_path / "report" / "index.html").is_file()


def test_it_names_every_column() -> None:
    listed = TEXT.split("same columns: ", 1)[1].split(". An unknown", 1)[0]
    assert tuple(re.split(r",\s+", listed)) == FIELDS


def test_its_table_of_bands_is_one(tmp_path: Path) -> None:
    text = TEXT.split("```toml\n", 1)[1].split("```", 1)[0]
    config.loads(text, "docs/inspect.md")
    (tmp_path / "own.toml").write_text(text)
    assert bands.load(str(tmp_path / "own.toml")).names == ("fine", "medium", "wide")
