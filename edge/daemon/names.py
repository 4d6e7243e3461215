"""Crack names over a restart: beside the outbox stands what the next run needs to go on with the same cracks.

A run goes on with an earlier one's cracks where both ran since the same boot of the computer, for the same vehicle, and
the earlier one wrote at most GAP_S ago: a daemon that failed and that systemd started again, an upgrade between two
batteries of a running computer. Detections are numbered anew under a flight id of their own, so that no id is given
twice; cracks keep the flight id under which they were named.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from edge.support.clock import Clock
from edge.support.complaints import Complaints
from edge.support.disk import write_whole
from edge.support.errors import TryAgainError
from edge.surface import resume
from edge.surface.inventory import Inventory

log = logging.getLogger(__name__)

GAP_S = 600.0
"""A run that begins later is another flight."""
SAVE_S = 10.0
"""So often what is known is written down while frames come."""
MAX_BYTES = 64 << 20
"""A file that is larger is none of ours and is not read."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """What an earlier run of this flight left."""

    inventory: Inventory
    flight_id: str
    """Under which its cracks are named."""


class Names:
    """Writes and reads the file; used by one thread. What is written now and then is written by another: the disk may
    take longer for it than there is between two frames."""

    def __init__(self, path: Path | None, vehicle: str, clock: Clock, boot_id: str | None = None) -> None:
        """``path`` None: nothing is kept, as with an outbox in memory; ``boot_id`` None: this computer's."""
        self._path, self._vehicle, self._clock = path, vehicle, clock
        self._boot_id = _this_boot() if boot_id is None else boot_id
        self._saved_ns: int | None = None
        self._writing: threading.Thread | None = None
        self._complaints = Complaints(log, clock)

    def read(self) -> Earlier | None:
        """What the earlier run of this flight left; None, and a word in the log, where this is a new flight."""
        self._settle()
        if self._path is None or not self._path.exists():
            return None
        try:
            if self._path.stat().st_size > MAX_BYTES:
                raise ValueError(f"it has more than {MAX_BYTES} bytes")
            line, _, body = self._path.read_bytes().partition(b"\n")
            head = json.loads(line)
            if hashlib.sha256(body).hexdigest() != head["sha256"]:
                raise ValueError("its checksum is wrong")
            since_s = (self._clock.monotonic_ns() - int(head["saved_ns"])) / 1e9
            if head["boot_id"] != self._boot_id or head["vehicle"] != self._vehicle or not 0 <= since_s <= GAP_S:
                return None
            earlier = Earlier(resume.from_bytes(body), str(head["flight_id"]))
        except (OSError, ValueError, KeyError, TypeError, TryAgainError) as error:
            log.warning("%s: crack names begin anew: %s", self._path, error)
            return None
        log.info("going on with the %d cracks of %s", len(earlier.inventory.all()), earlier.flight_id)
        return earlier

    def save(self, inventory: Inventory, flight_id: str, *, now: bool = False) -> None:
        """Write down what is known where it is time to, or ``now``; a disk that takes nothing ends no flight."""
        at_ns = self._clock.monotonic_ns()
        due = self._saved_ns is None or at_ns - self._saved_ns >= SAVE_S * 1e9
        if self._path is None or not (now or due):
            return
        if now:
            self._settle()
        elif self._writing is not None and self._writing.is_alive():
            return  # a disk that is still at the last one
        self._saved_ns = at_ns
        body = resume.to_bytes(inventory)
        head = {
            "boot_id": self._boot_id,
            "vehicle": self._vehicle,
            "flight_id": flight_id,
            "saved_ns": at_ns,
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        content = json.dumps(head).encode() + b"\n" + body
        if now:
            self._write(self._path, content)
            return
        self._writing = threading.Thread(target=self._write, args=(self._path, content), name="names", daemon=True)
        self._writing.start()

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write_whole(path, content)
        except OSError as error:
            self._complaints.warn("names", f"{path}: crack names are not kept ({error.strerror or error})")

    def _settle(self) -> None:
        """Wait until what is being written is written."""
        if self._writing is not None:
            self._writing.join()
            self._writing = None


def _this_boot() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:  # not Linux: its monotonic clock alone tells whether it was started anew
        return ""
