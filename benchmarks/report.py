"""How long a report takes and how large it is: ``python benchmarks/report.py [--frames 10000] [--cracks 500]``.

A made flight with one photo of 12 megapixels a crack; with chromium installed also the time until the page is loaded.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from edge.ground import report
from edge.ground.report.source import FlightOnDisk
from tests.ground.report import made

_LOADED = """<script>addEventListener("load", () => { document.body.offsetHeight;
document.title = "ms " + performance.now(); })</script>"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--cracks", type=int, default=500)
    parser.add_argument("--size", default="4056x3040", metavar="WxH")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    width, height = (int(number) for number in arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as scratch:
        flight = made.write(
            Path(scratch) / "flight", arguments.cracks, frames=arguments.frames, size=(width, height), views=20
        )
        out = Path(scratch) / "report"
        start, start_cpu = time.perf_counter(), time.process_time()
        report.write(report.Job(source=FlightOnDisk(flight), out=out))
        found = {
            "frames": arguments.frames,
            "cracks": arguments.cracks,
            "report_s": round(time.perf_counter() - start, 1),
            "report_cpu_s": round(time.process_time() - start_cpu, 1),
            "html_mb": round((out / "index.html").stat().st_size / 1e6, 1),
            "largest_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
            "detections_mb": round((flight / "detections.jsonl").stat().st_size / 1e6, 1),
            "loaded_ms": _loaded_ms(out / "index.html", Path(scratch)),
        }
    print(json.dumps(found, indent=2))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")


def _loaded_ms(page: Path, scratch: Path) -> float | None:
    """Milliseconds until Chromium has loaded the page and laid it out; None without chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return None
    # A copy that tells the time: the page's own policy lets no other script run.
    text = page.read_text(encoding="utf-8")
    head, _, rest = text.partition('<meta http-equiv="Content-Security-Policy"')
    timed = page.with_name("timed.html")
    timed.write_text(head + _LOADED + rest.partition(">")[2], encoding="utf-8")
    done = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={scratch / 'chromium'}",
         "--dump-dom", timed.as_uri()],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    title = done.stdout.partition("<title>")[2].partition("</title>")[0]
    return round(float(title.removeprefix("ms ")), 1) if title.startswith("ms ") else None


if __name__ == "__main__":
    main()
