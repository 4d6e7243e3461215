"""An accelerator of somebody else's, whole in one file: ``[masks] backend = "tests.vendor.npu"``.

Its compiler makes an .npz of one convolution whose windows do not overlap (kernel and stride are both the sub-pixel
factor), which is what the small network of the tests consists of; its device is numpy. All that spanhawk has to know of
it stands here, and nothing about it stands anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge.masks import Runtime, Segmenter
from edge.masks.bundle import Bundle
from edge.masks.golden import check_golden
from edge.masks.options import NetworkOptions
from edge.masks.preprocess import Int8
from edge.masks.segmenter import NetworkSegmenter, open_bundle
from edge.masks.traits import Device, Traits
from edge.support.clock import Clock
from edge.support.errors import BundleError, DeviceError

ARTIFACT = "npu"
_MADE_BY = "npu-compiler and python -m convert add"


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(NetworkOptions):
    """Which NPU; the rest as in ``NetworkOptions``."""

    node: Path = Path("/dev/null")
    """Its device file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What its compiler says."""

    compiler: str


def open_segmenter(options: Options, clock: Clock) -> Segmenter:
    """Open the bundle's artefact ``npu``. Raises DeviceError without the device, BundleError when it must not fly."""
    bundle = open_bundle(options)
    path = bundle.path(ARTIFACT, _MADE_BY)
    facts = bundle.facts(ARTIFACT, Facts)
    find_device(options)
    network = NpuNetwork(path, bundle, facts)
    check_golden(bundle, ARTIFACT, network)
    runtime = Runtime(backend=__name__, library=network.library, accelerator="npu", threads=None)
    return NetworkSegmenter(network, bundle, options, runtime)


def find_device(options: Options) -> Device:
    """The NPU. Raises DeviceError where its device file is absent."""
    if not options.node.exists():
        raise DeviceError(f"no NPU answers at {options.node}; load its driver and look for it with dmesg")
    return Device(f"NPU at {options.node}")


TRAITS = Traits(
    artifact=ARTIFACT,
    made_by=_MADE_BY,
    scores="float",
    find_device=find_device,
    faster_than="litert",
    on_threads=lambda options: False,
)


class NpuNetwork:
    """One convolution, float32."""

    accelerator = "npu"
    exclusive = True

    def __init__(self, path: Path, bundle: Bundle, facts: Facts | None) -> None:
        """Open the model. Raises BundleError where it is none."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                self._weights: npt.NDArray[np.float32] = arrays["weights"]
                self._bias: npt.NDArray[np.float32] = arrays["bias"]
        except (OSError, ValueError, KeyError) as error:
            raise BundleError(f"{path}: no model of the NPU ({error}); compile it again") from error
        self.library = f"npu-runtime 1.0, compiled by {'?' if facts is None else facts.compiler}"
        self._result, self._input = bundle.card.output, np.empty(
            (bundle.card.input.height, bundle.card.input.width, 3), np.int8
        )  # fmt: skip
        self._answer = np.empty((self._result.height, self._result.width, self._result.channels), np.int8)

    def input(self) -> Int8:
        """int8 (H, W, 3)."""
        return self._input

    def run(self) -> None:
        """Compute."""
        rows, columns, step = self._result.height, self._result.width, self._result.pixel_shuffle
        windows = self._input.reshape(rows, step, columns, step, 3).transpose(0, 2, 1, 3, 4).reshape(rows * columns, -1)
        logits = (windows.astype(np.float32) + 128) / 255 @ self._weights + self._bias
        codes = np.rint(logits / self._result.scale) + self._result.zero_point
        self._answer[...] = np.clip(codes, -128, 127).reshape(self._answer.shape)

    def output(self) -> Int8:
        """int8 (h, w, c) at the card's output scale."""
        return self._answer
