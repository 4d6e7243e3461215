from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import jsonschema
import pytest

from edge.cli import main
from edge.support.clock import ManualClock
from edge.support.errors import EXIT_CONFIG, EXIT_TRY_AGAIN, EXIT_UNAVAILABLE
from edge.tools.doctor import Level, Result, examine, fail, ok, report, warn
from edge.tools.doctor.examine import CHECKS, Check
from tests.tools.doctor.bench import NOON, toml

WHOLE = ["configuration", *(check.name for check in CHECKS)]


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, report.schema())
    return document


def test_json_is_what_the_schema_says_and_agrees_with_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["doctor", "--config", str(toml(tmp_path)), "--json"])
    document = printed(capsys)
    checks = document["checks"]
    assert isinstance(checks, list)
    assert [check["check"] for check in checks] == WHOLE
    assert document["fit"] is (code == 0)
    assert document["fit"] is not any(check["level"] == "fail" for check in checks)


def test_software_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = toml(tmp_path, masks={"backend": "litert"}, camera={"backend": "v4l2", "device": "/dev/video99"})
    assert main(["doctor", "--config", str(path), "--software", "--json"]) == 0
    checks = printed(capsys)["checks"]
    assert isinstance(checks, list)
    assert [check["check"] for check in checks] == ["configuration", "versions", "secrets", "outbox", "model"]


def test_a_configuration_nobody_can_use_is_78_and_the_rest_is_still_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = tmp_path / "half.toml"
    half.write_text('vehicle = "drone1"\n[camera]\nbackend = "syn')
    assert main(["doctor", "--config", str(half), "--json"]) == EXIT_CONFIG
    checks = printed(capsys)["checks"]
    assert isinstance(checks, list)
    assert [check["check"] for check in checks] == WHOLE
    assert "half.toml: not valid TOML" in checks[0]["found"]
    assert {check["check"] for check in checks if check["level"] == "ok"} >= {"versions"}


def test_the_table_tells_the_fix_and_the_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = toml(tmp_path, camera={"backend": "v4l2", "device": "/dev/video99"})
    assert main(["doctor", "--config", str(path)]) == EXIT_UNAVAILABLE
    out = capsys.readouterr().out
    assert "camera        fail  no /dev/video99" in out
    assert "→ plug the camera in" in out
    assert "not fit to fly: 1 of 18 checks failed" in out


def test_while_the_outbox_is_held_devices_are_left_alone(tmp_path: Path) -> None:
    from edge import settings
    from edge.support.clock import SystemClock

    path = toml(tmp_path)
    read = settings.read(path)
    with read.outbox.module.open_outbox(read.outbox.options, SystemClock()):
        found = dict(examine.examine(path, ManualClock(NOON)))
    assert found["outbox"].level is Level.FAIL
    assert {found[name].level for name in ("camera", "model", "navigation", "fix")} == {Level.NOT_APPLICABLE}
    assert "daemon" in found["camera"].found


def test_a_check_that_stumbles_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(bench: object) -> Result:
        raise ZeroDivisionError("nobody thought of this")

    first, *rest = CHECKS
    monkeypatch.setattr(examine, "CHECKS", (Check(first.name, stumble), *rest))
    found = list(examine.examine(toml(tmp_path), ManualClock(NOON)))
    assert [name for name, _ in found] == WHOLE
    assert "ZeroDivisionError" in found[1][1].found
    assert report.exit_code(found) != 0


def test_the_worst_failure_gives_the_exit_code() -> None:
    codes = (EXIT_CONFIG, EXIT_UNAVAILABLE, EXIT_TRY_AGAIN)
    for a, b in product(codes, repeat=2):
        rows = [("a", fail("x", "y", a)), ("b", fail("x", "y", b)), ("c", warn("x", "y")), ("d", ok("x"))]
        assert report.exit_code(rows) == min((a, b), key=codes.index)
    assert report.exit_code([("c", warn("x", "y")), ("d", ok("x"))]) == 0
    assert report.verdict([("c", warn("x", "y"))]) == "fit to fly (1 to know about)"
