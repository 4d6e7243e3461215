"""One writer per outbox file: a second daemon would send everything twice."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from edge.support.errors import ConfigError

# Fixed width: overwriting in place needs no new block, so it works on a full disk.
_PID_BYTES = 16


class InUseError(ConfigError):
    """Another process has the outbox."""


class Lock:
    """An advisory lock (flock) beside the outbox; the kernel lifts it when its process dies, however it dies."""

    def __init__(self, path: Path, guarded: Path) -> None:
        """Take the lock for ``guarded``; raises InUseError naming the process that holds it."""
        self._path = path
        self.is_new = not path.exists()
        """True when this process made the lock file: nothing here was ever used as an outbox before."""
        self._descriptor = self._open(guarded)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, _PID_BYTES, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise InUseError(
                f"{guarded} is in use by process {holder}: stop that one first (systemctl stop spanhawk), "
                "or give this one another outbox.path"
            ) from error
        with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, only nameless
            os.pwrite(self._descriptor, f"{os.getpid():<{_PID_BYTES - 1}}\n".encode("ascii"), 0)

    def _open(self, guarded: Path) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(
                f"{guarded}: the outbox cannot be written there ({error.strerror}); give the folder to the user "
                "spanhawk runs as, remount it writable, or point outbox.path elsewhere"
            ) from error

    def release(self, *, forget: bool = False) -> None:
        """Let the next one in; ``forget`` removes the lock file too."""
        if forget:
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
