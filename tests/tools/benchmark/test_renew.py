"""``benchmarks/renew.py``: one step's failure costs that step alone, and no old result passes for a new one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import renew


@pytest.fixture(autouse=True)
def quiet_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr(renew, "TOLD_EVERY_S", 0.2)


def _ends(monkeypatch: pytest.MonkeyPatch, out: Path, *words: str, **programs: str) -> int:
    steps = {name: ["-c", text.replace("OUT", str(out))] for name, text in programs.items()}
    monkeypatch.setattr(renew, "_steps", lambda arguments: steps)
    monkeypatch.setattr(sys, "argv", ["renew.py", "--out", str(out), "--trial", *words])
    return renew.main()


def test_a_step_that_fails_is_named_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "second.json").write_text("of last week")
    done = "open('OUT/NAME.json', 'w').close()"
    code = _ends(
        monkeypatch, tmp_path, first=done.replace("NAME", "first"), second="raise SystemExit(69)", third="",
        fourth=done.replace("NAME", "fourth"),
    )  # fmt: skip
    told = capfd.readouterr()
    assert code == 1
    assert "second ended with 69" in told.err
    assert "third wrote no result" in told.err
    assert "first, fourth: in" in told.out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.json", "fourth.json"]


def test_a_step_that_hangs_is_ended_with_all_that_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # A stand-in that never ends by itself: it is killed after --limit, so nothing waits for these seconds.
    hangs = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    assert _ends(monkeypatch, tmp_path, "--limit", "0.5", only=hangs) == 1
    told = capfd.readouterr()
    assert "only was ended after" in told.err
    assert "only: 0 s" in told.out  # it was told that it still ran
