"""A Debian 12 with its own systemd as PID 1: made by mmdebstrap once, kept, and booted by systemd-nspawn on a copy.

The network inside is a loopback of its own. Nothing of the host is changed but the cache below /var/cache.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from edge.support.errors import DeviceError

SUITE = "bookworm"
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "procps", "python3", "python3-venv", "ca-certificates",
    "mosquitto", "mosquitto-clients", "faketime", "git", "sudo",
)  # fmt: skip
NotAllowedError = DeviceError  # this machine lacks something: 69, as everywhere
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter")


class FailedError(Exception):
    """A command in the container ended with another code than expected."""


def check_allowed() -> None:
    """Raise NotAllowedError where no container can be made."""
    if os.geteuid() != 0:
        raise NotAllowedError("needs root")
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise NotAllowedError(f"not installed: {', '.join(missing)} (apt install mmdebstrap systemd-container)")
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork",
         "mount", "-t", "tmpfs", "x", "/mnt"],
        capture_output=True, text=True,
    )  # fmt: skip
    if tried.returncode != 0:
        raise NotAllowedError(f"namespaces or mounts are not allowed here ({tried.stderr.strip()})")


class Container:
    """One booted copy of the root; ends with its ``with`` block, and nothing of it is left."""

    def __init__(self, root: Path) -> None:
        self._base = Path(tempfile.mkdtemp(prefix="spanhawk-test-", dir="/var/tmp"))
        self.root = self._base / "root"
        self._pristine = root
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = ""
        self._log = self._base / "console"

    def __enter__(self) -> Container:
        self._copy()
        return self

    def __exit__(self, *_: object) -> None:
        self._halt()
        subprocess.run(["umount", "--lazy", self.root], capture_output=True)
        shutil.rmtree(self._base, ignore_errors=True)

    def boot(self) -> float:
        """Start systemd; returns the seconds until it says "running". Raises NotAllowedError."""
        begun = time.monotonic()
        command = ["systemd-nspawn", "-D", str(self.root), "--boot", "--register=no", "--keep-unit", "--quiet",
                   "--private-network", "--console=pipe", "--settings=no", "--machine=spanhawk-test"]  # fmt: skip
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while time.monotonic() - begun < 60:
            if self._process.poll() is not None:
                raise NotAllowedError(f"systemd-nspawn does not boot: {self._console()}")
            children = subprocess.run(
                ["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True
            ).stdout.split()
            if children:
                self._leader = children[0]
                state = self.try_run("systemctl is-system-running").stdout.strip()
                if state in ("running", "degraded"):
                    return time.monotonic() - begun
            time.sleep(0.1)
        raise NotAllowedError(f"systemd in the container does not come up within a minute: {self._console()}")

    def try_run(self, command: str, timeout_s: float = 180) -> subprocess.CompletedProcess[str]:
        """Run a shell command inside, as root."""
        inside = ["nsenter", "-t", self._leader, "--all", "--", "/usr/bin/env", "-i", f"PATH={_PATH}", "HOME=/root",
                  "LANG=C.UTF-8", "/bin/bash", "-c", command]  # fmt: skip
        return subprocess.run(inside, capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL)

    def run(self, command: str, code: int = 0, timeout_s: float = 180) -> str:
        """What a shell command inside printed. Raises FailedError unless it ends with ``code``."""
        ran = self.try_run(command, timeout_s)
        if ran.returncode != code:
            raise FailedError(
                f"{command!r} ended with {ran.returncode}, not {code}:\n{ran.stdout[-3000:]}{ran.stderr[-3000:]}"
            )
        return ran.stdout

    def show(self, name: str, unit: str = "spanhawk") -> str:
        """A property of a unit."""
        return self.run(f"systemctl show -p {shlex.quote(name)} --value {shlex.quote(unit)}").strip()

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file inside."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        target.chmod(mode)

    def copy(self, source: Path, path: str) -> None:
        """A file or folder of the host to ``path`` inside."""
        target = self.root / path.lstrip("/")
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)

    def journal(self, unit: str = "spanhawk", since: str = "") -> str:
        """What a unit said."""
        self.run("journalctl --sync")
        after = f"--since=@{since}" if since else ""
        return self.run(f"journalctl -u {shlex.quote(unit)} -o cat --no-pager {after}")

    def wait(self, what: str, seen: Callable[[], bool], seconds: float) -> float:
        """Seconds until ``seen``. Raises FailedError naming ``what``."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if seen():
                return time.monotonic() - begun
            time.sleep(0.1)
        raise FailedError(f"within {seconds:.0f} s: {what}\n{self.journal()[-3000:]}")

    def _copy(self) -> None:
        """A copy of the root: an overlay where the host's file system carries one, else a real copy."""
        for folder in ("root", "upper", "work"):
            (self._base / folder).mkdir()
        options = f"lowerdir={self._pristine},upperdir={self._base}/upper,workdir={self._base}/work"
        if subprocess.run(["mount", "-t", "overlay", "x", "-o", options, self.root], capture_output=True).returncode:
            print("no overlay here: copying the root", file=sys.stderr)
            subprocess.run(["cp", "-a", f"{self._pristine}/.", self.root], check=True)

    def _halt(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)

    def _console(self) -> str:
        return " ".join(self._log.read_text(errors="replace").split()[-40:]) if self._log.exists() else "no console"
