"""``spanhawk doctor``: is this drone fit to fly."""

from __future__ import annotations

import argparse
import sys

from edge.commands.common import DEFAULT_CONFIG, Commands, config_option


def add(commands: Commands) -> None:
    """The parser of ``doctor`` among those of the other commands."""
    verb = commands.add_parser(
        "doctor",
        help="is this drone fit to fly, and if not, what is to be done",
        description="Opens each device once, runs one inference, sends one message, and says what is wrong and what "
        "to do about it. Exit code 0 only if fit to fly.",
        examples=[
            "sudo spanhawk doctor",
            "sudo spanhawk doctor --turn 60      # what a gimbal's heading counts from",
            "spanhawk doctor --config spanhawk.toml --json",
        ],
        epilog="as the service sees it, with its user, devices and secrets: sudo systemctl start spanhawk-doctor",
    )
    config_option(verb)
    verb.add_argument("--json", action="store_true", help="one JSON object (schema spanhawk/doctor/1) on stdout")
    verb.add_argument(
        "--software", action="store_true", help="only what an upgrade can break: no camera, no sky, no network"
    )
    verb.add_argument(
        "--turn",
        type=float,
        default=0.0,
        metavar="S",
        help="watch the gimbal while you turn the aircraft by 90 degrees",
    )
    verb.add_argument(
        "--slower",
        type=_factor,
        default=1.0,
        metavar="N",
        help="on an emulated board: the network may take N times as long (1); the report says so",
    )
    verb.set_defaults(verb=_doctor)


def _factor(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"got {text!r}, needs a number from 1 to 1000")
    return value


def _doctor(arguments: argparse.Namespace) -> int:
    from edge.support.clock import SystemClock
    from edge.tools.doctor import report
    from edge.tools.doctor.examine import examine

    clock, results = SystemClock(), []
    for name, result in examine(
        arguments.config or DEFAULT_CONFIG,
        clock,
        software_only=arguments.software,
        turn_s=arguments.turn,
        slower=arguments.slower,
    ):
        results.append((name, result))
        if not arguments.json:
            print(report.row(name, result, colour=sys.stdout.isatty()), flush=True)
    print(report.to_json(results, clock) if arguments.json else f"\n{report.verdict(results)}")
    return report.exit_code(results)
