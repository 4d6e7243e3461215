"""The network on a Coral Edge TPU: the bundle's compiled model through libedgetpu.

libedgetpu has to fit the interpreter: the builds against TensorFlow 2.17 go with today's; the one of 2021 does not.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge.masks import Runtime, Segmenter
from edge.masks.bundle import Bundle
from edge.masks.card import MODEL_EDGETPU
from edge.masks.interpreter import load_delegate, open_network
from edge.masks.segmenter import NetworkOptions, NetworkSegmenter, open_bundle
from edge.support.clock import Clock
from edge.support.errors import BundleError, DeviceError

_log = logging.getLogger(__name__)

# The one operator a compiled model consists of; without it all would run on the CPU and nobody would know.
_COMPILED_OPERATOR = b"edgetpu-custom-op"


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(NetworkOptions):
    """Which Edge TPU, and what to do without it; the rest as in ``NetworkOptions``."""

    device: str | None = None
    """As libedgetpu names devices: ``usb``, ``usb:0``, ``pci``, ``pci:0``; None = the first it finds."""
    when_absent: Literal["refuse", "degrade"] = "refuse"
    """Without library, device or compiled model: ``refuse`` to start, or ``degrade`` to the CPU and say so."""
    library: str = "libedgetpu.so.1"
    """The delegate's shared library: a name the loader finds, or a path."""


def open_segmenter(options: Options, clock: Clock) -> Segmenter:
    """Open the bundle's model_edgetpu.tflite on the Edge TPU and check it against card and golden answer.

    Raises DeviceError when library or device is absent and BundleError when the compiled model is, unless
    ``when_absent`` is ``degrade``; BundleError, always, when a file is not what the card says or answers wrongly.
    """
    bundle = open_bundle(options)
    try:
        path = _compiled_model(bundle)
        delegate = _load(options)
    except (DeviceError, _NotCompiledError) as error:
        if options.when_absent == "refuse":
            raise
        return _degraded(bundle, options, str(error))
    network = open_network(path, bundle, options.threads, delegate, "edgetpu")
    runtime = Runtime(backend="edgetpu", library=network.library, accelerator="edgetpu", threads=None)
    return NetworkSegmenter(network, bundle, options, runtime)


class _NotCompiledError(BundleError):
    """The bundle is sound, but holds nothing for the Edge TPU."""


def _compiled_model(bundle: Bundle) -> Path:
    path = bundle.edgetpu_path
    if path is None:
        raise _NotCompiledError(
            f"{bundle.folder}: the bundle holds no {MODEL_EDGETPU}; make one with `python -m convert compile`, "
            "or set the backend to litert"
        )
    if _COMPILED_OPERATOR not in path.read_bytes():
        raise BundleError(
            f"{path}: holds no Edge TPU operator, so it would run on the CPU; compile it with edgetpu_compiler"
        )
    return path


def _load(options: Options) -> Any:
    choice = {} if options.device is None else {"device": options.device}
    try:
        return load_delegate(options.library, choice)
    except OSError as error:
        raise DeviceError(
            f"the Edge TPU library {options.library} cannot be loaded ({error}); install libedgetpu1-std, "
            "or set the backend to litert"
        ) from error
    except ValueError as error:
        raise DeviceError(
            f"no Edge TPU answers as {options.device or 'the first device'} ({' '.join(str(error).split())}); plug it "
            "into a USB 3 port, see whether lsusb shows 1a6e:089a or 18d1:9302, and put this user in the group plugdev"
        ) from error


def _degraded(bundle: Bundle, options: Options, reason: str) -> Segmenter:
    sentence = f"running on the CPU instead of the Edge TPU: {reason}"
    _log.warning("%s", sentence)
    network = open_network(bundle.model_path, bundle, options.threads)
    runtime = Runtime(backend="edgetpu", library=network.library, accelerator="cpu", threads=options.threads)
    return NetworkSegmenter(network, bundle, options, runtime, degraded=sentence)
