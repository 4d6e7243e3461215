from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import main


def test_flush_with_a_table_that_is_none_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "spanhawk.toml"
    config.write_text('mqtt = "x"\n', encoding="utf-8")
    assert main(["outbox", "flush", "--config", str(config), "--mqtt", "mqtt://localhost"]) == 78
    assert "mqtt: got 'x', needs a table, as [mqtt]" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["list", "--mqtt", "mqtt://b"], ["prune", "--all"], ["purge", "--again"], ["send"]])
def test_an_option_of_another_action_is_refused_not_ignored(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["outbox", *words])
    assert ended.value.code == 2
    assert words[min(1, len(words) - 1)] in capsys.readouterr().err
