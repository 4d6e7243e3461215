"""What the documents say of speed is what the files of the benchmarks hold, and their commands exist."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from edge.cli import main

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_table_is_the_one_its_file_makes(tables: ModuleType) -> None:
    counted = 0
    for name in tables.DOCUMENTS:
        text = (ROOT / name).read_text(encoding="utf-8")
        counted += text.count("<!-- table ")
        assert tables.filled(text) == text, f"{name}: python benchmarks/tables.py --publish out"
    assert counted >= 5


def test_a_table_that_was_altered_by_hand_is_noticed(tables: ModuleType) -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    altered = re.sub(r"\| ours / MobileNetV2[^\n]*", "| ours / MobileNetV2 | 1 | 1 | 1 | 1 | met |", text)
    assert altered != text
    assert tables.filled(altered) == text


def test_results_hold_no_path_of_the_machine_that_made_them() -> None:
    files = sorted((ROOT / "benchmarks" / "results").rglob("*.json"))
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/(home|root|work|tmp|Users)/", text), path
        assert json.loads(text)["board"]["slug"] == path.parent.name


def test_every_option_the_documents_show_exists(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8") + (ROOT / "README.md").read_text("utf-8")
    shown = {
        option
        for line in re.findall(r"(?:spanhawk benchmark|latency\.py)[^`\n#]*", text)
        for option in re.findall(r"--[a-z-]+", line)
    }
    assert len(shown) > 8
    with pytest.raises(SystemExit):
        main(["benchmark", "--help"])
    helped = capsys.readouterr().out
    assert not [option for option in shown if option not in helped]


def test_files_the_documents_link_to_are_there() -> None:
    for name in ("docs/benchmarks.md", "docs/scale.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        links = re.findall(r"\]\((?!http)([^)#]+)(?:#[^)]*)?\)", text)
        assert links
        assert not [link for link in links if not (ROOT / "docs" / link).resolve().exists()], name


def test_the_scripts_explain_themselves() -> None:
    import subprocess

    for script in ("latency.py", "broker.py", "loop.py", "stills.py"):
        ran = subprocess.run(
            [sys.executable, str(ROOT / "benchmarks" / script), "--help"], capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        assert "--json" in ran.stdout
