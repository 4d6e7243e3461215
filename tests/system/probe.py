"""Run within the daemon's walls: tries what must not be possible, and what must; prints one JSON object.

Every name ends as "denied" or "possible"; the test compares with what is expected.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

_SCRIPT = "#!/bin/sh\nexit 0\n"
_CLONE_NEWUSER, _CLONE_NEWNS = 0x10000000, 0x00020000
_PROT_WRITE_EXEC, _MAP_PRIVATE_ANONYMOUS = 0x7, 0x22


def _write(folder: str) -> None:
    path = Path(folder) / ".probe"
    path.write_text("x")
    path.unlink()


def _execute(folder: str) -> None:
    path = Path(folder) / ".probe.sh"
    path.write_text(_SCRIPT)
    path.chmod(0o755)
    try:
        subprocess.run([str(path)], check=True)
    finally:
        path.unlink()


def _libc(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def _executable_memory() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    if libc.mmap(None, 4096, _PROT_WRITE_EXEC, _MAP_PRIVATE_ANONYMOUS, -1, 0) in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap")


def _packet_socket() -> None:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


TRIES: dict[str, Callable[[], object]] = {
    **{f"write {folder}": (lambda folder=folder: _write(folder)) for folder in (
        "/etc", "/etc/spanhawk", "/usr/lib", "/opt/spanhawk", "/opt/spanhawk/current/venv/bin", "/var", "/var/lib",
        "/var/lib/other", "/var/log", "/home/pilot", "/root", "/boot", "/srv", "/sys/kernel", "/proc/sys/kernel",
        "/var/lib/spanhawk", "/var/cache/spanhawk", "/run/spanhawk", "/tmp",
    )},
    **{f"execute in {folder}": (lambda folder=folder: _execute(folder)) for folder in (
        "/tmp", "/var/tmp", "/dev/shm", "/var/lib/spanhawk", "/var/cache/spanhawk", "/run/spanhawk",
    )},
    **{f"read {path}": (lambda path=path: Path(path).read_bytes()) for path in (
        "/home/pilot/secret", "/root/secret", "/etc/shadow", "/etc/spanhawk/credentials/mqtt-password",
        "/var/lib/other/secret", "/proc/1/environ", "/proc/cpuinfo", "/etc/spanhawk/spanhawk.toml",
    )},
    "read own credential": lambda: (Path(os.environ["CREDENTIALS_DIRECTORY"]) / "spanhawk_mqtt-password").read_bytes(),
    "open /dev/kmsg": lambda: os.close(os.open("/dev/kmsg", os.O_RDONLY)),
    "become root": lambda: os.setuid(0),
    "mount": lambda: _libc("mount", b"x", b"/tmp", b"tmpfs", 0, None),
    "new namespaces": lambda: _libc("unshare", _CLONE_NEWUSER | _CLONE_NEWNS),
    "set the clock": lambda: _libc("settimeofday", ctypes.create_string_buffer(16), None),
    "trace a process": lambda: _libc("ptrace", 0, 0, None, None),
    "raise priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, -10),
    "packet socket": _packet_socket,
    "executable writable memory": _executable_memory,
}  # fmt: skip


def main() -> None:
    """Try everything."""
    found = {}
    for name, attempt in TRIES.items():
        try:
            attempt()
        except (OSError, subprocess.SubprocessError, KeyError):
            found[name] = "denied"
        else:
            found[name] = "possible"
    print(json.dumps(found))


if __name__ == "__main__":
    main()
