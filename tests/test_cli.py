"""What the command line refuses rather than leaves aside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.cli import main
from edge.settings import effective, from_table


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["report", "f", "--out", "ra", "--out", "rb"], "--out"),
        (["report", "f", "--out", "ra", "--out=ra"], "--out"),
        (["verify", "f", "--keys", "a", "--keys", "b"], "--keys"),
        (["outbox", "list", "--limit", "1", "--limit", "2"], "--limit"),
        (["ground", "--store", "a", "import", "f", "--store", "b"], "--store"),
        (["ground", "--broker", "mqtt://a", "--broker", "mqtt://b"], "--broker"),
    ],
)
def test_an_option_with_one_value_is_not_given_twice(
    words: list[str], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert f"argument {option}: it is given twice, and takes one value" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["replay", "photos", "--ovrelays"],
            "spanhawk replay: error: there is no option --ovrelays; did you mean --ov",
        ),
        (
            ["outbox", "list", "--limt=5"],
            "spanhawk outbox list: error: there is no option --limt; did you mean --limit?",
        ),
        (
            ["ground", "--brokr", "mqtt://x"],
            "spanhawk ground: error: there is no option --brokr; did you mean --broker?",
        ),
        (["replay", "my", "photos"], "spanhawk replay: error: 'photos' is one name too many; a name with blanks"),
    ],
)
def test_what_a_command_does_not_know_is_told_by_it(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_lists_and_flags_may_be_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """Read to the end, and refused only for the second backend, which runs no model."""
    words = ["benchmark", "--bundle", "nowhere", "--backend", "litert", "--backend", "dark", "--threads", "1"]
    assert main(["-v", "-v", *words, "--threads", "2", "--check", "--check"]) == 2
    assert "--backend dark: it runs no model file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["--broker", "mqtt://b", "import", "FLIGHT"], "--broker"),
        (["--http", "127.0.0.1:8080", "import", "FLIGHT"], "--http"),
        (["--store", "g.db", "password"], "--store"),
        (["--config", "ground.toml", "password"], "--config"),
    ],
)
def test_an_option_of_the_ground_station_is_not_ignored_by_its_actions(
    words: list[str], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["ground", *words]) == 2
    assert f"{option}: spanhawk ground" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def helped(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_help_names_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    told = re.search(r"exit codes: (.*?)\n\n", helped([], capsys), re.DOTALL)
    assert told is not None
    # 1: a flight that was changed; 130: Ctrl-C, as a shell has it (128 + SIGINT).
    assert [int(code) for code in re.findall(r"\b\d+\b", told[1])] == [0, 1, 2, 69, 75, 78, 130]


def test_the_help_of_replay_names_every_table_that_it_heeds(capsys: pytest.CaptureFixture[str]) -> None:
    told = " ".join(helped(["replay"], capsys).split())
    tables = [line for line in effective(from_table({}, "defaults")).splitlines() if line.startswith("[")]
    not_heeded = {"[flight]", "[pictures]", "[camera]", "[outbox]", "[navigation]"}
    assert {"[cracks]", "[structure]"} <= set(tables)
    assert [table for table in tables if table not in not_heeded and table not in told] == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "nowhere.toml: cannot read the configuration (No such file or directory); name the file that is to be"),
        ('[scale]\nlens = "mine.toml"\n', "mine.toml: cannot read the lens card (No such file or directory); make one"),
    ],
)
def test_a_file_that_is_not_there_is_called_what_it_is(
    text: str | None, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "spanhawk.toml").write_text(text, encoding="utf-8")
    assert main(["config", "check", "nowhere.toml" if text is None else "spanhawk.toml"]) == 78
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "tool"),
    [
        (["outbox", "list", "--outbox", "/var/lib/spanhawk/outbox.db"], "edge.tools.letters.listing"),
        (["report", "/var/lib/spanhawk/flights/x", "--out", "r"], "edge.ground.report.write"),
    ],
)
def test_what_this_user_may_not_read_is_one_sentence(
    words: list[str], tool: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A drone's flights and outbox are open to root and to the group spanhawk alone."""

    def closed(*arguments: object) -> str:
        raise PermissionError(13, "Permission denied", "/var/lib/spanhawk/here")

    monkeypatch.setattr(tool, closed)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("spanhawk: /var/lib/spanhawk/here: this user may not look or write there; run this as a ")
    assert said.count("\n") == 1
