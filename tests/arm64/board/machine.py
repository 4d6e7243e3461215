"""An emulated arm64 board, the whole machine: processor, disk, serial console, watchdog, and SSH from this host alone.

QEMU without KVM, so all times are the emulator's. The guest reaches no network: SSH comes in through one port of the
loopback, nothing goes out. Its disk has a cache that a cut of the power empties (cutdisk.py).
"""

from __future__ import annotations

import shlex
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.system.container import FailedError, NotAllowedError

USER = "inspector"
TOOLS = {
    "qemu-system-aarch64": "qemu-system-arm", "nbdkit": "nbdkit", "ssh": "openssh-client",
    "ssh-keygen": "openssh-client", "mkfs.vfat": "dosfstools", "mkfs.ext4": "e2fsprogs", "sfdisk": "fdisk",
    "mcopy": "mtools",
}  # fmt: skip
PROCESSOR = "cortex-a72"  # Raspberry Pi 4
MEMORY_MB = 2048
BOOT_S = 900  # no goal, only an end


def by_loader(kernel: Path, initrd: Path, words: str) -> tuple[str, ...]:
    """A board whose own loader takes kernel and initrd from the boot partition; ``words``: the kernel's."""
    return ("-kernel", str(kernel), "-initrd", str(initrd), "-append", words)


BY_UEFI = ("-bios", "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd")
"""A board that starts what it finds on the disk by itself."""


class Board:
    """One board with a disk; powered by ``boot``, without power after ``cut``, ``off`` or the end of ``with``."""

    def __init__(self, disk: Path, start: Sequence[str], key: Path, folder: Path) -> None:
        self.disk = disk
        self.console_log = folder / f"{disk.stem}.console"
        self._start, self._key, self._folder = start, key, folder
        self._held = folder / f"{disk.stem}.held"
        self._parts: list[subprocess.Popen[bytes]] = []
        self._port = 0

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    def power(self) -> None:
        """Switch it on."""
        nbd = self._folder / f"{self.disk.stem}.nbd"
        nbd.unlink(missing_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        plugin = Path(__file__).with_name("cutdisk.py")
        self._begin(["nbdkit", "--foreground", "--unix", str(nbd), "python", str(plugin), f"file={self.disk}",
                     f"held={self._held}"])  # fmt: skip
        _until("nbdkit", nbd.exists, 20, 0.05)
        self._begin([
            "qemu-system-aarch64", "-machine", "virt,gic-version=3", "-cpu", PROCESSOR, "-smp", "2",
            "-m", str(MEMORY_MB), "-accel", "tcg,thread=multi", "-display", "none", "-monitor", "none",
            *self._start,
            "-blockdev", f"driver=nbd,node-name=card,server.type=unix,server.path={nbd}",
            "-device", "virtio-blk-pci,drive=card", "-device", "virtio-rng-pci",
            "-device", "i6300esb", "-action", "watchdog=reset",
            "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self._port}-:22",
            "-device", "virtio-net-pci,netdev=net", "-chardev", f"file,id=serial,path={self.console_log},append=on",
            "-serial", "chardev:serial",
        ])  # fmt: skip

    def boot(self) -> float:
        """Switch it on; seconds until it takes a command. Raises FailedError."""
        begun = time.monotonic()
        self.power()
        self.reached()
        return time.monotonic() - begun

    def reached(self, seconds: float = BOOT_S) -> None:
        """Wait until it takes a command over SSH. Raises FailedError with the console's end."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            dead = [one for one in self._parts if one.poll() is not None]
            if dead:
                raise FailedError(f"{dead[0].args} ended with {dead[0].returncode}\n{self.console()[-3000:]}")
            try:
                if self.try_run("true", 30).returncode == 0:
                    return
            except subprocess.TimeoutExpired:
                self._forget()
            time.sleep(2)
        raise FailedError(f"no SSH within {seconds:.0f} s\n{self.console()[-3000:]}")

    @property
    def powered(self) -> bool:
        """Whether it has power."""
        return bool(self._parts)

    def cut(self) -> int:
        """Take the power away, at once; how many bytes the disk's cache lost."""
        for one in self._parts:
            one.kill()
        for one in self._parts:
            one.wait(30)
        had_power, self._parts = bool(self._parts), []
        self._forget()
        return int(struct.unpack("<Q", self._held.read_bytes())[0]) if had_power and self._held.exists() else 0

    def off(self) -> None:
        """Shut it down in order."""
        self.try_run("systemctl poweroff", 60)
        _until("the end", lambda: self._parts[-1].poll() is not None, 180, 0.5)
        self.cut()

    def restarted(self, before: str, seconds: float = BOOT_S) -> None:
        """Wait until another boot than ``before`` (of ``boot_id``) takes a command."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._forget()
            self.reached(end - time.monotonic())
            if self.boot_id() != before:
                return
            time.sleep(3)
        raise FailedError(f"it was not started again within {seconds:.0f} s\n{self.console()[-3000:]}")

    def boot_id(self) -> str:
        """The kernel's name for this boot."""
        return self.run("cat /proc/sys/kernel/random/boot_id").strip()

    def try_run(self, script: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a shell script on the board, as root."""
        return subprocess.run(
            self.command("sudo -n bash -s"), input=script, capture_output=True, text=True, timeout=timeout_s
        )

    def run(self, script: str, code: int = 0, timeout_s: float = 300) -> str:
        """What a script printed. Raises FailedError unless it ends with ``code``."""
        ran = self.try_run(script, timeout_s)
        if ran.returncode != code:
            raise FailedError(
                f"{script!r} ended with {ran.returncode}, not {code}:\n{ran.stdout[-3000:]}{ran.stderr[-3000:]}"
            )
        return ran.stdout

    def spoken(self, script: str) -> subprocess.Popen[str]:
        """A script as root whose output is read while it runs."""
        return subprocess.Popen(
            self.command(f"sudo -n bash -c {shlex.quote(script)}"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def copy(self, source: Path, target: str) -> None:
        """A file to the board, as root's."""
        with source.open("rb") as file:
            subprocess.run(self.command(f"sudo -n tee {shlex.quote(target)} >/dev/null"), stdin=file, check=True)

    def wait(self, what: str, script: str, seconds: float, pause_s: float = 3) -> float:
        """Seconds until a script ends with 0. Raises FailedError naming ``what``."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if self.try_run(script).returncode == 0:
                return time.monotonic() - begun
            time.sleep(pause_s)
        raise FailedError(f"within {seconds:.0f} s: {what}\n{self.run('journalctl -n 60 --no-pager')}")

    def show(self, name: str, unit: str = "spanhawk") -> str:
        """A property of a unit."""
        return self.run(f"systemctl show -p {name} --value {unit}").strip()

    def console(self) -> str:
        """All that the serial console said so far, over all boots."""
        return self.console_log.read_text(errors="replace") if self.console_log.exists() else ""

    def command(self, words: str) -> list[str]:
        """The words as a program's arguments, over one SSH connection that stays."""
        return [
            "ssh", "-q", "-i", str(self._key), "-p", str(self._port), "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "ControlMaster=auto", "-o", "ControlPersist=yes",
            "-o", f"ControlPath={self._control()}", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=10",
            "-o", "ServerAliveCountMax=6", f"{USER}@127.0.0.1", words,
        ]  # fmt: skip

    def _control(self) -> Path:
        return self._folder / f"ssh-{self._port}"

    def _forget(self) -> None:
        """End the SSH connection that stays: its other end is gone."""
        subprocess.run([*self.command("")[:-1], "-O", "exit"], capture_output=True)
        self._control().unlink(missing_ok=True)

    def _begin(self, command: Sequence[str]) -> None:
        with (self._folder / f"{self.disk.stem}.emulator").open("ab") as log:
            self._parts.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))


def check_tools() -> None:
    """Raise NotAllowedError where a program is missing."""
    path = "/usr/sbin:/sbin:/usr/bin:/bin"
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool, path=path) is None})
    missing += [] if Path(BY_UEFI[1]).exists() else ["qemu-efi-aarch64"]
    if missing:
        raise NotAllowedError(f"not installed: apt install {' '.join(missing)}")


def _until(what: str, seen: Callable[[], bool], seconds: float, pause_s: float) -> None:
    begun = time.monotonic()
    while not seen():
        if time.monotonic() - begun > seconds:
            raise FailedError(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause_s)
