"""The image that a card is made from here: Debian 13 for arm64 in the partitions of Raspberry Pi OS, made once.

What stands in for Raspberry Pi's own parts is in ``_LIKE_RASPBERRY_PI_OS``: where cloud-init looks (files in the boot
partition), where that partition is mounted, the watchdog's use by systemd, and times that suit an emulator. The
kernel is Debian's.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from card.disk import MB, Slice, run, write_disk
from card.root import CACHE, debian_root
from tests.arm64.board.machine import by_loader

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "kmod", "linux-image-arm64", "python3", "python3-venv", "libstdc++6",
    "mosquitto", "mosquitto-clients", "cloud-init", "cloud-guest-utils", "e2fsprogs", "fdisk", "dosfstools", "iproute2",
    "procps", "sudo", "ca-certificates", "openssl", "netplan.io", "openssh-server", "util-linux",
)  # fmt: skip
_BOOT_START, _BOOT_SIZE, _ROOT_SIZE = 8 * MB, 512 * MB, 4096 * MB
_TABLE = "label: dos\nlabel-id: 0x5d0bc1ec"
_WORDS = (
    "console=ttyAMA0 root=PARTUUID=5d0bc1ec-02 rootfstype=ext4 fsck.repair=yes rootwait net.ifnames=0 "
    "systemd.show_status=1 ds=nocloud"
)
SLOWER = {
    # 30 and 90 s on a board; on a busy host the emulator takes longer than that for systemd's own start, and for udev
    # to name a partition: with 90 s one boot after a power cut ended in an emergency shell.
    "etc/systemd/system.conf.d/watchdog.conf": "[Manager]\nRuntimeWatchdogSec=120s\nDefaultDeviceTimeoutSec=1800s\n",
    "etc/systemd/system/spanhawk.service.d/emulator.conf": "[Service]\nTimeoutStartSec=600\nWatchdogSec=150\n",
}
"""What the emulator takes longer for than a board: files of the root."""
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
    **SLOWER,
}


def base_image(say: Callable[[str], None]) -> tuple[Path, tuple[str, ...]]:
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
    return folder / "base.img", by_loader(folder / "vmlinuz", folder / "initrd.img", _WORDS)


def _make(pristine: Path, folder: Path) -> None:
    root, boot = folder / "root", folder / "boot"
    run(["cp", "-a", "--reflink=auto", str(pristine), str(root)])
    for name, text in _LIKE_RASPBERRY_PI_OS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "boot/firmware").mkdir(exist_ok=True)
    for pattern, name in (("vmlinuz-*", "vmlinuz"), ("initrd.img-*", "initrd.img")):
        (found,) = (root / "boot").glob(pattern)
        shutil.copy2(found, folder / name)
    boot.mkdir()
    for name, text in (("config.txt", "[all]\n"), ("cmdline.txt", _WORDS + "\n")):
        (boot / name).write_text(text)
    write_disk(
        folder / "base.img",
        _TABLE,
        (Slice(_BOOT_SIZE, boot, "type=c", "bootfs", fat=True), Slice(_ROOT_SIZE, root, "type=83", "rootfs")),
        _BOOT_START,
    )
    shutil.rmtree(root)
