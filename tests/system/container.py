"""A Debian 12 with its own systemd as PID 1: made by mmdebstrap once, kept, and booted by systemd-nspawn on a copy.

The network inside is a loopback of its own. Nothing of the host is changed but the cache below /var/cache.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CACHE = Path(os.environ.get("SPANHAWK_ROOTS", "/var/cache/spanhawk-test"))
SUITE = "bookworm"
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "procps", "python3", "python3-venv", "ca-certificates",
    "mosquitto", "mosquitto-clients", "faketime", "git", "sudo",
)  # fmt: skip
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TOOLS = ("mmdebstrap", "systemd-nspawn", "nsenter")


class NotAllowedError(Exception):
    """This machine cannot run a container with its own systemd; the message says why."""


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


def debian_root(
    say: Callable[[str], None], suite: str = SUITE, packages: tuple[str, ...] = PACKAGES, processor: str = ""
) -> Path:
    """The pristine root, made where it is not in the cache. Raises NotAllowedError when it cannot be made.

    ``processor``: Debian's name of it; empty: this machine's. Another one takes qemu-user-static and binfmt-support.
    """
    name = hashlib.sha256(" ".join((suite, *packages)).encode()).hexdigest()[:12]
    folder = CACHE / "-".join(filter(None, (suite, processor, name)))
    words = ("--mode=root", f"--architectures={processor}") if processor else ()
    return _made(say, folder, suite, packages, ("--variant=minbase", *words))


def extracted_root(say: Callable[[str], None], suite: str, packages: tuple[str, ...], processor: str = "") -> Path:
    """The files of packages, none of which is set up: also for another processor, in half a minute.

    Raises NotAllowedError when it cannot be made. ``processor``: Debian's name of it; empty: this machine's.
    """
    name = hashlib.sha256(" ".join((suite, processor, *packages)).encode()).hexdigest()[:12]
    words = ("--variant=extract", *((f"--architectures={processor}",) if processor else ()))
    return _made(say, CACHE / f"{suite}-{processor or 'native'}-{name}", suite, packages, words)


def _made(
    say: Callable[[str], None], root: Path, suite: str, packages: tuple[str, ...], words: tuple[str, ...]
) -> Path:
    if root.is_dir():
        return root
    say(f"making a Debian {suite} root in {root} (once; up to three minutes)")
    CACHE.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=CACHE))
    try:
        made = subprocess.run(
            ["mmdebstrap", *words, f"--include={','.join(packages)}", *_apt_options(), suite, str(part), mirror()],
            capture_output=True, text=True,
        )  # fmt: skip
        if made.returncode != 0:
            raise NotAllowedError(f"mmdebstrap cannot make a root: {' '.join(made.stderr.split()[-40:])}")
        part.rename(root)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return root


def mirror() -> str:
    """Debian's mirror as this host names it, or Debian's own."""
    for path in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")):
        for word in path.read_text(encoding="utf-8", errors="replace").split() if path.is_file() else ():
            if word.startswith("http") and word.rstrip("/").endswith("/debian"):
                return word
    return "http://deb.debian.org/debian"


def _apt_options() -> list[str]:
    """The host's own words to apt (proxies and the like), for the time of the making only."""
    dumped = subprocess.run(["apt-config", "dump", "--format", "%f=%v%n"], capture_output=True, text=True).stdout
    wanted = ("Acquire::http::", "Acquire::https::", "Acquire::Check-")
    lines = [line.partition("=") for line in dumped.splitlines() if line.startswith(wanted) and not line.endswith("=")]
    return [f'--aptopt={name} "{value}"' for name, _, value in lines]


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
