"""README and docs/: links lead somewhere, and every command and option that they name is one that the programs have."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import convert.cli
import edge.cli
import models.cli

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = {"spanhawk": edge.cli, "python -m models": models.cli, "python -m convert": convert.cli}
BENCHMARK = ROOT / "edge" / "commands" / "benchmark.py"
PARSERS = {program: room._parser() for program, room in PROGRAMS.items()}
CALL = re.compile(rf"(?<![\w./$-])(?:{'|'.join(PROGRAMS)}) (?=[a-z])")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """As GitHub makes them: small letters, blanks become hyphens, other signs go; a repeated one is numbered."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found: list[str] = []
    for heading in re.findall(r"^#+ +(.+)$", prose, flags=re.MULTILINE):
        plain = re.sub(r"[^\w -]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        found.append(plain if plain not in found else f"{plain}-{found.count(plain)}")
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page if not path else page.parent / path
        if "://" not in link and not (target.exists() and (not anchor or anchor in anchors(target))):
            dead.append(link)
    assert dead == []


def calls(text: str) -> Iterator[tuple[str, str]]:
    """Each call of one of the programs in blocks and between backticks: the program, and the words behind it."""
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for line in [re.sub(r"(^|\s)#.*", "", line) for line in lines] + re.findall(r"`([^`]+)`", prose):
        flat = " ".join(line.split())
        for found in CALL.finditer(flat):
            yield found[0].strip(), re.split(r" (?:\|\|?|&&|>|;) |[;)]", flat[found.end() :])[0]


def unknown(parser: argparse.ArgumentParser, words: list[str]) -> str | None:
    """The first command or option that ``parser`` does not have; None where it has them all."""
    for at, word in enumerate(words):
        known = parser._option_string_actions
        if word.startswith("-") and word.partition("=")[0] not in known:
            return word
        below = next((one for one in parser._actions if isinstance(one, argparse._SubParsersAction)), None)
        if below is not None and re.fullmatch(r"[a-z][a-z-]*", word):
            return unknown(below.choices[word], words[at + 1 :]) if word in below.choices else word
    return None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_and_options_exist(page: Path) -> None:
    wrong = []
    for program, rest in calls(page.read_text(encoding="utf-8")):
        words = [word for word in rest.split() if not word.startswith(("…", "[", "<"))]
        if (stray := unknown(PARSERS[program], words)) is not None:
            wrong.append(f"{program} {rest}: {stray}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_measurements_and_targets_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    wrong = []
    for script, rest in re.findall(r"python (benchmarks/\w+\.py)((?: [^`#\n(]+)?)", text):
        source = (ROOT / script).read_text(encoding="utf-8") if (ROOT / script).is_file() else ""
        source += BENCHMARK.read_text(encoding="utf-8") if script == "benchmarks/latency.py" else ""  # its other door
        wrong += [f"{script} {option}" for option in re.findall(r" (--[a-z-]+)", rest) if f'"{option}"' not in source]
        wrong += [] if source else [script]
    targets = set(re.findall(r"^([a-z0-9-]+):(?!=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    called = re.findall(r"`make ([a-z0-9-]+)[^`]*`", text) + re.findall(
        r"^(?:sudo )?make ([a-z0-9-]+)", text, re.MULTILINE
    )
    wrong += [f"make {target}" for target in called if target not in targets]
    assert wrong == []


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in dict(action.choices).values():
                yield from leaves(one)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_help_of_each_command_has_examples_that_it_takes(program: str) -> None:
    for parser in leaves(PARSERS[program]):
        _, told, below = (parser.epilog or "").partition("example")
        shown = [line for line in below.splitlines()[1:] if line.startswith("  ")]
        assert told, f"{parser.prog} --help has no example"
        assert shown
        for line in shown:
            call = re.split(r"(?<=\S)  +[a-z#]", line)[0]  # without the remark beside it
            (start,) = CALL.finditer(call)
            assert start[0].strip() == program
            rest = shlex.split(re.split(r" > |\)", call[start.end() :])[0])
            PROGRAMS[program]._parser().parse_args(rest)
