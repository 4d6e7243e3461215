"""An image with the partitions of Raspberry Pi OS Trixie, made by Debian's own tools, without root."""

from __future__ import annotations

import subprocess
from pathlib import Path

MB = 1 << 20
BOOT_START, BOOT_SIZE = 8 * MB, 40 * MB
ROOT_START, ROOT_SIZE = BOOT_START + BOOT_SIZE, 12 * MB
TABLE = f"""label: dos
label-id: 0x5d0bc1ec
start={BOOT_START // 512}, size={BOOT_SIZE // 512}, type=c
start={ROOT_START // 512}, size={ROOT_SIZE // 512}, type=83
"""
CMDLINE = "console=serial0,115200 console=tty1 root=PARTUUID=5d0bc1ec-02 rootfstype=ext4 fsck.repair=yes rootwait\n"
INSTALLED = {
    "dpkg": "1.22.21",
    "python3": "3.13.5-1",
    "systemd": "257.7-1",
    "udev": "257.7",
    "cloud-init": "25.2-1+rpt5",
    "python3-picamera2": "0.3.33-1",
}
BOOT_FILES = {
    "config.txt": "dtparam=audio=on\n[all]\n",
    "cmdline.txt": CMDLINE,
    "user-data": "#cloud-config\n",
    "meta-data": "instance_id: rpios-image\n",
}


def make(
    folder: Path, *, installed: dict[str, str] = INSTALLED, architecture: str = "arm64", boot: bool = True
) -> Path:
    """``raspios.img`` in ``folder``."""
    root = folder / "root"
    (root / "etc").mkdir(parents=True)
    (root / "usr/lib").mkdir(parents=True)
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\npi:x:1000:1000::/home/pi:/bin/bash\n")
    (root / "etc/group").write_text("root:x:0:\noperator:x:37:\npi:x:1000:\n")  # as base-passwd has operator
    (root / "usr/lib/os-release").write_text('PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nID=debian\n')
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "var/lib/dpkg/status").write_text("\n".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: {architecture}\nVersion: {version}\n"
        for name, version in installed.items()
    ))  # fmt: skip
    image = folder / "raspios.img"
    with image.open("wb") as file:
        file.truncate(ROOT_START + ROOT_SIZE)
    run("sfdisk", "--quiet", str(image), stdin=TABLE)
    run("mkfs.vfat", "-F", "32", "-n", "bootfs", "--offset", str(BOOT_START // 512), str(image), str(BOOT_SIZE // 1024))
    if boot:
        for name, text in BOOT_FILES.items():
            (folder / name).write_text(text)
            run("mcopy", "-i", f"{image}@@{BOOT_START}", str(folder / name), f"::{name}")
    ext4 = folder / "root.ext4"
    run("mkfs.ext4", "-q", "-F", "-d", str(root), str(ext4), f"{ROOT_SIZE // 1024}k")
    with image.open("r+b") as file:
        file.seek(ROOT_START)
        file.write(ext4.read_bytes())
    return image


def make_deb(folder: Path, *, architecture: str = "arm64", python: str = "3.13", name: str = "spanhawk") -> Path:
    """A package whose control file is as ``systemd/deb.sh`` writes it."""
    tree = folder / f"{name}-{architecture}-{python}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 0.1.0\nArchitecture: {architecture}\nMaintainer: test <t@localhost>\n"
        f"Depends: python3 (>= {python}), python3 (<< 3.99), systemd (>= 249), udev\nDescription: test\n"
    )
    (tree / "payload").write_bytes(bytes(range(256)) * 1000)
    deb = folder / f"{tree.name}.deb"
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(deb))
    return deb


def run(*command: str, stdin: str = "") -> str:
    """What a program prints; fails with its own words."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
    return done.stdout
