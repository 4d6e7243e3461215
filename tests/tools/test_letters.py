from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cli import main
from edge.detections.cracks import revision_id
from edge.ground import Query
from edge.ground.serve import collector_of
from edge.ground.settings import read as ground_settings
from edge.ground.stores import open_store
from edge.outbox import Letter, sqlite
from edge.outbox.salvage import Salvage, undelivered
from edge.support.clock import SystemClock
from tests.ground.letters import as_bytes, crack, detection
from tests.mqtt.broker import mosquitto


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


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """An outbox of drone1 with three detections and a crack."""
    path = tmp_path / "outbox.db"
    features = [("detections", detection(seq)["id"], detection(seq)) for seq in (1, 2, 3)]
    features.append(("cracks", revision_id(crack(1, 2)["id"], 2), crack(1, 2)))
    with sqlite.open_outbox(sqlite.Options(path=path), SystemClock()) as outbox:
        outbox.put([Letter(id, f"spanhawk/drone1/{what}", as_bytes(one), None) for what, id, one in features])
    return path


def configured(box: Path, mqtt: str, *, named: bool) -> list[str]:
    """The options of a drone whose letters the ground confirms; ``named``: whose configured outbox is another one."""
    config = box.with_name("spanhawk.toml")
    path = box.with_name("elsewhere.db") if named else box
    config.write_text(f'vehicle = "drone1"\n[outbox]\npath = "{path}"\nconfirm = "ground"\n[mqtt]\n{mqtt}\n')
    return ["--config", str(config), *(["--outbox", str(box)] if named else [])]


def states(options: list[str], capsys: pytest.CaptureFixture[str]) -> set[str]:
    capsys.readouterr()
    assert main(["outbox", "list", *options]) == 0
    return {json.loads(line)["state"] for line in capsys.readouterr().out.splitlines()}


NAMED = pytest.mark.parametrize("named", [False, True], ids=["the configured outbox", "another file"])


@NAMED
def test_where_the_ground_confirms_the_brokers_word_ends_no_letter_of_a_flush(
    named: bool, box: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.tools.letters.PATIENCE_S", 0.3)
    options = configured(box, 'backend = "memory"', named=named)  # it takes all and nobody gives a receipt
    assert main(["outbox", "flush", *options]) == 75
    told = capsys.readouterr().err
    assert "0 of 4 letters delivered, 4 wait" in told
    assert "no receipt of the ground" in told
    assert "confirmed" not in states(options, capsys)


@NAMED
def test_a_flush_is_done_when_the_ground_has_stored_its_letters(
    named: bool, box: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, stop, store_at = SystemClock(), threading.Event(), str(tmp_path / "ground.db")
    with mosquitto(tmp_path) as broker, open_store(store_at, clock) as store:
        collector = collector_of(ground_settings(None, broker=broker.url, store=store_at), store, clock)
        thread = threading.Thread(target=collector.run, args=(stop,))
        thread.start()
        try:
            assert broker.wait_log("Sending SUBACK to spanhawk-ground")
            options = configured(box, f'url = "{broker.url}"', named=named)
            assert main(["outbox", "flush", *options]) == 0
        finally:
            stop.set()
            thread.join()
        assert "4 letters delivered" in capsys.readouterr().err
        assert store.ranges("drone1", "f1") == ((1, 3),)
        assert len(store.cracks(Query())) == 1
    assert states(options, capsys) == {"confirmed"}


def test_a_recovery_that_is_interrupted_leaves_no_half_of_an_outbox(box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(salvage: Salvage) -> Iterator[Letter]:
        yield next(undelivered(salvage))
        raise KeyboardInterrupt

    monkeypatch.setattr("edge.tools.letters._AT_ONCE", 1)
    asked = ["outbox", "recover", str(box), "--out", str(box.with_name("new.db"))]
    with monkeypatch.context() as patched:
        patched.setattr("edge.tools.letters.undelivered", interrupted)
        assert main(asked) == 130
    assert not [path.name for path in box.parent.iterdir() if "new" in path.name]
    assert main(asked) == 0
