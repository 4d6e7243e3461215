"""The pinned packages of every board are what pyproject.toml asks for, and every one is pinned by hash."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
BOARDS = sorted((ROOT / "systemd" / "requirements").glob("*.txt"))
# apt's camera bindings there, or NVIDIA's packages, are built for numpy 1.
NUMPY_1 = {"arm64-python3.10", "arm64-python3.11"}


def pinned(board: Path) -> dict[str, tuple[str, int]]:
    """Name to version and number of hashes."""
    text = board.read_text(encoding="utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, version = re.match(r"(\S+?)==(\S+)", line).groups()
            found[canonicalize_name(name)] = version, line.count("--hash=sha256:")
    return found


def test_there_is_a_file_for_each_board() -> None:
    assert {board.stem for board in BOARDS} == {
        "arm64-python3.10", "arm64-python3.11", "arm64-python3.13", "amd64-python3.11",
    }  # fmt: skip


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_pins_are_what_the_project_asks_for(board: Path) -> None:
    pins = pinned(board)
    assert all(hashes for _, hashes in pins.values())
    environment = {"python_version": board.stem.partition("python")[2]}
    with (ROOT / "pyproject.toml").open("rb") as file:
        asked = [Requirement(text) for text in tomllib.load(file)["project"]["dependencies"]]
    for each in asked:
        if each.marker is None or each.marker.evaluate(environment):
            assert pins[canonicalize_name(each.name)][0] in each.specifier, (
                f"run systemd/requirements/compile.sh: {each}"
            )
    assert pins["numpy"][0].startswith("1.") is (board.stem in NUMPY_1)
