"""Command line of the conversion room. Heavy libraries are imported by the commands, not by `--help`."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convert import MAX_FRACTION_ABOVE, TOLERANCE_LSB, commands
from edge.support.commandline import Parser
from edge.support.errors import SpanhawkError
from models import quiet_tensorflow
from models.arguments import EXIT_INTERRUPTED, THRESHOLD, not_installed, number, refused, whole

QUANTIZE = "python -m convert quantize runs/mine/model.keras --data photos/ -o bundles/mine"
VERIFY = "python -m convert verify bundles/mine --data test/            # test/images and test/masks"
CHECK = "python -m convert check bundles/mine                          # what an Edge TPU would take"
ONNX = "python -m convert onnx bundles/mine                           # for a Jetson"
KEYS = "python -m convert keys ~/keys/ours                            # once"
SIGN = "python -m convert sign bundles/mine --key ~/keys/ours.key     # then ours.pub goes into /etc/spanhawk/keys"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Bad input is answered with one sentence on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    quiet_tensorflow()
    arguments = _parser().parse_args(argv)
    arguments.command = "python -m convert " + _as_recorded(sys.argv[1:] if argv is None else argv)
    try:
        return int(arguments.run(arguments))
    except SpanhawkError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except ModuleNotFoundError as error:
        return not_installed(error)
    except OSError as error:
        return refused(error, "; nothing was changed")


def _as_recorded(words: Sequence[str]) -> str:
    """The command for the card; of absolute paths only the name, since where a machine keeps its files is its own."""
    return shlex.join(Path(word).name if Path(word).is_absolute() else word for word in words)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m convert", description="Turn a trained model into a bundle that a drone trusts.",
        examples=(QUANTIZE, VERIFY, CHECK, ONNX, KEYS, SIGN),
    )  # fmt: skip
    commands_ = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_quantize(commands_)
    _add_verify(commands_)
    check = commands_.add_parser("check", help="predict what an Edge TPU takes, operator by operator", examples=[CHECK])
    check.add_argument("model", type=Path, help=".tflite file, or a bundle")
    check.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    check.set_defaults(run=commands.check)
    compile_ = commands_.add_parser(
        "compile",
        help="run edgetpu_compiler on a bundle and read its report",
        examples=["python -m convert compile bundles/mine"],
    )
    compile_.add_argument("bundle", type=Path)
    compile_.add_argument("--compiler", default="edgetpu_compiler", help="the program, where it is not on the path")
    compile_.add_argument("--timeout", type=whole(1), default=180, help="seconds the compiler may take (default 180)")
    compile_.set_defaults(run=commands.compile_bundle)
    onnx = commands_.add_parser(
        "onnx",
        help="add an ONNX model for NVIDIA Jetsons to a bundle",
        examples=[ONNX, "python -m convert onnx bundles/mine --int8 photos/            # the same in int8"],
    )
    onnx.add_argument("bundle", type=Path)
    _add_float_model(onnx)
    onnx.add_argument("--int8", type=Path, nargs="+", metavar="DIR",
                      help="int8 as TensorRT takes it, its scales from these folders of frames (default: float)",
                      )  # fmt: skip
    onnx.add_argument("--frames", type=whole(1), default=160, help="how many frames set the scales (default 160)")
    onnx.set_defaults(run=commands.onnx)
    _add_artifact(commands_)
    _add_signing(commands_)
    return parser


def _add_quantize(parsers: Any) -> None:
    quantize = parsers.add_parser(
        "quantize",
        help="float Keras model to an int8 bundle",
        examples=[
            QUANTIZE,
            "python -m convert quantize models/weights/fast-unet.weights.h5 --data photos/ -o bundles/mine",
        ],
    )
    quantize.add_argument("model", type=Path,
                          help="model.keras of a training with run.json beside it, or NAME.weights.h5 of a fast U-Net "
                          "with NAME.json beside it")  # fmt: skip
    quantize.add_argument("--data", type=Path, nargs="+", required=True, metavar="DIR",
                          help="folders of real frames that set the ranges, crack-free ones among them")  # fmt: skip
    quantize.add_argument("-o", "--out", type=Path, required=True, metavar="BUNDLE")
    quantize.add_argument("--height", type=whole(1), help="px of the input (default: the model's own, else 512)")
    quantize.add_argument("--width", type=whole(1))
    quantize.add_argument("--pixels", choices=("0..1", "0..255", "-1..1", "torch", "caffe"),
                          help="what the network was trained on: 0..1, 0..255, -1..1, or what preprocess_input of "
                          "keras.applications makes (torch, caffe); default: as its own first layers say, else 0..1",
                          )  # fmt: skip
    quantize.add_argument("--frames", type=whole(1), default=160, help="how many frames set the ranges (default 160)")
    quantize.add_argument("--curve", type=Path, help="picture of the training (default: curve.png beside the model)")
    quantize.add_argument("--name", help="name on the card (default: the bundle folder's name)")
    quantize.add_argument("--licence", default="not stated", help="what the weights may be used for, for the card")
    quantize.add_argument("--threshold", type=THRESHOLD,
                          help="score threshold, for one class (default: the training record's)")  # fmt: skip
    quantize.add_argument("--class", dest="classes", action="append", metavar="NAME",
                          help="keep this class only (again for more); default: all that were trained")  # fmt: skip
    quantize.add_argument("--measure", action="append", default=[], metavar="NAME=line|area",
                          help="how a class is measured (default: crack as lines, others as areas)")  # fmt: skip
    quantize.add_argument("--finetune", type=whole(0), metavar="STEPS",
                          help="fine-tune for int8 first; 0 never does (default: only where rounding costs too much)",
                          )  # fmt: skip
    quantize.add_argument("--max-f1-drop", type=number(0, 1), default=0.005, help="limit of the gate (default 0.005)")
    quantize.add_argument("--max-differing", type=number(0, 1), default=0.001,
                          help="limit of the gate: share of pixels (default 0.001)")  # fmt: skip
    quantize.set_defaults(run=commands.quantize)


def _add_verify(parsers: Any) -> None:
    verify = parsers.add_parser(
        "verify",
        help="the gate: compare a bundle with its float model; report into the bundle",
        examples=[VERIFY],
    )
    verify.add_argument("bundle", type=Path)
    _add_float_model(verify)
    verify.add_argument("--data", type=Path, nargs="+", default=[], metavar="DIR",
                        help="data sets: folders with images/ and masks/, or of pictures alone (compared, not scored)",
                        )  # fmt: skip
    verify.add_argument("--test", nargs=3, action="append", default=[], metavar=("NAME", "IMAGES", "MASKS"),
                        help="a data set by name; MASKS is - where crack-free; of a source NAME of which the training "
                        "held out a part, write NAME/held (or NAME where gpu-take made its record): it is cut down to "
                        "that part")  # fmt: skip
    verify.add_argument("--images", type=whole(1), metavar="N", help="at most N pictures of each set, evenly spaced")
    verify.add_argument("--json", action="store_true", help="the whole report on stdout, not its head")
    verify.set_defaults(run=commands.verify)


def _add_artifact(parsers: Any) -> None:
    add = parsers.add_parser(
        "add",
        help="put a model for another accelerator, made by its own tools, into a bundle as an artefact",
        examples=["python -m convert add bundles/mine myboard mine.bin --facts report.json"],
    )
    add.add_argument("bundle", type=Path)
    add.add_argument("name", help="the artefact's name, as the backend that runs it has it in its TRAITS")
    add.add_argument("file", type=Path, help="the model; it keeps its name in the bundle")
    add.add_argument("--golden", type=Path, metavar="NPZ",
                     help="what it must answer to the input in golden.npz: the array output, int8 (1, h, w, c) at the "
                     "card's output scale (default: the answer of model.tflite)")  # fmt: skip
    add.add_argument("--tolerance-lsb", type=whole(0), default=TOLERANCE_LSB,
                     help=f"steps an answer may be off (default {TOLERANCE_LSB})")  # fmt: skip
    add.add_argument("--max-fraction-above", type=number(0, 1), default=MAX_FRACTION_ABOVE,
                     help=f"share of answers that may be off by more (default {MAX_FRACTION_ABOVE})")  # fmt: skip
    add.add_argument(
        "--facts", type=Path, metavar="JSON", help="what the program that made it says of it, for the card"
    )
    add.set_defaults(run=commands.add)


def _add_signing(parsers: Any) -> None:
    keys = parsers.add_parser(
        "keys", help="make a minisign key pair: NAME.key (keep it) and NAME.pub (for drones)", examples=[KEYS]
    )
    keys.add_argument("name", type=Path, help="path of the pair, without an ending")
    keys.add_argument("--password-file", type=Path, help="where the key's password stands (default: asked for)")
    keys.add_argument("--no-password", action="store_true", help="leave the secret key unencrypted")
    keys.set_defaults(run=commands.keys)
    sign = parsers.add_parser("sign", help="sign a bundle that passed the gate", examples=[SIGN])
    sign.add_argument("bundle", type=Path)
    how = sign.add_mutually_exclusive_group(required=True)
    how.add_argument("--key", type=Path, help="secret key in minisign's format")
    how.add_argument("--shipped", action="store_true",
                     help="no signature: list the bundle's hash in this checkout, so that a wheel built from it "
                     "trusts it")  # fmt: skip
    sign.add_argument("--password-file", type=Path, help="where the key's password stands (default: asked for)")
    sign.add_argument("--unverified", action="store_true", help="although the gate has not passed it")
    sign.set_defaults(run=commands.sign)


def _add_float_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, nargs="?",
                        help="the float model it was made from (default: where the card says it lies)")  # fmt: skip
