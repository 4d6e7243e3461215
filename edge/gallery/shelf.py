"""Which file has which SHA-256: from the manifests of the flights, and by reading the folder that has no manifest."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from pathlib import Path
from typing import Any

from edge.flights import MANIFEST, PHOTOS

log = logging.getLogger(__name__)

# So much is hashed before somebody who waits is told to come again, bytes.
_AT_ONCE_BYTES = 32 << 20
_LONGEST_LINE = 100_000
_NAME = re.compile(rf"{PHOTOS}/([^/\x00]+\.jpg)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Shelf:
    """Used from several threads; grows as flights do."""

    def __init__(self, flights: Path | None, evidence: Path | None) -> None:
        """``flights`` holds a folder for each flight, ``evidence`` pictures of all of them; None: there is none."""
        self._flights = flights
        self._evidence = evidence
        self._lock = threading.Lock()
        self._files: dict[str, str] = {}
        self._read_to: dict[Path, int] = {}
        self._hashed: set[str] = set()

    def find(self, sha256: str) -> tuple[Path | None, bool]:
        """The file of this picture, and whether that is all there is to say.

        (None, False): it may be among the pictures that are still to be read, ask again; (None, True): it is not here.
        """
        with self._lock:
            path = self._known(sha256)
            if path is not None:
                return path, True
            self._read_manifests()
            all_read = self._hash_more()
            return self._known(sha256), all_read

    def _known(self, sha256: str) -> Path | None:
        found = self._files.get(sha256)
        if found is None:
            return None
        path = Path(found)
        # What was pruned, or was replaced by a link, is not handed out.
        if path.is_file() and not path.is_symlink() and not path.parent.is_symlink():
            return path
        del self._files[sha256]
        return None

    def _read_manifests(self) -> None:
        for manifest in sorted(self._flights.glob(f"*/{MANIFEST}")) if self._flights is not None else ():
            try:
                with manifest.open("rb") as file:
                    file.seek(self._read_to.get(manifest, 0))
                    while (line := file.readline(_LONGEST_LINE)).endswith(b"\n"):
                        self._read_to[manifest] = file.tell()
                        self._note(manifest.parent, line)
            except OSError as error:
                log.warning("%s: cannot be read (%s); its flight's pictures are not served", manifest, error.strerror)

    def _note(self, flight: Path, line: bytes) -> None:
        if b'"kind":"file"' not in line:
            return
        try:
            body: Any = json.loads(line)
            name, sha256 = str(body["file"]), str(body["sha256"])
        except (ValueError, RecursionError, KeyError, TypeError):
            return  # a damaged line is for `spanhawk verify` to tell
        found = _NAME.fullmatch(name)
        if found is not None and _SHA256.fullmatch(sha256):
            self._files[sha256] = str(flight / PHOTOS / found[1])

    def _hash_more(self) -> bool:
        """Hash some pictures that nothing is known of; True when none is left."""
        done_bytes = 0
        for path in sorted(self._evidence.glob("*.jpg")) if self._evidence is not None else ():
            if path.name in self._hashed or path.is_symlink():
                continue
            if done_bytes > _AT_ONCE_BYTES:
                return False
            try:
                data = path.read_bytes()
            except OSError as error:
                log.warning("%s: cannot be read (%s); it is not served", path, error.strerror)
                data = b""
            if data:
                self._files[hashlib.sha256(data).hexdigest()] = str(path)
            self._hashed.add(path.name)
            done_bytes += len(data)
        return True
