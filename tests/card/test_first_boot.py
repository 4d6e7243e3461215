"""The first boot's script up to where it would change the system; the rest is proved by ``make test-system``."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "card" / "first-boot.sh"


@pytest.fixture
def boot(tmp_path) -> Path:
    """A boot partition with a payload."""
    here = tmp_path / "boot" / "spanhawk"
    here.mkdir(parents=True)
    (here / "first-boot.sh").write_bytes(SCRIPT.read_bytes())
    (here / "spanhawk.toml").write_text('vehicle = "drone7"\n')
    sums = subprocess.run(["sha256sum", "spanhawk.toml"], cwd=here, capture_output=True, text=True, check=True).stdout
    (here / "SHA256SUMS").write_text(sums)
    return here.parent


def first_boot(boot: Path, *arguments: str, path: str = os.environ["PATH"]) -> tuple[int, str]:
    """Exit code, and the report that a laptop shows."""
    done = subprocess.run(
        ["/bin/sh", str(boot / "spanhawk/first-boot.sh"), *arguments], capture_output=True, text=True,
        env={**os.environ, "SPANHAWK_CARD_STATE": str(boot.parent / "state"), "PATH": path},
    )  # fmt: skip
    report = boot / "spanhawk-first-boot.txt"
    return done.returncode, report.read_text() if report.exists() else done.stderr


@pytest.mark.parametrize("damage", ["spanhawk.toml", "SHA256SUMS"])
def test_a_missing_file_is_named_on_the_boot_partition(boot, damage):
    (boot / "spanhawk" / damage).unlink()
    code, report = first_boot(boot, "install")
    assert code == 78
    assert report.startswith("spanhawk first boot: FAILED\n")
    assert f"{damage} on the boot partition is damaged or missing; write the card again" in report


def test_an_altered_file_is_named(boot):
    (boot / "spanhawk/spanhawk.toml").write_text("vehicle = 1\n")
    code, report = first_boot(boot, "install")
    assert code == 78
    assert "spanhawk.toml on the boot partition is damaged" in report


def test_what_is_done_stays_done_without_its_list(boot):
    (boot.parent / "state").mkdir()
    (boot.parent / "state/done").write_text("0" * 64 + "\n")
    (boot / "spanhawk/SHA256SUMS").unlink()
    code, said = first_boot(boot, "install")
    assert code == 0
    assert "FAILED" not in said


def test_another_word_is_refused(boot):
    assert first_boot(boot, "instal") == (2, "usage: first-boot.sh prepare|install\n")


def test_a_daemon_that_does_not_run_gives_its_own_reason(boot, tmp_path):
    """systemd's words about the daemon, which come after the daemon's own, say nothing of why."""
    tools = {
        "systemd-sysusers": "exit 0",
        "install": 'for word; do shift; case $word in -[og] | root | spanhawk) ;; *) set -- "$@" "$word" ;; esac\n'
        'done; /usr/bin/install "$@"',
        "dpkg": "echo installed",
        "systemctl": "exit 3",  # is-active: no
        "journalctl": 'case "$*" in *_COMM=spanhawk*) echo "spanhawk: camera.fsp: unknown key" ;; '
        '*) echo "Failed to start spanhawk.service" ;; esac',
    }
    (tmp_path / "tools").mkdir()
    for name, does in tools.items():
        (tmp_path / "tools" / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / "tools" / name).chmod(0o755)
    script = boot / "spanhawk/first-boot.sh"
    text = script.read_text(encoding="utf-8")
    assert text.count("ETC=/etc/spanhawk\n") == 1
    script.write_text(text.replace("ETC=/etc/spanhawk\n", f"ETC={tmp_path}/etc\n"), encoding="utf-8")
    code, report = first_boot(boot, "install", path=f"{tmp_path}/tools:{os.environ['PATH']}")
    assert code == 0
    assert report.startswith("spanhawk first boot: DONE\n")
    assert "it does not run: spanhawk: camera.fsp: unknown key; see below" in report
