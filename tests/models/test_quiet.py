"""What a command tells is its own, not what TensorFlow finds worth telling at its start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
ROOT = Path(__file__).parents[2]
# Said before TensorFlow reads any setting, by the library it logs with; of oneDNN only where it is on.
UNAVOIDABLE = (
    "WARNING: All log messages before absl::InitializeLog()", "cudart_stub.cc", "oneDNN custom operations are on",
)  # fmt: skip


def test_tensorflow_says_nothing_of_its_own_that_can_be_held_back():
    code = (
        "import sys, models.cli as cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "import tensorflow as tf; tf.constant(1) + 1; print('loaded', file=sys.stderr)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)
    lines = [line for line in ran.stderr.splitlines() if not any(known in line for known in UNAVOIDABLE)]
    assert lines == ["loaded"]
