"""What people add: their review, and the table of width bands that findings are set beside."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge.support.errors import ConfigError, UsageError
from tests.ground.report import made
from tests.ground.report.reading import Page, change, copied, page, rows, told

pytest.importorskip("pyogrio", reason="the extra [report] is not installed")
pytest.importorskip("jinja2", reason="the extra [report] is not installed")


def test_a_review_comes_back_into_the_report(flight: Path, tmp_path: Path) -> None:
    said = {"schema": "spanhawk/review/1", "flight_id": made.FLIGHT, "reviews": [
        {"crack_id": made.name(6), "verdict": "rejected", "grade": None, "remark": "a cable <b>", "by": "A. Inspector",
         "at": "2026-06-02T08:00:00Z"},
        {"crack_id": made.name(2), "verdict": "confirmed", "grade": "S2", "remark": None, "by": None, "at": None},
        {"crack_id": "nobody", "verdict": "confirmed", "grade": None, "remark": None, "by": None, "at": None},
    ]}  # fmt: skip
    (tmp_path / "review.json").write_text(json.dumps(said))
    told_ = told(flight, tmp_path / "out", review=tmp_path / "review.json")
    assert "1 review of findings that this flight does not have, as nobody" in told_
    found = rows(tmp_path / "out")
    assert (found[made.name(6)]["review"], found[made.name(6)]["remark"]) == ("rejected", "a cable <b>")
    assert (found[made.name(2)]["review"], found[made.name(2)]["remark"]) == ("confirmed", "grade S2")
    order = [attrs["data-id"] for tag, attrs in Page(page(tmp_path / "out")).elements if tag == "article"]
    assert order[-1] == made.name(6), "rejected ones stand last"


WRONG = json.dumps(
    {"schema": "spanhawk/review/1", "flight_id": made.FLIGHT, "reviews": [{"crack_id": "x", "verdict": "ok"}]}
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "not whole JSON"),
        ("[]", "schema is 'list'"),
        ("[" * 100_000, "not whole JSON"),
        ('{"schema": "spanhawk/review/2"}', "spanhawk/review/2"),
        ('{"schema": "spanhawk/review/1", "flight_id": "other", "reviews": []}', "'other'"),
        (WRONG, "'ok'"),
    ],
)
def test_a_review_that_is_none_is_refused(flight: Path, tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "review.json").write_text(text)
    with pytest.raises(UsageError, match=re.escape(why)):
        told(flight, tmp_path / "out", review=tmp_path / "review.json")
    assert not (tmp_path / "out").exists()


def test_bands_of_ones_own_and_shipped_ones(flight: Path, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        'default = "own"\n[tables.own]\nsource = "our office"\nedges_mm = [0.45]\n'
        'names = ["fine", "wide"]\nmeanings = ["", ""]\n'
    )
    told(flight, tmp_path / "out", bands=str(tmp_path / "own.toml"))
    assert [rows(tmp_path / "out")[made.name(n)]["band"] for n in (4, 6)] == ["fine", "wide"]
    told(flight, tmp_path / "aci", bands="ACI 224R-01")
    assert rows(tmp_path / "aci")[made.name(6)]["band"] == "over 0.41 mm"
    (tmp_path / "bad.toml").write_text((tmp_path / "own.toml").read_text().replace("[0.45]", "[0.45, 0.1]"))
    with pytest.raises(ConfigError, match="rising"):
        told(flight, tmp_path / "bad", bands=str(tmp_path / "bad.toml"))
    with pytest.raises(UsageError, match="EN 1992-1-1"):
        told(flight, tmp_path / "bad", bands="nothing")


def test_an_upper_bound_claims_no_band(flight: Path, tmp_path: Path) -> None:
    copy = copied(flight, tmp_path)
    change(copy, 5, width_mm=None, width_at_most_mm=1.6)
    change(copy, 6, width_mm=None, width_at_most_mm=0.15)
    told(copy, tmp_path / "out")
    found = rows(tmp_path / "out")
    assert (found[made.name(5)]["band"], found[made.name(5)]["width_at_most_mm"]) == ("", "1.6")
    assert found[made.name(6)]["band"] == "up to 0.2 mm"
