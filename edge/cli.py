"""The ``spanhawk`` command: one function per verb; what a verb needs is imported when it runs."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.support.errors import EXIT_DONE, SpanhawkError

_EPILOG = """\
exit codes: 0 done, 2 usage, 69 device unavailable, 75 try again, 78 configuration

examples:
  spanhawk demo                                     fly a rendered bridge; no hardware, no network
  spanhawk replay photos/ --nav track.csv --masks   find the cracks in a folder of photos
  spanhawk replay flight.mp4 --mqtt mqtt://localhost
  spanhawk run --config /etc/spanhawk/spanhawk.toml
  spanhawk doctor                                   is this drone fit to fly?
  spanhawk outbox list
  spanhawk calibrate --board 9x6 --square-mm 25 board-photos/
  spanhawk benchmark --json board.json              how fast it is on this board
"""

_DEFAULT_CONFIG = Path("/etc/spanhawk/spanhawk.toml")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    arguments = _parser().parse_args(argv)
    level = logging.DEBUG if arguments.verbose else logging.INFO
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    try:
        return int(arguments.verb(arguments))
    except SpanhawkError as error:
        print(f"spanhawk: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("spanhawk: interrupted; what was written so far is intact", file=sys.stderr)
        return 130
    except BrokenPipeError:
        if arguments.verb is _run:
            raise
        # The reader of our output (head, less) has seen enough; nothing is to be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spanhawk",
        description="Onboard crack inspection for drones.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"spanhawk {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log more")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (
        _add_demo,
        _add_run,
        _add_replay,
        _add_doctor,
        _add_outbox,
        _add_config,
        _add_calibrate,
        _add_benchmark,
    ):
        add(verbs)
    return parser


if TYPE_CHECKING:
    from edge.tools.letters import Box

    _Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


def _add_demo(verbs: _Verbs) -> None:
    verb = verbs.add_parser("demo", help="fly a rendered bridge through the real pipeline; no hardware, no network")
    verb.add_argument("--out", type=Path, default=Path("spanhawk-demo"), metavar="DIR", help="default: %(default)s")
    verb.add_argument("--seconds", type=float, default=30.0, metavar="S", help="length of the flight (%(default)s)")
    verb.set_defaults(verb=_demo)


def _add_run(verbs: _Verbs) -> None:
    verb = verbs.add_parser("run", help="the daemon: camera in, detections out (what systemd starts)")
    _config_option(verb)
    verb.set_defaults(verb=_run)


def _add_replay(verbs: _Verbs) -> None:
    verb = verbs.add_parser(
        "replay",
        help="recorded pictures through the pipeline that flies",
        description="Find the cracks in a folder of images, one image, or a video, exactly as the drone does.",
    )
    verb.add_argument("source", type=Path, metavar="SOURCE", help="a folder of images, one image, or a video")
    verb.add_argument("--nav", type=Path, metavar="FILE", help="a MAVLink tlog, NMEA, DJI .SRT, AirData or other CSV")
    verb.add_argument(
        "--nav-offset", type=float, default=0.0, metavar="S", help="the first frame stands S seconds into the log (0)"
    )
    verb.add_argument(
        "--fps", type=float, metavar="F",
        help="frames per second (a video's own times; of images their EXIF times, or 1)",
    )  # fmt: skip
    verb.add_argument("--bundle", type=Path, metavar="DIR", help="a model bundle; default: the one that ships")
    verb.add_argument("--backend", metavar="NAME", help="what runs the network: litert (default), edgetpu, dark, …")
    verb.add_argument("--threads", type=int, metavar="N", help="threads of the network on the CPU")
    verb.add_argument("--mqtt", metavar="URL", help="also deliver to this broker, as mqtt://localhost:1883")
    verb.add_argument("--vehicle", default="replay", metavar="NAME", help="name in the topics (%(default)s)")
    verb.add_argument("--masks", action="store_true", help="write a 0/255 PNG of the reported cracks per frame")
    verb.add_argument("--overlays", action="store_true", help="write each frame with its cracks drawn on")
    verb.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="take [masks], [cracks], [report], [scale], [mqtt], the camera mount and the vehicle's ids from here",
    )
    verb.add_argument(
        "--out", type=Path, default=Path("spanhawk-replay"), metavar="DIR", help="where to write (%(default)s)"
    )
    verb.set_defaults(verb=_replay)


def _add_doctor(verbs: _Verbs) -> None:
    verb = verbs.add_parser(
        "doctor",
        help="is this drone fit to fly, and if not, what is to be done",
        description="Opens each device once, runs one inference, sends one message, and says what is wrong and what "
        "to do about it. Exit code 0 only if fit to fly.",
        epilog="as the service sees it, with its user, devices and secrets: sudo systemctl start spanhawk-doctor",
    )
    _config_option(verb)
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
    verb.set_defaults(verb=_doctor)


def _add_outbox(verbs: _Verbs) -> None:
    verb = verbs.add_parser("outbox", help="what waits for the ground: list it, send it, delete what has arrived")
    actions = verb.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="one JSON object per letter, oldest first")
    _box_options(listing)
    listing.add_argument("--limit", type=int, default=1000, metavar="N", help="at most N letters (%(default)s)")
    listing.set_defaults(verb=_outbox_list)
    flush = actions.add_parser("flush", help="send everything that waits or was refused, now")
    _box_options(flush)
    flush.add_argument("--mqtt", metavar="URL", help="to this broker rather than the configured one")
    flush.add_argument("--again", action="store_true", help="also what was acknowledged before and is still kept")
    flush.set_defaults(verb=_outbox_flush)
    purge = actions.add_parser("purge", help="delete the letters that the ground has acknowledged")
    _box_options(purge)
    purge.add_argument("--all", action="store_true", help="delete every letter, also those that have not arrived")
    purge.set_defaults(verb=_outbox_purge)
    prune = actions.add_parser(
        "prune", help="on a disk that fills up, delete the oldest pictures of detections that the ground has"
    )
    _box_options(prune)
    prune.set_defaults(verb=_outbox_prune)


def _box_options(action: argparse.ArgumentParser) -> None:
    _config_option(action)
    action.add_argument("--outbox", type=Path, metavar="FILE", help="this outbox file rather than the configured one")


def _add_config(verbs: _Verbs) -> None:
    verb = verbs.add_parser("config", help="check a configuration, or show the one in force")
    actions = verb.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("check", help="say whether FILE would be accepted")
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(verb=_config_check)
    show = actions.add_parser("show", help="print the configuration in force, defaults included")
    _config_option(show)
    show.set_defaults(verb=_config_show)


def _add_calibrate(verbs: _Verbs) -> None:
    verb = verbs.add_parser(
        "calibrate",
        help="measure a lens with photos of a chessboard; writes lens.toml",
        description="Ten or more photos of a printed board, flat on a stiff plate, taken with the camera and the focus "
        "that will fly: from all sides, tilted by up to 45 degrees, and into every corner of the picture.",
    )
    verb.add_argument("photos", type=Path, nargs="+", metavar="PHOTOS", help="folders of photos, or photos")
    verb.add_argument(
        "--board",
        required=True,
        metavar="CxR",
        help="inner corners of the chessboard, as 9x6; of a ChArUco board, squares",
    )
    verb.add_argument("--square-mm", type=float, required=True, metavar="MM", help="length of a square's side")
    verb.add_argument(
        "--charuco",
        metavar="DICTIONARY",
        help="a ChArUco board with these markers, as DICT_4X4_50, 3/4 of a square wide",
    )
    verb.add_argument("--name", default="lens", metavar="NAME", help="what the card is called (%(default)s)")
    verb.add_argument("--out", type=Path, default=Path("lens.toml"), metavar="FILE", help="default: %(default)s")
    verb.set_defaults(verb=_calibrate)


def _add_benchmark(verbs: _Verbs) -> None:
    verb = verbs.add_parser(
        "benchmark",
        help="how fast a bundle runs on this board, and how far that is from what the board can do",
        description="Measure bundles on this board's backends, one frame at a time; the headline is p90 of wall time. "
        "Exit 1: --check found a number outside the reference.",
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


def _config_option(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--config", type=Path, metavar="FILE", help=f"configuration ({_DEFAULT_CONFIG})")


def _demo(arguments: argparse.Namespace) -> int:
    from edge.tools import demo

    print(demo.run(arguments.out, arguments.seconds))
    return EXIT_DONE


def _run(arguments: argparse.Namespace) -> int:
    from edge.daemon.service import serve

    return serve(arguments.config or _DEFAULT_CONFIG)


def _replay(arguments: argparse.Namespace) -> int:
    from edge.tools.replay.run import Job, replay

    job = Job(
        source=arguments.source,
        out=arguments.out,
        nav=arguments.nav,
        nav_offset_s=arguments.nav_offset,
        fps=arguments.fps,
        bundle=arguments.bundle,
        backend=arguments.backend,
        threads=arguments.threads,
        mqtt_url=arguments.mqtt,
        vehicle=arguments.vehicle,
        masks=arguments.masks,
        overlays=arguments.overlays,
        config=arguments.config,
    )
    print(replay(job), file=sys.stderr)
    return EXIT_DONE


def _doctor(arguments: argparse.Namespace) -> int:
    from edge.support.clock import SystemClock
    from edge.tools.doctor import report
    from edge.tools.doctor.examine import examine

    clock, results = SystemClock(), []
    for name, result in examine(
        arguments.config or _DEFAULT_CONFIG, clock, software_only=arguments.software, turn_s=arguments.turn
    ):
        results.append((name, result))
        if not arguments.json:
            print(report.row(name, result, colour=sys.stdout.isatty()), flush=True)
    print(report.to_json(results, clock) if arguments.json else f"\n{report.verdict(results)}")
    return report.exit_code(results)


def _box(arguments: argparse.Namespace, mqtt_url: str | None = None) -> Box:
    from edge.tools.letters import Box

    return Box(arguments.config or _DEFAULT_CONFIG, arguments.outbox, mqtt_url)


def _outbox_list(arguments: argparse.Namespace) -> int:
    from edge.tools import letters

    for line in letters.listing(_box(arguments), arguments.limit):
        print(line)
    return EXIT_DONE


def _outbox_flush(arguments: argparse.Namespace) -> int:
    from edge.tools import letters

    print(letters.flush(_box(arguments, arguments.mqtt), again=arguments.again), file=sys.stderr)
    return EXIT_DONE


def _outbox_purge(arguments: argparse.Namespace) -> int:
    from edge.tools import letters

    print(letters.purge(_box(arguments), everything=arguments.all), file=sys.stderr)
    return EXIT_DONE


def _outbox_prune(arguments: argparse.Namespace) -> int:
    from edge.tools import prune

    print(prune.pictures(_box(arguments).settings()), file=sys.stderr)
    return EXIT_DONE


def _calibrate(arguments: argparse.Namespace) -> int:
    from edge.tools import calibrate

    job = calibrate.Job(
        photos=arguments.photos,
        board=arguments.board,
        square_mm=arguments.square_mm,
        charuco=arguments.charuco,
        name=arguments.name,
        out=arguments.out,
    )
    print(calibrate.calibrate(job))
    return EXIT_DONE


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


def _config_check(arguments: argparse.Namespace) -> int:
    from edge import settings

    settings.read(arguments.file)
    print(f"{arguments.file}: good", file=sys.stderr)
    return EXIT_DONE


def _config_show(arguments: argparse.Namespace) -> int:
    from edge import settings

    path = arguments.config
    if path is None and not _DEFAULT_CONFIG.exists():
        in_force = settings.from_table({}, f"built-in defaults: there is no {_DEFAULT_CONFIG}")
    else:
        in_force = settings.read(path or _DEFAULT_CONFIG)
    print(settings.effective(in_force), end="")
    return EXIT_DONE
