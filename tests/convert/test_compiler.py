"""The log of edgetpu_compiler, read from texts written after its grammar; and the command around the compiler.

The compiler itself is a closed program that this project cannot install; a small script stands in for it where the
command is tested: it prints such a text and writes a file, no more.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from convert import ConversionError
from convert.cli import main
from convert.compiler import parse_report, unmapped
from convert.edgetpu import predict
from convert.graph import read_graph
from edge.masks import edgetpu
from edge.masks.bundle import default_bundle_path, load_bundle

SAID = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 812 ms.

Input model: model.tflite
Input size: 708.95KiB
Output model: model_edgetpu.tflite
Output size: 1.02MiB
On-chip memory used for caching model parameters: 742.50KiB
On-chip memory remaining for caching model parameters: 5.99MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 24
Operation log: model_edgetpu.log
See the operation log file for individual operation details.
Compilation child process completed within timeout period.
Compilation succeeded!
"""
LOG = """Edge TPU Compiler version 16.0.384591198
Input: model.tflite
Output: model_edgetpu.tflite

Operator                       Count      Status

CONCATENATION                  3          Mapped to Edge TPU
RESIZE_BILINEAR                3          Mapped to Edge TPU
CONV_2D                        18         Mapped to Edge TPU
"""
PARTIAL = LOG.replace(
    "RESIZE_BILINEAR                3          Mapped to Edge TPU\n",
    "RESIZE_BILINEAR                1          Operation is otherwise supported, but not mapped due to some unspecified"
    " limitation\nRESIZE_BILINEAR                2          Mapped to Edge TPU\n",
).replace("CONV_2D                        18         Mapped", "CONV_2D  4  More than one subgraph is not supported\n"
          "CONV_2D                        14         Mapped")  # fmt: skip
STAND_IN = """#!/bin/sh
while [ $# -gt 1 ]; do case "$1" in --out_dir) out="$2"; shift;; esac; shift; done
cat "{folder}/said"
[ -f "{folder}/log" ] && cp "{folder}/log" "$out/model_edgetpu.log" && cp "$1" "$out/model_edgetpu.tflite" \
  && printf edgetpu-custom-op >> "$out/model_edgetpu.tflite"
echo tried >> "{folder}/tries"
exit {code}
"""


def stand_in(folder: Path, said: str, log: str | None, code: int = 0) -> str:
    (folder / "said").write_text(said)
    if log is not None:
        (folder / "log").write_text(log)
    program = folder / "edgetpu_compiler"
    program.write_text(STAND_IN.format(folder=folder, code=code))
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def bundle(tmp_path):
    return Path(shutil.copytree(default_bundle_path(), tmp_path / "fast-unet"))


def test_a_report_is_read_whole():
    report = parse_report(SAID, LOG)
    assert report.version == "16.0.384591198"
    assert (report.operators, report.operators_mapped, report.subgraphs) == (24, 24, 1)
    assert report.on_chip_bytes == round(742.5 * 1024)
    assert report.on_chip_left_bytes == round(5.99 * 1024**2)
    assert report.off_chip_bytes == 0
    assert [row.operator for row in report.rows] == ["CONCATENATION", "RESIZE_BILINEAR", "CONV_2D"]


def test_the_older_label_and_a_table_in_the_output_itself_are_read():
    said = SAID.replace("remaining for", "available for") + LOG
    assert parse_report(said, said).operators_mapped == 24


def test_an_operator_may_have_several_rows():
    report = parse_report(SAID, PARTIAL)
    assert report.operators_mapped == 3 + 2 + 14
    rows = [row for row in report.rows if row.operator == "RESIZE_BILINEAR"]
    assert [(row.count, row.mapped) for row in rows] == [(1, False), (2, True)]


def test_what_should_map_and_did_not_is_named():
    prediction = predict(read_graph(default_bundle_path() / "model.tflite"))
    assert unmapped(parse_report(SAID, LOG), prediction) == []
    assert unmapped(parse_report(SAID, PARTIAL), prediction) == [
        "14 of 18 CONV_2D mapped (More than one subgraph is not supported)",
        "2 of 3 RESIZE_BILINEAR mapped (Operation is otherwise supported, but not mapped due to some unspecified "
        "limitation)",
    ]


@pytest.mark.parametrize(
    ("said", "log", "words"),
    [
        ("hello", "hello", "names no version"),
        (SAID.replace("Number of Edge TPU subgraphs: 1\n", ""), LOG, "no line 'Number of Edge TPU subgraphs'"),
        (SAID.replace("0.00B", "a lot"), LOG, "no line 'Off-chip|size of 'a'"),
        (SAID.replace("0.00B", "3parsec"), LOG, "size of '3parsec'"),
        (SAID, LOG.partition("Operator")[0], "no table of operators"),
        (SAID, LOG.partition("CONCATENATION")[0], "table of operators is empty"),
    ],
)
def test_output_that_is_none_is_refused(said, log, words):
    with pytest.raises(ConversionError, match=words):
        parse_report(said, log)


def test_without_the_compiler_the_command_says_where_it_comes_from(bundle, capsys):
    assert main(["compile", str(bundle), "--compiler", "no-such-compiler"]) == 69
    assert "x86-64 Debian only" in capsys.readouterr().err


def test_a_compiled_model_and_its_numbers_come_onto_the_card(bundle, tmp_path, capsys):
    assert main(["compile", str(bundle), "--compiler", stand_in(tmp_path, SAID, LOG)]) == 0
    assert json.loads(capsys.readouterr().out) == {"mapped": 24, "operators": 24, "subgraphs": 1}
    made = load_bundle(bundle)
    facts = made.facts(edgetpu.ARTIFACT, edgetpu.Facts)
    assert facts is not None
    assert (facts.compiler, facts.off_chip_bytes) == ("16.0.384591198", 0)


def test_a_partial_mapping_fails_and_leaves_the_bundle_alone(bundle, tmp_path, capsys):
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert main(["compile", str(bundle), "--compiler", stand_in(tmp_path, SAID, PARTIAL)]) == 2
    assert "14 of 18 CONV_2D mapped" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before


@pytest.mark.parametrize(
    ("said", "tries"),
    [
        ("Internal compiler error. Aborting!\n", 3),
        ("Invalid model: model.tflite\nModel not quantized\nCompilation failed!\n", 1),
        ("ERROR: Didn't find op for builtin opcode 'CONV_2D' version '6'\nCompilation failed!\n", 1),
        ("Compilation failed due to large activation tensors in model.\nCompilation failed!\n", 1),
    ],
)
def test_failures_are_told_in_the_compiler_s_words_and_flaky_ones_tried_again(bundle, tmp_path, capsys, said, tries):
    assert main(["compile", str(bundle), "--compiler", stand_in(tmp_path, said, None, code=1)]) == 2
    assert said.splitlines()[-1].strip() in capsys.readouterr().err
    assert (tmp_path / "tries").read_text().count("tried") == tries
