from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import main


def test_flush_with_a_table_that_is_none_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "spanhawk.toml"
    config.write_text('mqtt = "x"\n', encoding="utf-8")
    assert main(["outbox", "flush", "--config", str(config), "--mqtt", "mqtt://localhost"]) == 78
    assert "mqtt: got 'x', needs a table, as [mqtt]" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["list"], ["purge"], ["flush", "--mqtt", "mqtt://localhost:1"]])
def test_a_file_that_is_no_outbox_is_told_alike_by_every_action(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = tmp_path / "note.txt"
    note.write_text("no database at all, and it stays as it is. " * 50)
    arguments = ["outbox", *words, "--outbox", str(note), "--config", str(tmp_path / "none.toml")]
    assert main(arguments) == 78
    assert f"{note}" in (told := capsys.readouterr().err), told
    assert "file is not a database" in told


@pytest.mark.parametrize("words", [["list", "--mqtt", "mqtt://b"], ["prune", "--all"], ["purge", "--again"], ["send"]])
def test_an_option_of_another_action_is_refused_not_ignored(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["outbox", *words])
    assert ended.value.code == 2
    assert words[min(1, len(words) - 1)] in capsys.readouterr().err
