"""The image that a card is made from here: Debian 13 for arm64 in the partitions of Raspberry Pi OS, made once.

What stands in for Raspberry Pi's own parts is in ``_LIKE_RASPBERRY_PI_OS``: where cloud-init looks (files in the boot
partition), where that partition is mounted, the watchdog's use by systemd, and times that suit an emulator. The
kernel is Debian's.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.arm64.board.machine import Start
from tests.system.container import CACHE, NotAllowedError, debian_root

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "kmod", "linux-image-arm64", "python3", "python3-venv", "libstdc++6",
    "mosquitto", "mosquitto-clients", "cloud-init", "cloud-guest-utils", "e2fsprogs", "fdisk", "dosfstools", "iproute2",
    "procps", "sudo", "ca-certificates", "openssl", "netplan.io", "openssh-server", "util-linux",
)  # fmt: skip
_MB = 1 << 20
_BOOT_START, _BOOT_SIZE, _ROOT_SIZE = 8 * _MB, 512 * _MB, 4096 * _MB
_TABLE = f"""label: dos
label-id: 0x5d0bc1ec
start={_BOOT_START // 512}, size={_BOOT_SIZE // 512}, type=c
start={(_BOOT_START + _BOOT_SIZE) // 512}, size={_ROOT_SIZE // 512}, type=83
"""
_WORDS = (
    "console=ttyAMA0 root=PARTUUID=5d0bc1ec-02 rootfstype=ext4 fsck.repair=yes rootwait net.ifnames=0 "
    "systemd.show_status=1 ds=nocloud"
)
_LIKE_RASPBERRY_PI_OS = {
    "etc/fstab": (
        "PARTUUID=5d0bc1ec-01 /boot/firmware vfat defaults 0 2\nPARTUUID=5d0bc1ec-02 / ext4 defaults,noatime 0 1\n"
    ),
    "etc/hostname": "raspberrypi\n",
    "etc/machine-id": "uninitialized\n",
    "etc/cloud/cloud.cfg.d/99_card.cfg": (
        "datasource_list: [NoCloud, None]\n"
        "datasource: {NoCloud: {seedfrom: 'file:///boot/firmware'}}\n"
        # An RSA key takes the emulator minutes.
        "ssh_genkeytypes: [ed25519]\n"
    ),
    "etc/systemd/system/cloud-init-main.service.d/boot.conf": "[Unit]\nRequiresMountsFor=/boot/firmware\n",
    "etc/systemd/system/cloud-init-local.service.d/boot.conf": "[Unit]\nRequiresMountsFor=/boot/firmware\n",
    "etc/systemd/system.conf.d/watchdog.conf": "[Manager]\nRuntimeWatchdogSec=30s\n",
    # What the emulator takes longer for than a board.
    "etc/systemd/system/spanhawk.service.d/emulator.conf": "[Service]\nTimeoutStartSec=600\nWatchdogSec=150\n",
}


def base_image(say: Callable[[str], None]) -> tuple[Path, Start]:
    """The image and what the emulator starts it with. Raises NotAllowedError where it cannot be made."""
    pristine = debian_root(say, "trixie", PACKAGES, "arm64")
    made_of = repr((pristine.name, _TABLE, _WORDS, sorted(_LIKE_RASPBERRY_PI_OS.items())))
    folder = CACHE / f"board-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    if not folder.is_dir():
        say(f"making the image in {folder} (once)")
        part = Path(tempfile.mkdtemp(prefix=".part-", dir=CACHE))
        try:
            _make(pristine, part)
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder / "base.img", Start(folder / "vmlinuz", folder / "initrd.img", _WORDS)


def _make(pristine: Path, folder: Path) -> None:
    root, image = folder / "root", folder / "base.img"
    _try(["cp", "-a", "--reflink=auto", str(pristine), str(root)])
    for name, text in _LIKE_RASPBERRY_PI_OS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "boot/firmware").mkdir(exist_ok=True)
    for pattern, name in (("vmlinuz-*", "vmlinuz"), ("initrd.img-*", "initrd.img")):
        (found,) = (root / "boot").glob(pattern)
        shutil.copy2(found, folder / name)
    with image.open("wb") as file:
        file.truncate(_BOOT_START + _BOOT_SIZE + _ROOT_SIZE)
    _try(["sfdisk", "--quiet", str(image)], _TABLE)
    _try(["mkfs.vfat", "-F", "32", "-n", "bootfs", "--offset", str(_BOOT_START // 512), str(image),
          str(_BOOT_SIZE // 1024)])  # fmt: skip
    for name, text in (("config.txt", "[all]\n"), ("cmdline.txt", _WORDS + "\n")):
        (folder / name).write_text(text)
        _try(["mcopy", "-i", f"{image}@@{_BOOT_START}", str(folder / name), f"::{name}"])
    _try(["mkfs.ext4", "-q", "-F", "-E", f"offset={_BOOT_START + _BOOT_SIZE}", "-d", str(root), str(image),
          f"{_ROOT_SIZE // 1024}k"])  # fmt: skip
    shutil.rmtree(root)


def _try(command: list[str], stdin: str = "") -> None:
    ran = subprocess.run(
        command, input=stdin, capture_output=True, text=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    if ran.returncode:
        raise NotAllowedError(f"{' '.join(command[:3])} … fails: {ran.stderr[-800:]}")
