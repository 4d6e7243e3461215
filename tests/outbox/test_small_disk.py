"""A disk that is really full: a tmpfs of a few megabytes in a mount namespace of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNSHARE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]


def may_mount(tmp_path):
    try:
        tried = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True)
    except FileNotFoundError:
        return False
    return tried.returncode == 0


@pytest.mark.parametrize(
    ("scenario", "how"),
    [
        ("drains_when_full_to_the_last_byte", "size=10m"),
        ("opens_when_full_to_the_last_byte", "size=10m"),
        ("does_not_grow_below_the_free_room_it_must_leave", "size=10m"),
        ("reports_a_start_on_a_full_disk", "size=10m"),
        ("is_listed_on_a_card_that_has_become_read_only", "size=10m"),
        ("is_not_read_without_its_journal_where_that_cannot_be_opened", "size=10m"),
        ("recovers_nothing_onto_a_full_disk_and_leaves_nothing", "size=10m"),
        ("refuses_a_disk_that_is_read_only", "size=10m,ro"),
    ],
)
def test_on_a_small_disk(scenario, how, tmp_path):
    if not may_mount(tmp_path):
        pytest.skip("mounting a small disk needs root or user namespaces (unshare)")
    script = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift 2 && exec "$@"'
    run = [sys.executable, "-m", "tests.outbox.small_disk", scenario, str(tmp_path)]
    command = [*UNSHARE, "sh", "-c", script, "sh", how, str(tmp_path), *run]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
