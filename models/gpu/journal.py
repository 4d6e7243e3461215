"""The log of a run, `log.jsonl`: what was done when, and how much the saved weights had learned."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from models import DataError

log = logging.getLogger(__name__)


class Journal:
    """One JSON object a line, with the seconds since the start."""

    def __init__(self, path: Path, begun: float) -> None:
        """Begin the log; `begun` is the start of the run on the clock of `time.monotonic`.

        Raises DataError where there is one of a run that made steps: its weights lie beside it, and this run's would
        replace some of them.
        """
        if path.exists() and any("step" in line for line in read_journal(path)):
            raise DataError(f"{path.parent} holds the log and the weights of another run; give this one its own --out.")
        path.write_text("", encoding="utf-8")
        self._path, self._begun = path, begun

    def seconds(self) -> float:
        """Since the start of the run."""
        return time.monotonic() - self._begun

    def write(self, **facts: Any) -> None:
        """Add one line, on disk at once."""
        line = json.dumps({"seconds": round(self.seconds(), 1), **facts})
        log.info("%s", line)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Read a log. Raises DataError where it cannot be read."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}, the run's log, cannot be read; copy it again.") from error
    if not all(isinstance(line, dict) for line in lines):
        raise DataError(f"{path} is no run's log; copy it again.")
    return lines


def learned(path: Path, half: str) -> list[dict[str, Any]]:
    """The lines of the log in `path` on what the weights of `half` ("seen" or "all") had learned when they were saved.

    One line for each half up to this one, with `step`, `crops` and `seconds`; its `event` is "trained", or "saved"
    where the run was cut short. Raises DataError where the log speaks of no such weights.
    """
    last = {line["half"]: line for line in read_journal(path) if line.get("event") in ("saved", "trained")}
    if half not in last:
        raise DataError(f"{path} says nothing of weights of the half {half!r}; copy the log of the run that made them.")
    return [last[one] for one in ("seen", "all")[: 1 + ("seen", "all").index(half)] if one in last]
