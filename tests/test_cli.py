"""What the command line refuses rather than leaves aside."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import main


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
