"""The layer for rpi-image-gen: its hook is run on an empty root, as mmdebstrap runs it."""

from __future__ import annotations

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


def test_a_damaged_payload_makes_no_image(tmp_path):
    (tmp_path / "first-boot.sh").write_text("changed\n")
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  first-boot.sh\n")
    assert run_hook(tmp_path, tmp_path / "root").returncode != 0
    assert not (tmp_path / "root").exists()
