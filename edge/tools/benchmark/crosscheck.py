"""The same file through somebody else's benchmark: ``litert-benchmark``, which comes with ai-edge-litert."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_PROGRAM = "litert-benchmark"
_PATIENCE_S = 120


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """Its times, milliseconds of wall time, one thread."""

    runs: int
    theirs_min_ms: float
    theirs_p50_ms: float
    ours_p50_ms: float

    def sentence(self) -> str:
        """In words."""
        return (
            f"litert-benchmark says p50 {self.theirs_p50_ms:.2f} ms (smallest {self.theirs_min_ms:.2f}) for the bare "
            f"network on one thread; here it is {self.ours_p50_ms:.2f}"
        )


def litert_benchmark(model: Path, runs: int, ours_p50_ms: float) -> CrossCheck | str:
    """Run it on ``model``; a sentence where it is not installed or fails."""
    program = shutil.which(_PROGRAM, path=str(Path(sys.executable).parent)) or shutil.which(_PROGRAM)
    if program is None:
        return f"{_PROGRAM} is not installed (it comes with ai-edge-litert 2.3 and newer), so nothing was cross-checked"
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "result.json"
        command = [program, "--model", str(model), "--num_runs", str(runs), "--num_threads", "1"]
        try:
            subprocess.run([*command, "--result_json", str(told)], capture_output=True, timeout=_PATIENCE_S, check=True)
            latency = json.loads(told.read_text(encoding="utf-8"))["latency"]
            times = (float(latency["min_ms"]), float(latency["median_ms"]))
            return CrossCheck(int(latency["num_runs"]), *times, ours_p50_ms)
        except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
            return f"{_PROGRAM} gave no result ({type(error).__name__}: {error})"
