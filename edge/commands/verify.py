"""``spanhawk verify``: was anything in a flight folder changed, added or lost?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.commands.common import Commands
from edge.support.errors import EXIT_CONFIG, EXIT_DONE, EXIT_TRY_AGAIN

_EXIT_CHANGED = 1
_KEYS = Path("/etc/spanhawk/keys")


def add(commands: Commands) -> None:
    """The parser of ``verify`` among those of the other commands."""
    verb = commands.add_parser(
        "verify",
        help="was anything in a flight folder changed, added or lost?",
        description="Compares every file of a flight with the chain of SHA-256 in its manifest.jsonl, and that with "
        "its signature.",
        examples=["spanhawk verify FLIGHT", "spanhawk verify FLIGHT --signed --keys keys/"],
        epilog="exit codes: 0 nothing was changed; 1 something was, each file is named; 2 it cannot be "
        "read, or is no flight; 75 the flight is not sealed "
        "yet; 78 it is signed by a key that this machine does not know",
    )
    verb.add_argument("flight", type=Path, metavar="FLIGHT", help="the folder of a flight, a replay or the demo")
    verb.add_argument(
        "--keys", type=Path, default=_KEYS, metavar="DIR", help="minisign public keys to believe, *.pub (%(default)s)"
    )
    verb.add_argument("--signed", action="store_true", help="a flight without a signature of a known key is not intact")
    verb.set_defaults(verb=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    from edge.flights.verify import verify

    verdict = verify(arguments.flight, arguments.keys)
    state = verdict.state
    for problem in verdict.problems:
        print(str(problem).encode("utf-8", "backslashreplace").decode())
    if verdict.problems:
        things = "1 thing was" if len(verdict.problems) == 1 else f"{len(verdict.problems)} things were"
        _say(f"{arguments.flight}: {things} changed, added or lost")
        return _EXIT_CHANGED
    if not state.sealed:
        _say(
            f"{arguments.flight}: intact as far as its manifest goes, but not sealed: the flight still goes on, was "
            "interrupted, or the end of the manifest was cut off; the drone seals it at its next start"
        )
        return EXIT_TRY_AGAIN
    begun = f" (it was begun under key {state.begun_key})" if state.begun_key != state.key else ""
    if verdict.unknown_key is not None:
        _say(
            f"{arguments.flight}: nothing differs from its manifest, but that is signed by key {verdict.unknown_key}"
            f"{begun}, which is not in {arguments.keys}: copy its public key there, or name its folder with --keys"
        )
        return EXIT_CONFIG
    if arguments.signed and verdict.signed_by is None:
        _say(f"{arguments.flight}: nothing differs from its manifest, but nobody signed that")
        return _EXIT_CHANGED
    files = len((state.files.keys() | state.segments.keys()) - state.absent)
    by = f"signed by key {verdict.signed_by}" if verdict.signed_by else "not signed: this shows accidents, no intent"
    late = f"; sealed after an interruption, {len(set(state.late))} files in part" if state.interrupted else ""
    never = f"; never came into place: {', '.join(sorted(state.absent))}" if state.absent else ""
    print(f"{arguments.flight}: {files} files, nothing was changed, added or lost; {by}{begun}{late}{never}")
    return EXIT_DONE


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
