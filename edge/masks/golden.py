"""What a network must be able to do, and the proof before a flight that it still answers as when it was made."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edge.masks.bundle import Bundle, load_golden
from edge.masks.preprocess import Int8
from edge.support.errors import BundleError, DeviceError


class Network(Protocol):
    """One model of a bundle, opened and checked; used by one thread."""

    library: str
    """What runs it and its version, as ``ai-edge-litert 2.3.0``."""
    accelerator: str
    """What owns the operators, as ``cpu``."""
    exclusive: bool
    """Whether it runs all of the model, or does not open: nothing can be left to the CPU in silence."""

    def input(self) -> Int8:
        """The input, int8 (H, W, 3), to be written in full before each ``run``; not to be held through it."""

    def run(self) -> None:
        """Compute. Raises DeviceError when the interpreter or the accelerator fails."""

    def output(self) -> Int8:
        """The answer, int8 (h, w, c) at the card's output scale, valid until the next ``run``."""


def check_golden(bundle: Bundle, artifact: str, network: Network) -> None:
    """Run the golden input through ``network``, opened from the artefact of that name, and compare.

    Raises BundleError when more of the answer is off than the card allows, DeviceError when the run fails.
    """
    path, limits, golden = bundle.path(artifact), bundle.artifact(artifact).golden, load_golden(bundle, artifact)
    np.copyto(network.input(), golden.input[0])
    try:
        network.run()
    except DeviceError as error:
        raise DeviceError(f"{path}: the first run failed: {error}") from error
    off_lsb = np.abs(network.output().astype(np.int16) - golden.output[0])
    share = float(np.mean(off_lsb > limits.tolerance_lsb))
    if share > limits.max_fraction_above:
        raise BundleError(
            f"{path}: {share:.1%} of the golden answer is off by more than {limits.tolerance_lsb} steps (at most "
            f"{off_lsb.max()}) on {network.accelerator}, the card allows {limits.max_fraction_above:.1%}; "
            f"{network.library} computes this model wrongly: use the interpreter named in the card, or convert it again"
        )
