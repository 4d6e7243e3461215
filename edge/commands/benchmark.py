"""``spanhawk benchmark``: how fast a bundle runs on this board."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edge.commands.common import Commands


def add(commands: Commands) -> None:
    """The parser of ``benchmark`` among those of the other commands."""
    verb = commands.add_parser(
        "benchmark",
        help="how fast a bundle runs on this board, and how far that is from what the board can do",
        description="Measure bundles on this board's backends, one frame at a time; the headline is p90 of wall time. "
        "Exit 1: --check found a number outside the reference.",
        examples=[
            "spanhawk benchmark --json board.json",
            "spanhawk benchmark --bundle bundles/mine --backend litert --threads 4 --size 2304x1296",
            "spanhawk benchmark --roofline",
        ],
    )
    many: dict[str, Any] = {"action": "append", "default": []}
    verb.add_argument("--bundle", type=Path, metavar="DIR", **many, help="repeat for more; default: the one that ships")
    verb.add_argument("--backend", metavar="NAME", **many, help="litert, edgetpu, …; default: every one that is here")
    verb.add_argument("--option", metavar="KEY=VALUE", **many, help="a key of the [masks] table, as device=usb:0")
    verb.add_argument("--threads", type=int, metavar="N", **many, help="repeat for more; default: 1, 2, 4 of the cores")
    verb.add_argument("--size", default="1280x720", metavar="WxH", help="the camera's frame (%(default)s)")
    verb.add_argument("--runs", type=int, default=200, metavar="N", help="measured runs of each row (%(default)s)")
    verb.add_argument("--warm-up", type=int, default=10, metavar="N", help="runs before them (%(default)s)")
    verb.add_argument("--json", type=Path, metavar="FILE", help="also write everything as JSON")
    verb.add_argument("--roofline", action="store_true", help="each operator against the machine's best")
    verb.add_argument("--cross-check", action="store_true", help="also ask litert-benchmark")
    verb.add_argument("--sustained", type=int, default=0, metavar="MIN", help="minutes of work, first against last")
    verb.add_argument("--end-to-end", type=float, default=0.0, metavar="S", help="fly S seconds: exposure to PUBACK")
    verb.add_argument("--fps", type=float, default=10.0, metavar="F", help="with --end-to-end (%(default)s)")
    verb.add_argument("--check", action="store_true", help="compare with this board's reference, both ways")
    verb.add_argument("--write-reference", action="store_true", help="make this board's reference")
    verb.add_argument("--reference", type=Path, metavar="FILE", help="default: benchmarks/reference/BOARD.csv")
    verb.set_defaults(verb=_benchmark)


def _benchmark(arguments: argparse.Namespace) -> int:
    from edge.tools.benchmark.report import table
    from edge.tools.benchmark.run import Job, against_reference, benchmark

    job = Job(
        bundles=arguments.bundle,
        backends=arguments.backend,
        options=arguments.option,
        threads=arguments.threads,
        size=arguments.size,
        runs=arguments.runs,
        warm_up=arguments.warm_up,
        json_path=arguments.json,
        roofline=arguments.roofline,
        cross_check=arguments.cross_check,
        sustained_min=arguments.sustained,
        end_to_end_s=arguments.end_to_end,
        fps=arguments.fps,
        check=arguments.check,
        write_reference=arguments.write_reference,
        reference=arguments.reference,
    )
    report = benchmark(job)
    print(table(report))
    words, code = against_reference(job, report)
    if words:
        print(words)
    return code
