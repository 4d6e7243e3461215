"""The demo: a rendered bridge through the real pipeline, its own broker, and a picture of what was found."""

from __future__ import annotations

from pathlib import Path


def run(out: Path, seconds: float) -> str:
    """Fly ``seconds`` of a rendered bridge and write ``out``; returns the report to print. Raises SpanhawkError.

    ``out`` gets what a replay leaves, mosaic.png, summary.json (with the score against the truth), nav.csv, bridge.png,
    frames.jpg and the outbox.
    """
    from edge.tools.demo.flight import Job, fly_demo

    return fly_demo(Job(out=out, seconds=seconds))
