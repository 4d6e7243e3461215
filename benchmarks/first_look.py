"""How soon the live page is of use in a phone-size window: 500 cracks, headless Chromium on the same machine.

    python benchmarks/first_look.py [--times 7] [--json out/first_look.json] [--pictures out/]

From the call of the page's address until its list has cracks and its map has their lines (two frames drawn after that).
The cache is empty each time. The CPU time of browser and ground together is no less than what the clock would say on a
machine that does nothing else, but for waiting. A store of its own is made in a temporary folder.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import aiohttp  # noqa: E402

from edge.ground.serve import collector_of, site_of  # noqa: E402
from edge.ground.settings import read  # noqa: E402
from edge.ground.stores import open_store  # noqa: E402
from edge.support.clock import SystemClock  # noqa: E402
from tests.ground.browser import Tab  # noqa: E402
from tests.ground.test_store import batch_of  # noqa: E402
from tests.ground.web.test_site import fleet_of_cracks  # noqa: E402

# Tests are not typed.
_batch_of: Any = batch_of
_fleet_of_cracks: Any = fleet_of_cracks
_Tab: Any = Tab
WINDOWS = {"phone": (390, 844, True), "desktop": (1440, 900, False)}
_READY = """new Promise((done) => {
  (function look() {
    const list = document.querySelectorAll('#list li').length, map = document.querySelector('#plan canvas');
    if (list > 0 && map) requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
    else setTimeout(look, 5);
  })();
})"""


@contextmanager
def chromium(folder: Path) -> Iterator[str]:
    """The address of a headless browser."""
    program = shutil.which("chromium")
    if program is None:
        raise RuntimeError("Chromium is not installed (apt install chromium)")
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0")
    process = subprocess.Popen(
        [program, *options, f"--user-data-dir={folder / 'profile'}", "about:blank"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        yield next(line.split()[-1] for line in process.stderr if "DevTools listening on " in line)
    finally:
        process.kill()
        process.communicate()


async def look(browser: str, url: str, times: int, pictures: Path | None) -> tuple[list[float], list[float]]:
    """Milliseconds of each look, and of CPU time of browser and ground together; pictures are taken after the last."""
    found: list[float] = []
    cpu: list[float] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(browser, max_msg_size=0) as socket:
        tab = _Tab(socket)
        await tab.attach()
        await tab.call("Network.enable")
        await tab.call("Network.setCacheDisabled", cacheDisabled=True)
        await _window(tab, "phone")
        for _ in range(times):
            await tab.call("Page.navigate", url="about:blank")
            before_s = _cpu_s(os.getpid())
            await tab.call("Page.navigate", url=url)
            told = await tab.call("Runtime.evaluate", expression=_READY, awaitPromise=True, returnByValue=True)
            found.append(round(told["result"]["value"], 1))
            cpu.append(round((_cpu_s(os.getpid()) - before_s) * 1000))
        for name in WINDOWS if pictures is not None else ():
            await _window(tab, name)
            for theme in ("light", "dark"):
                await tab.call(
                    "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}]
                )
                await tab.call("Page.navigate", url=url)
                await tab.call("Runtime.evaluate", expression=_READY, awaitPromise=True)
                shot = await tab.call("Page.captureScreenshot")
                assert pictures is not None
                (pictures / f"{name}-{theme}.png").write_bytes(base64.b64decode(shot["data"]))
    return found, cpu


def _cpu_s(root: int) -> float:
    """CPU time so far of a process and all that descend from it, seconds (proc(5))."""
    parents, ticks = {}, {}
    for one in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = one.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has ended meanwhile
            continue
        pid = int(one.parent.name)
        parents[pid], ticks[pid] = int(fields[1]), sum(map(int, fields[11:13]))
    ours = {root}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(ticks.get(pid, 0) for pid in ours) / os.sysconf("SC_CLK_TCK")


async def _window(tab: Any, name: str) -> None:
    width, height, mobile = WINDOWS[name]
    scale = 2 if mobile else 1
    size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile}
    await tab.call("Emulation.setDeviceMetricsOverride", **size)


def measure(folder: Path, times: int, pictures: Path | None) -> dict[str, Any]:
    """A store, a site, a browser."""
    url, clock = str(folder / "ground.db"), SystemClock()
    settings = read(None, store=url, http="127.0.0.1:0")
    with open_store(url, clock) as store:
        store.add(_batch_of(*_fleet_of_cracks()))
        with site_of(settings.ground, store, collector_of(settings, store, clock), clock) as site:
            with chromium(folder) as browser:
                looks, cpu = asyncio.run(look(browser, site.url, times, pictures))
            raw = subprocess.run(["curl", "-s", f"{site.url}live/cracks"], capture_output=True, check=True).stdout
    return {
        "json_bytes": len(raw),
        "median_ms": sorted(looks)[len(looks) // 2],
        "median_cpu_ms": sorted(cpu)[len(cpu) // 2],
        "looks_ms": looks,
        "cpu_ms": cpu,
    }


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--pictures", type=Path, help="where screenshots go")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.pictures is not None:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        found = measure(Path(name), arguments.times, arguments.pictures)
    print(found)
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
