"""``make image``: a whole system of Debian alone for one drone. ``python -m card.debian OUT --config --deb``; as root.

For arm64 boards that start by UEFI, and for tests. The root is read-only with a memory overlay, so that a power cut
cannot damage it and nothing wears the card but the data partition, which holds /etc/spanhawk and /var/lib/spanhawk and
takes the whole card at the first boot. spanhawk is installed in it: there is nothing to install on the board.

Partitions: ``esp`` (systemd-boot, kernel), ``root``, ``data``. No second root: another version is another image, of
which only ``esp`` and ``root`` need to be written (see docs/install.md).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from card import cloud, package, settings
from card.disk import MB, TOOLS, Slice, run, write_disk
from card.making import made_whole
from card.root import CACHE, debian_root
from edge.support.errors import EXIT_DONE, DeviceError, SpanhawkError, UsageError

SUITE, ARCHITECTURE, PYTHON = "trixie", "arm64", "3.13"
PACKAGES = (
    "systemd", "systemd-sysv", "systemd-boot-efi", "systemd-timesyncd", "dbus", "udev", "kmod", "linux-image-arm64",
    "overlayroot", "busybox", "python3", "libstdc++6", "cloud-guest-utils", "fdisk", "e2fsprogs", "netplan.io",
    "wpasupplicant", "iproute2", "procps", "sudo", "ca-certificates", "openssh-server", "systemd-resolved",
    "avahi-daemon", "libnss-mdns",
)  # fmt: skip
"""busybox: overlayroot's script in the initramfs calls grep, and without it leaves the root without its overlay."""
ESP_MB, DATA_MB, ROOM_MB = 512, 256, 128
"""Sizes: the boot partition (256 MB have too few clusters to be read as FAT32), data before it grows, root's air."""
GROUPS = ("sudo", "adm", "dialout", "video", "render", "plugdev", "netdev")
_ESP_TYPE, _LINUX_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "0fc63daf-8483-4772-8e79-3d69d8477de4"
NEEDED = TOOLS | {
    "mmdebstrap": "mmdebstrap", "qemu-aarch64-static": "qemu-user-static", "ssh-keygen": "openssh-client",
}  # fmt: skip
"""Programs by the package that has them."""
_OVERLAY = "overlayroot=tmpfs:recurse=0"  # over the root alone: what fstab mounts is as it says there
_MODES = (
    ("etc/sudoers.d/card", 0o440),
    ("etc/netplan/50-card.yaml", 0o600),
    ("usr/local/sbin/spanhawk-grow-data", 0o755),
)
_GROW_UNIT = """\
[Unit]
Description=The data partition takes the whole card
DefaultDependencies=no
Requires={device}.device
After={device}.device
Before=systemd-fsck@{device}.service data.mount

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/spanhawk-grow-data
"""
_GROW = """\
#!/bin/sh
# The file system follows by x-systemd.growfs, when it is mounted. growpart ends with 1 when there is nothing to do.
part=$(readlink -e /dev/disk/by-partuuid/{data}) && disk=/dev/$(lsblk -n -d -o PKNAME "$part") || exit
growpart "$disk" 3 || [ $? = 1 ]
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Make an image; returns the exit code: 0 done, 2 usage, 69 a program fails, 75 try again, 78 configuration."""
    parser = argparse.ArgumentParser(prog="image", description="Make a whole system of Debian alone for one drone.")
    parser.add_argument("out", type=Path, help="the image to write on a card or disk")
    parser.add_argument("--config", type=Path, required=True, help="card.toml, see card/card.toml.example")
    parser.add_argument("--deb", type=Path, required=True, help="spanhawk's package for arm64 and Python 3.13")
    given = parser.parse_args(argv)
    try:
        make(given.out, given.config, given.deb, lambda text: print(f"image: {text}", flush=True))
    except SpanhawkError as error:
        print(f"image: {error}", file=sys.stderr)
        return error.exit_code
    return EXIT_DONE


def make(
    out: Path, config_file: Path, deb: Path, say: Callable[[str], None], further: Mapping[str, str] | None = None
) -> None:
    """Write ``out``; raises SpanhawkError and then leaves nothing. ``further`` text files by their name in the root."""
    card = settings.read(config_file)
    for name in ("packages", "uart"):
        if getattr(card.options, name):
            raise UsageError(f"{config_file}: card.{name} is for make card; make image does not know it, take it out")
    if os.geteuid() != 0:
        raise UsageError("make image needs root: it sets up another system's files with their owners")
    for tool, where in NEEDED.items():
        if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
            raise DeviceError(f"{tool} is not installed; apt install {where}")
    package.check_kind(deb, ARCHITECTURE, PYTHON)
    pristine = debian_root(say, SUITE, PACKAGES, ARCHITECTURE)
    with made_whole(out) as part, tempfile.TemporaryDirectory(dir=CACHE, prefix=".part-image-") as folder:
        say("putting spanhawk into the root")
        _write(part, Path(folder), pristine, card, deb, further or {})
    say(f"{out} is for {card.vehicle}; it holds secrets, keep it as such")


def _write(
    image: Path, folder: Path, pristine: Path, card: settings.CardFile, deb: Path, further: Mapping[str, str]
) -> None:
    root, esp, data = (folder / name for name in ("root", "esp", "data"))
    run(["cp", "-a", "--reflink=auto", str(pristine), str(root)])
    ids = {name: str(uuid.uuid4()) for name in ("esp", "root", "data")}
    for name, text in (_texts(card.options, ids) | dict(further)).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    for name, mode in _MODES:
        (root / name).chmod(mode)
    names = root / "etc/resolv.conf"
    names.unlink(missing_ok=True)  # the making machine's
    names.symlink_to("../run/systemd/resolve/stub-resolv.conf")
    _users(root, card.options)
    _keys(root)
    _install(root, card, deb)
    data.mkdir()
    for held, name in (("etc/spanhawk", "etc"), ("var/lib/spanhawk", "lib")):
        run(["cp", "-a", str(root / held), str(data / name)])
        for path in (root / held).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (root / "data").mkdir()
    _boot_files(esp, root, ids["root"])
    used_mb = int(run(["du", "-sm", "--apparent-size", str(root)]).split()[0])
    root_mb = int(used_mb * 1.15) + ROOM_MB  # ext4's own tables
    write_disk(
        image,
        f"label: gpt\nlabel-id: {uuid.uuid4()}",
        (
            Slice(ESP_MB * MB, esp, f"type={_ESP_TYPE}, uuid={ids['esp']}, name=esp", "ESP", fat=True),
            Slice(root_mb * MB, root, f"type={_LINUX_TYPE}, uuid={ids['root']}, name=root", "root"),
            Slice(DATA_MB * MB, data, f"type={_LINUX_TYPE}, uuid={ids['data']}, name=data", "data"),
        ),
        start=MB,
        tail=MB,
    )


def _texts(options: settings.CardOptions, ids: Mapping[str, str]) -> dict[str, str]:
    """What the root says of itself, by file name."""
    escaped = ids["data"].replace("-", "\\x2d")  # as systemd writes a path
    grow = _GROW_UNIT.format(device=f"dev-disk-by\\x2dpartuuid-{escaped}")
    after_data = "[Unit]\nRequiresMountsFor=/etc/spanhawk /var/lib/spanhawk\n"
    return {
        # nofail: a board whose data cannot be mounted still answers over SSH. spanhawk then does not start: its
        # detections would go into memory, and be lost in silence.
        "etc/fstab": (
            f"PARTUUID={ids['root']} / ext4 ro 0 0\n"
            f"PARTUUID={ids['data']} /data ext4 noatime,nofail,x-systemd.growfs 0 2\n"
            "/data/etc /etc/spanhawk none bind,nofail,x-systemd.requires-mounts-for=/data 0 0\n"
            "/data/lib /var/lib/spanhawk none bind,nofail,x-systemd.requires-mounts-for=/data 0 0\n"
        ),
        "etc/systemd/system/spanhawk-data.service": grow,
        "usr/local/sbin/spanhawk-grow-data": _GROW.format(data=ids["data"]),
        "etc/systemd/system/data.mount.d/grow.conf": "[Unit]\nWants=spanhawk-data.service\n",
        "etc/systemd/system/spanhawk.service.d/data.conf": after_data,
        "etc/systemd/system/spanhawk-doctor.service.d/data.conf": after_data,
        "etc/systemd/system/spanhawk-prune.service.d/data.conf": after_data,
        "etc/systemd/system.conf.d/watchdog.conf": "[Manager]\nRuntimeWatchdogSec=30s\n",
        # Nothing of the root is kept, and nothing is written for it; the name sorts after spanhawk's own.
        "etc/systemd/journald.conf.d/z-memory.conf": "[Journal]\nStorage=volatile\nRuntimeMaxUse=32M\n",
        "etc/hostname": f"{options.hostname}\n",
        "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {options.hostname}\n::1 localhost ip6-localhost\n",
        "etc/machine-id": f"{uuid.uuid4().hex}\n",
        "etc/netplan/50-card.yaml": cloud.netplan(options),
        "etc/sudoers.d/card": f"{options.user} ALL=(ALL) {'' if options.password else 'NOPASSWD:'}ALL\n",
        "etc/ssh/sshd_config.d/card.conf": f"PasswordAuthentication {'yes' if options.password else 'no'}\n",
    }


def _users(root: Path, options: settings.CardOptions) -> None:
    groups = [line.split(":")[0] for line in (root / "etc/group").read_text().splitlines()]
    known = ",".join(name for name in GROUPS if name in groups)
    run(["useradd", "--prefix", str(root), "-m", "-s", "/bin/bash", "-G", known, options.user])
    if options.password is not None:
        shadow = root / "etc/shadow"
        lines = [line.split(":") for line in shadow.read_text().splitlines()]
        for line in lines:
            if line[0] == options.user:
                line[1] = cloud.crypt(options.password)
        shadow.write_text("".join(":".join(line) + "\n" for line in lines))
    owner = next(line for line in (root / "etc/passwd").read_text().splitlines() if line.startswith(f"{options.user}:"))
    uid, gid = (int(word) for word in owner.split(":")[2:4])
    ssh = root / "home" / options.user / ".ssh"
    ssh.mkdir(mode=0o700, parents=True)
    (ssh / "authorized_keys").write_text("".join(f"{key}\n" for key in options.ssh_keys))
    for path in (ssh, ssh / "authorized_keys"):
        os.chown(path, uid, gid)


def _keys(root: Path) -> None:
    """The board's own SSH keys: made here, because what it makes itself is gone at the next boot."""
    for path in (root / "etc/ssh").glob("ssh_host_*"):
        path.unlink()
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(root / "etc/ssh/ssh_host_ed25519_key")])


def _install(root: Path, card: settings.CardFile, deb: Path) -> None:
    shutil.copy2(deb, root / "spanhawk.deb")
    inside = (
        'mount --bind "$0" "$0" && mount -t proc proc "$0/proc" && mount -t tmpfs run "$0/run" && '
        'exec chroot "$0" env SYSTEMD_OFFLINE=1 DEBIAN_FRONTEND=noninteractive dpkg --force-unsafe-io -i /spanhawk.deb'
    )
    try:
        run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", inside, str(root)])
    except DeviceError as error:
        raise UsageError(f"{deb}: cannot be installed in Debian {SUITE} ({error}); make it with make deb") from error
    (root / "spanhawk.deb").unlink()
    etc = root / "etc/spanhawk"
    (etc / "spanhawk.toml").write_text(card.configuration, encoding="utf-8")
    for name, secret in card.secrets.items():
        (etc / "credentials" / name).write_bytes(secret)
        (etc / "credentials" / name).chmod(0o600)


def _boot_files(esp: Path, root: Path, root_id: str) -> None:
    (esp / "EFI/BOOT").mkdir(parents=True)
    (esp / "loader/entries").mkdir(parents=True)
    shutil.copy2(root / "usr/lib/systemd/boot/efi/systemd-bootaa64.efi", esp / "EFI/BOOT/BOOTAA64.EFI")
    for pattern, name in (("vmlinuz-*", "vmlinuz"), ("initrd.img-*", "initrd.img")):
        (found,) = (root / "boot").glob(pattern)
        shutil.copy2(found, esp / name)
    (esp / "loader/loader.conf").write_text("timeout 0\n")
    (esp / "loader/entries/debian.conf").write_text(
        "title spanhawk\nlinux /vmlinuz\ninitrd /initrd.img\n"
        f"options root=PARTUUID={root_id} ro rootfstype=ext4 rootwait panic=10 net.ifnames=0 {_OVERLAY}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
