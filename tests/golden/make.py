"""Make the golden flight anew: ``python tests/golden/make.py``. Look at what it changes before you commit it.

Three rendered frames as JPEG, the track's log, and what ``spanhawk replay`` with the shipped bundle says of them.
"""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import cv2

from edge.cli import main
from edge.frames import synthetic
from edge.rendered.nav import nav_rows, write_nav_csv
from edge.support.clock import ManualClock

HERE = Path(__file__).parent
FPS = 2.0
OPTIONS = synthetic.Options(seed=7, width_px=640, height_px=360, fps=FPS, seconds=4.0, live=False, jpeg_quality=None)
CONFIG = "[scale]\nfocal_length_mm = 8.0\nsensor_width_mm = 3.968\n"


def replay(out: Path) -> int:
    """Fly the golden flight into ``out``."""
    config = out.with_suffix(".toml")
    config.write_text(CONFIG, encoding="utf-8")
    arguments = ["--nav", str(HERE / "nav.csv"), "--fps", str(FPS), "--config", str(config), "--masks"]
    return main(["replay", str(HERE / "frames"), "--out", str(out), *arguments])


def make() -> None:
    """Render, log, replay, and keep the answer."""
    with synthetic.open_camera(OPTIONS, ManualClock(datetime(2026, 6, 1, tzinfo=timezone.utc))) as camera:
        (HERE / "frames").mkdir(exist_ok=True)
        for frame in camera.frames():
            bgr = cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(HERE / "frames" / f"{frame.seq:02d}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])
        write_nav_csv(HERE / "nav.csv", nav_rows(camera.track, 4.0, seed=7))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        assert replay(out) == 0
        shutil.copy(out / "detections.jsonl", HERE / "detections.jsonl")


if __name__ == "__main__":
    make()
