"""The latency benchmark from a checkout: ``spanhawk benchmark`` by another door, with the plot of what it wrote.

python benchmarks/latency.py --json out/latency.json --plot out/latency.png
python benchmarks/latency.py --bundle models/bundles/fast-unet --backend litert --threads 1 --check
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(words: list[str]) -> int:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from edge import cli

    plot = _taken(words, "--plot")
    if plot is not None and "--json" not in words:
        words += ["--json", str(Path(plot).with_suffix(".json"))]
    code = cli.main(["benchmark", *words])
    if plot is not None and code in (0, 1):
        from benchmarks.plots import latency

        latency(Path(words[words.index("--json") + 1]), Path(plot))
    return code


def _taken(words: list[str], option: str) -> str | None:
    """Take an option of this door's own, and its value, out of the words meant for ``spanhawk benchmark``."""
    if option not in words:
        return None
    at = words.index(option)
    if at + 1 == len(words):
        sys.exit(f"{option} needs the name of a picture, as {option} latency.png")
    value = words[at + 1]
    del words[at : at + 2]
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
