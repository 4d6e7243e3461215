"""Numbers that cannot be are refused by the parser, and a file that the system refuses ends in one sentence."""

from __future__ import annotations

import errno
import os
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path

import pytest

from convert import cli as convert
from models import cli as models
from models.arguments import number, whole
from tests.models.sets import ROOT

SITES = ["sites", "b", "--recipe", "r", "--data", "d"]
RULE = ["report-rule", "b", "--recipe", "r", "--data", "d"]
QUANTIZE = ["quantize", "m", "--data", "d", "-o", "b"]


@pytest.mark.parametrize(
    ("main", "words", "sentence"),
    [
        (models.main, [*SITES, "--most", "0"], "argument --most: got '0', needs a whole number of at least 1"),
        (models.main, [*RULE, "--most", "0"], "argument --most: got '0', needs a whole number of at least 1"),
        (
            models.main,
            [*SITES, "--thresholds", "0.5", "0"],
            "--thresholds: got '0', needs a number above 0 and of at most",
        ),
        (
            models.main,
            ["render", "out", "--seed", "-1"],
            "argument --seed: got '-1', needs a whole number of at least 0",
        ),
        (models.main, ["render", "out", "--count", "some"], "--count: got 'some', needs a whole number of at least 1"),
        (
            models.main,
            ["evaluate", "m", "--threshold", "nan"],
            "--threshold: got 'nan', needs a number above 0 and of at",
        ),
        (models.main, ["gpu-pack", "r", "--data", "d", "--out", "o", "--parts", "0"], "argument --parts: got '0'"),
        (convert.main, [*QUANTIZE, "--threshold", "0"], "argument --threshold: got '0', needs a number above 0"),
        (convert.main, [*QUANTIZE, "--threshold", "1.5"], "argument --threshold: got '1.5', needs a number above 0"),
        (convert.main, [*QUANTIZE, "--frames", "0"], "argument --frames: got '0', needs a whole number of at least 1"),
        (convert.main, [*QUANTIZE, "--max-differing", "-1"], "--max-differing: got '-1', needs a number of at least 0"),
        (
            convert.main,
            ["verify", "b", "--images", "0"],
            "argument --images: got '0', needs a whole number of at least 1",
        ),
    ],
)
def test_a_number_out_of_its_bounds_is_refused_in_a_sentence(main, words, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_bounds_belong_to_what_is_allowed_unless_they_are_to_be_exceeded():
    assert whole(1)("1") == 1
    assert [number(0, 1)(text) for text in ("0", "1e-3", "1")] == [0, 0.001, 1]
    assert number(0, 1, above=True)("1") == 1
    assert number()("-3.5") == -3.5
    for read, text in ((number(0, 1, above=True), "0"), (number(), "inf"), (number(0), "-0.1"), (whole(0), "1.5")):
        with pytest.raises(ArgumentTypeError, match=f"got '{text}'"):
            read(text)


def test_a_folder_that_cannot_be_made_ends_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    recipe = str(ROOT / "models" / "configs" / "rule-open.toml")
    assert models.main(["gpu-pack", recipe, "--data", str(tmp_path), "--out", str(tmp_path / "file" / "x")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path / 'file' / 'x'}")
    assert said.endswith(": Not a directory\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 75), (errno.EDQUOT, 75), (errno.EACCES, 2)])
def test_a_full_disk_may_be_tried_again(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> int:
        raise OSError(number, os.strerror(number), "page/index.html")

    monkeypatch.setattr(models, "_evaluate", fail)
    assert models.main(["evaluate", "model.keras", "--report", "page"]) == code
    assert capsys.readouterr().err == f"error: page/index.html: {os.strerror(number)}\n"


def lacking(library: str) -> Callable[[object], int]:
    def run(arguments: object) -> int:
        raise ModuleNotFoundError(f"No module named {library!r}", name=library)

    return run


@pytest.mark.parametrize(
    ("library", "sentence"),
    [
        (
            "keras.layers",
            "needs keras, which is not installed; in the source folder: pip install -e '.[workstation]'\n",
        ),
        (
            "torch",
            "needs torch, which is not installed; in the source folder: pip install --upgrade pip && pip install --",
        ),
    ],
)
def test_a_missing_library_is_named_with_what_brings_it(
    library: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(models, "_summary", lacking(library))
    monkeypatch.setattr(convert.commands, "check", lacking(library))
    assert models.main(["summary"]) == 2
    assert convert.main(["check", "b"]) == 2
    assert capsys.readouterr().err.count(f"error: this {sentence}") == 2


def test_a_module_of_our_own_that_is_missing_is_no_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_summary", lacking("models.nothing"))
    with pytest.raises(ModuleNotFoundError):
        models.main(["summary"])
