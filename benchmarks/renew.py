"""This board's results measured anew and published: benchmarks/results/BOARD and every table that is made from it.

Latency, roofline and exposure to PUBACK; side by side; the whole loop; large stills. Under ten minutes on two slow
cores that do nothing else; the first time some minutes more, while the networks to compare with are built. Needs
mosquitto and the extras workstation and bench. A step that fails is named, the others go on, and what was measured
until then is published; the exit status is 1 then.

    python benchmarks/renew.py
    python benchmarks/renew.py --runs 20 --rounds 1 --passes 1 --seconds 5 --trial    # does it work: some minutes
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import tables  # noqa: E402

TOLD_EVERY_S = 20.0
SETTLING_S = 90.0


def main() -> int:
    """Measure step by step and publish; returns the exit status."""
    arguments = _arguments()
    steps = _steps(arguments)
    arguments.out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    failed: list[str] = []
    for number, (name, words) in enumerate(steps.items(), 1):
        for old in (arguments.out / f"{name}.json", arguments.out / f"{name}.png"):
            old.unlink(missing_ok=True)  # of an earlier run: it must not pass for this one's
        _settle()
        print(f"[{number} of {len(steps)}] {name}: {' '.join(words)}", flush=True)
        why = _run(name, words, arguments.limit)
        if why is None and not (arguments.out / f"{name}.json").is_file():
            why = "wrote no result"
        if why is not None:
            failed.append(f"{name} {why}")
            print(f"{failed[-1]} (see above); the other steps go on\n", file=sys.stderr, flush=True)
    if not arguments.trial and any(arguments.out.glob("*.json")):
        tables.publish(arguments.out)
    done = [name for name in steps if (arguments.out / f"{name}.json").is_file()]
    where = f"in {arguments.out} alone, not published" if arguments.trial else "published"
    print(f"{', '.join(done) or 'nothing'}: {where}, after {time.monotonic() - begun:.0f} s", flush=True)
    if failed:
        print(f"failed: {'; '.join(failed)}; what a failed step did not measure stays as it was", file=sys.stderr)
    return 1 if failed else 0


def _settle() -> None:
    """Wait until the load is no more than the cores: what ran just before, ourselves included, still counts in it."""
    cores, until = len(os.sched_getaffinity(0)), time.monotonic() + SETTLING_S
    while (load := os.getloadavg()[0]) > cores:
        left = until - time.monotonic()
        if left <= 0:
            print(f"the load is still {load:.1f} on {cores} cores: the tables will say so", flush=True)
            return
        print(f"waiting for the load to fall, {load:.1f} on {cores} cores", flush=True)
        time.sleep(min(TOLD_EVERY_S, left))


def _run(name: str, words: list[str], limit_s: float) -> str | None:
    """Run a step, telling that it still runs; None when it did its work, else how it ended."""
    begun = time.monotonic()
    step = subprocess.Popen([sys.executable, *words], cwd=ROOT, start_new_session=True)
    try:
        while True:
            try:
                code = step.wait(TOLD_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                took_s = time.monotonic() - begun
                if took_s > limit_s:
                    return f"was ended after {took_s:.0f} s (--limit)"
                print(f"    {name}: {took_s:.0f} s", flush=True)
    finally:
        with contextlib.suppress(ProcessLookupError):  # with what it started: brokers, daemons
            os.killpg(step.pid, signal.SIGKILL)
        step.wait()
    print(f"{name}: {time.monotonic() - begun:.0f} s\n", flush=True)
    return None if code == 0 else f"ended with {code}"


def _steps(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """Each step's name, which its results have too, and its command."""
    out: Path = arguments.out
    large = str(min(3, arguments.rounds))
    cache = [] if arguments.cache is None else ["--cache", str(arguments.cache.resolve())]
    flying = ["--end-to-end", str(arguments.seconds), "--fps", f"{arguments.fps:g}"]
    return {
        "latency": ["benchmarks/latency.py", "--runs", str(arguments.runs), "--roofline", "--cross-check", *flying,
                    "--json", str(out / "latency.json"), "--plot", str(out / "latency.png")],
        "compare": ["benchmarks/compare.py", "--rounds", str(arguments.rounds), "--passes", str(arguments.passes),
                    *cache, "--json", str(out / "compare.json"), "--plot", str(out / "compare.png")],
        "loop": ["benchmarks/loop.py", "--rounds", str(arguments.rounds), "--json", str(out / "loop.json")],
        "stills": ["benchmarks/stills.py", "--rounds", large, "--json", str(out / "stills.json")],
    }  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help="of each row of latency (%(default)s)")
    parser.add_argument("--rounds", type=int, default=8, help="of the comparison's passes and the loop (%(default)s)")
    parser.add_argument("--passes", type=int, default=3, help="of the comparison (%(default)s)")
    parser.add_argument("--seconds", type=int, default=20, help="of the flight to the broker (%(default)s)")
    parser.add_argument("--fps", type=float, default=10.0, help="of that flight (%(default)s)")
    parser.add_argument("--limit", type=float, default=1200.0, help="seconds that a step may take (%(default)g)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "out" / "renew", metavar="DIR", help="default: out/renew in the checkout"
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="built networks, see compare.py")
    parser.add_argument("--trial", action="store_true", help="publish nothing")
    arguments = parser.parse_args()
    least = {"runs": 20, "rounds": 1, "passes": 1, "seconds": 5, "fps": 0.1}
    if any(getattr(arguments, name) < bound for name, bound in least.items()):
        parser.error("--runs is 20 or more, --seconds 5, --rounds and --passes 1, --fps 0.1")
    arguments.out = arguments.out.resolve()
    return arguments


if __name__ == "__main__":
    sys.exit(main())
