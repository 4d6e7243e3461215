"""The SQLite outbox with stamps on each letter: ready, on the disk, on its way, and the broker's word for it read.

Configuration ``[outbox] backend = "edge.tools.benchmark.stamped"``: the daemon's exposure-to-ground benchmark.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from edge.outbox import Letter, Outbox, sqlite
from edge.support.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where things are written."""

    path: Path
    """The outbox itself."""
    log: Path
    """Where the stamps are written when it is closed, JSON."""


def open_outbox(options: Options, clock: Clock) -> Outbox:
    """Open the SQLite outbox and watch it."""
    inner = sqlite.open_outbox(sqlite.Options(path=options.path, min_free_bytes=0), clock)
    stamped: Any = Stamped(inner, options, clock)  # passes on whatever it does not watch, which no checker sees
    return cast(Outbox, stamped)


class Stamped:
    """Everything but ``put``, ``take`` and ``done`` is the inner outbox's."""

    def __init__(self, inner: Outbox, options: Options, clock: Clock) -> None:
        self._inner = inner
        self._options = options
        self._clock = clock
        self._stamps: dict[str, dict[str, int]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def put(self, letters: Sequence[Letter]) -> None:
        """As the inner outbox; note the frame of each letter, and the time before and after."""
        ready_ns = self._clock.monotonic_ns()
        self._inner.put(letters)
        now_ns = self._clock.monotonic_ns()
        for letter in letters:
            frame_seq = json.loads(letter.payload)["properties"].get("frame_seq")
            if frame_seq is None:
                continue  # a crack of many frames has no exposure of its own
            self._stamps[letter.id] = {"frame_seq": frame_seq, "ready_ns": ready_ns, "stored_ns": now_ns}

    def take(self, count: int) -> list[Letter]:
        """As the inner outbox; then note the time: these go to the broker now."""
        letters = self._inner.take(count)
        now_ns = self._clock.monotonic_ns()
        for letter in letters:
            if letter.id in self._stamps:
                self._stamps[letter.id]["taken_ns"] = now_ns
        return letters

    def done(self, ids: Sequence[str], *, handed_over: bool = False) -> int:
        """The broker's word has been read: note the time, then as the inner outbox."""
        now_ns = self._clock.monotonic_ns()
        for id in ids:
            if id in self._stamps:
                self._stamps[id]["acknowledged_ns"] = now_ns
        return self._inner.done(ids, handed_over=handed_over)

    def __enter__(self) -> Stamped:
        self._inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inner.__exit__(kind, error, trace)
        self._options.log.write_text(json.dumps(self._stamps), encoding="utf-8")
