"""This board's results measured anew and published: benchmarks/results/BOARD and every table that is made from it.

Latency, roofline and exposure to PUBACK; side by side; the whole loop; large stills. Under ten minutes on two slow
cores that do nothing else; the first time some minutes more, while the networks to compare with are built. Needs
mosquitto and the extras workstation and bench.

    python benchmarks/renew.py
    python benchmarks/renew.py --runs 20 --rounds 1 --seconds 5 --out out/trial     # does it work: two minutes
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    arguments = _arguments()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    for name, words in _commands(arguments).items():
        begun = time.monotonic()
        print(f"{name}: {' '.join(words)}", flush=True)
        done = subprocess.run([sys.executable, *words], cwd=ROOT, check=False)
        if done.returncode != 0:
            sys.exit(f"{name} ended with {done.returncode} (see above); nothing is published, mend that and repeat")
        print(f"{name}: {time.monotonic() - begun:.0f} s\n", flush=True)
    if arguments.trial:
        print(f"not published; the results are in {out}")
        return 0
    sys.path.insert(0, str(ROOT))
    from benchmarks import tables

    tables.publish(out)
    return 0


def _commands(arguments: argparse.Namespace) -> dict[str, list[str]]:
    out: Path = arguments.out
    large = str(min(3, arguments.rounds))
    cache = [] if arguments.cache is None else ["--cache", str(arguments.cache)]
    flying = ["--end-to-end", str(arguments.seconds), "--fps", f"{arguments.fps:g}"]
    return {
        "latency": ["benchmarks/latency.py", "--runs", str(arguments.runs), "--roofline", "--cross-check", *flying,
                    "--json", str(out / "latency.json"), "--plot", str(out / "latency.png")],
        "compare": ["benchmarks/compare.py", "--rounds", str(arguments.rounds), *cache,
                    "--json", str(out / "compare.json"), "--plot", str(out / "compare.png")],
        "loop": ["benchmarks/loop.py", "--rounds", str(arguments.rounds), "--json", str(out / "loop.json")],
        "stills": ["benchmarks/stills.py", "--rounds", large, "--json", str(out / "stills.json")],
    }  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help="of each row of latency (%(default)s)")
    parser.add_argument("--rounds", type=int, default=8, help="of the comparison's passes and the loop (%(default)s)")
    parser.add_argument("--seconds", type=int, default=20, help="of the flight to the broker (%(default)s)")
    parser.add_argument("--fps", type=float, default=10.0, help="of that flight (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "out", metavar="DIR", help="default: out in the checkout")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="built networks, see compare.py")
    parser.add_argument("--trial", action="store_true", help="publish nothing")
    arguments = parser.parse_args()
    arguments.out = arguments.out.resolve()
    return arguments


if __name__ == "__main__":
    sys.exit(main())
