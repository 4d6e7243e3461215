"""The layer for rpi-image-gen: its hook is run on an empty root, as mmdebstrap runs it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "systemd" / "rpi-image-gen" / "layer" / "spanhawk.yaml"


def run_hook(payload: Path, root: Path) -> subprocess.CompletedProcess[str]:
    (hook,) = yaml.safe_load(LAYER.read_text(encoding="utf-8"))["mmdebstrap"]["customize-hooks"]
    return subprocess.run(
        ["/bin/sh", "-c", hook, "hook", str(root)], capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "IGconf_spanhawk_payload": str(payload)},
    )  # fmt: skip


def test_the_hook_lays_out_the_first_boot(tmp_path):
    payload, root = tmp_path / "payload", tmp_path / "root"
    payload.mkdir()
    (payload / "first-boot.sh").write_bytes((ROOT / "card" / "first-boot.sh").read_bytes())
    sums = subprocess.run(
        ["sha256sum", "first-boot.sh"], cwd=payload, capture_output=True, text=True, check=True
    ).stdout
    (payload / "SHA256SUMS").write_text(sums)
    done = run_hook(payload, root)
    assert done.returncode == 0, done.stderr
    unit = root / "etc/systemd/system/spanhawk-card-prepare.service"
    assert unit.read_text().startswith("[Unit]\n")
    link = root / "etc/systemd/system/multi-user.target.wants/spanhawk-card-prepare.service"
    assert link.resolve() == unit
    assert (root / "boot/firmware/spanhawk/first-boot.sh").exists()


def test_the_recipe_brings_what_the_first_boot_opens(tmp_path):
    """The commands that the configuration tells a person to type, and the files that the script takes by name."""
    for name in ("card/first-boot.sh", "systemd/host/sysusers-spanhawk.conf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/spanhawk_0.1.0_arm64-python3.13.deb").write_text("a package\n")
    (tmp_path / "spanhawk.toml").write_text('vehicle = "drone7"\n')
    recipe = (ROOT / "systemd/rpi-image-gen/config/spanhawk.yaml").read_text(encoding="utf-8")
    commands = [line.removeprefix("#   ") for line in recipe.splitlines() if line.startswith("#   ")]
    make = "\n".join(line for line in commands if not line.startswith("rpi-image-gen"))
    subprocess.run(["/bin/sh", "-e", "-c", make], cwd=tmp_path, check=True)
    done = run_hook(tmp_path / "payload", tmp_path / "root")
    assert done.returncode == 0, done.stderr
    needed = set(re.findall(r"\$HERE/([\w.-]+\.\w+)", (ROOT / "card/first-boot.sh").read_text(encoding="utf-8")))
    assert {"spanhawk.deb", "spanhawk.toml", "sysusers-spanhawk.conf"} <= needed
    brought = tmp_path / "root/boot/firmware/spanhawk"
    assert not [name for name in needed if not (brought / name).is_file()]
    sums = {line.split()[1] for line in (brought / "SHA256SUMS").read_text().splitlines()}
    assert sums == {path.name for path in brought.iterdir()} - {"SHA256SUMS"}


def test_a_damaged_payload_makes_no_image(tmp_path):
    (tmp_path / "first-boot.sh").write_text("changed\n")
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  first-boot.sh\n")
    assert run_hook(tmp_path, tmp_path / "root").returncode != 0
    assert not (tmp_path / "root").exists()
