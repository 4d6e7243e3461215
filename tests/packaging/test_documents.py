"""docs/architecture.md shows the house as it stands: the same rooms, the same order of imports."""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_tree_names_every_room_and_no_other() -> None:
    tree = TEXT.split("```\nedge/\n", 1)[1].split("```", 1)[0]
    named = set(re.findall(r"^  ([\w.]+?)/?(?= {2,}\w)", tree.split("\nmodels/", 1)[0], re.MULTILINE))
    here = {path.name for path in (ROOT / "edge").iterdir() if not path.name.startswith(("_", "."))} - {"py.typed"}
    assert named == here
    top = set(re.findall(r"^(\w+)/", tree, re.MULTILINE))
    assert all((ROOT / name).is_dir() for name in top)


def test_the_order_of_imports_is_the_one_that_is_enforced() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    by_name = {contract["name"]: contract for contract in contracts}
    written = TEXT.split("## Who may import whom\n\n```\n", 1)[1].split("```", 1)[0]
    rooms, _, rest = written.partition("tools: ")
    assert layers(rooms) == [set(layer.split(" | ")) for layer in by_name["rooms of edge, top to bottom"]["layers"][1:]]
    tools, _, _ = rest.partition("\n")
    assert layers(tools) == [set(layer.split(" | ")) for layer in by_name["tools, top to bottom"]["layers"]]


def layers(text: str) -> list[set[str]]:
    return [set(layer.strip(" ()\n").split(" | ")) for layer in text.split(">")]
