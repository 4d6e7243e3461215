"""The network on a Coral Edge TPU: the bundle's compiled model through libedgetpu.

libedgetpu has to fit the interpreter: the builds against TensorFlow 2.17 go with today's; the one of 2021 does not.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge.masks import Runtime, Segmenter
from edge.masks.artifacts import TFLITE
from edge.masks.bundle import Bundle, MissingArtifactError
from edge.masks.interpreter import load_delegate, open_network
from edge.masks.options import NetworkOptions
from edge.masks.segmenter import NetworkSegmenter, open_bundle
from edge.masks.traits import Device, Traits
from edge.support.clock import Clock
from edge.support.errors import BundleError, DeviceError

_log = logging.getLogger(__name__)

ARTIFACT = "edgetpu"
MODEL = "model_edgetpu.tflite"
_MADE_BY = "python -m convert compile"

# The one operator a compiled model consists of; without it all would run on the CPU and nobody would know.
_COMPILED_OPERATOR = "edgetpu-custom-op"

_USB = Path("/sys/bus/usb/devices")
_APEX = Path("/sys/class/apex")
# Before and after its firmware is loaded.
_USB_IDS = (("1a6e", "089a"), ("18d1", "9302"))
_USB3_MBIT_S = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(NetworkOptions):
    """Which Edge TPU, and what to do without it; the rest as in ``NetworkOptions``."""

    device: str | None = None
    """As libedgetpu names devices: ``usb``, ``usb:0``, ``pci``, ``pci:0``; None = the first it finds."""
    when_absent: Literal["refuse", "degrade"] = "refuse"
    """Without library, device or compiled model: ``refuse`` to start, or ``degrade`` to the CPU and say so."""
    library: str = "libedgetpu.so.1"
    """The delegate's shared library: a name the loader finds, or a path."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What edgetpu_compiler said of the artefact."""

    compiler: str
    """Its version, as it prints it."""
    operators: int
    operators_mapped: int
    """How many of them run on the Edge TPU; the rest would run on the CPU."""
    subgraphs: int
    on_chip_bytes: int
    """Parameters cached in the accelerator's memory."""
    off_chip_bytes: int
    """Parameters streamed over the bus for every frame."""


def open_segmenter(options: Options, clock: Clock) -> Segmenter:
    """Open the bundle's model_edgetpu.tflite on the Edge TPU and check it against card and golden answer.

    Raises DeviceError when library or device is absent and BundleError when the compiled model is, unless
    ``when_absent`` is ``degrade``; BundleError, always, when a file is not what the card says or answers wrongly.
    """
    bundle = open_bundle(options)
    try:
        partly = _check_compiled(bundle)
        delegate = _load(options)
    except (DeviceError, MissingArtifactError) as error:
        if options.when_absent == "refuse":
            raise
        return _degraded(bundle, options, str(error))
    network = open_network(bundle, ARTIFACT, options.threads, delegate, "edgetpu")
    runtime = Runtime(backend="edgetpu", library=network.library, accelerator="edgetpu", threads=None)
    return NetworkSegmenter(network, bundle, options, runtime, degraded=partly)


def find_device(options: Options, usb: Path = _USB, apex: Path = _APEX) -> Device:
    """The Edge TPU on PCIe, USB 3 or USB 2, as Linux lists it in ``apex`` and ``usb``. Raises DeviceError."""
    if any(apex.glob("apex_*")):
        return Device("Edge TPU on PCIe")
    for device in sorted(usb.glob("*")):
        if (_text(device / "idVendor"), _text(device / "idProduct")) in _USB_IDS:
            speed = _text(device / "speed")
            fast = speed.isdigit() and int(speed) >= _USB3_MBIT_S
            slow = "plug it into a blue USB 3 port with its own cable: USB 2 is several times slower"
            return Device(f"Edge TPU on USB {3 if fast else 2} ({speed or '?'} Mbit/s)", None if fast else slow)
    raise DeviceError("no Edge TPU on USB or PCIe; plug it into a blue USB 3 port and look for it with lsusb")


TRAITS = Traits(
    artifact=ARTIFACT,
    made_by=_MADE_BY,
    find_device=find_device,
    faster_than="litert",
    operator=_COMPILED_OPERATOR,
    on_threads=lambda options: False,
)


def _check_compiled(bundle: Bundle) -> str | None:
    """Why the compiled model is slower than it could be: a part of it stays on the CPU.

    None where all of it is mapped, or the card does not say.

    Raises MissingArtifactError without the artefact, BundleError where it is not compiled or its facts are wrong.
    """
    path = bundle.path(ARTIFACT, _MADE_BY)
    facts = bundle.facts(ARTIFACT, Facts)
    if _COMPILED_OPERATOR.encode() not in path.read_bytes():
        raise BundleError(
            f"{path}: holds no Edge TPU operator, so it would run on the CPU; compile it with edgetpu_compiler"
        )
    if facts is None or facts.operators_mapped >= facts.operators:
        return None
    return (
        f"{facts.operators - facts.operators_mapped} of the {facts.operators} operators of {path.name} run on the CPU, "
        "not on the Edge TPU; compile it again with a compiler and a size that map all of them"
    )


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
    network = open_network(bundle, TFLITE, options.threads)
    runtime = Runtime(backend="edgetpu", library=network.library, accelerator="cpu", threads=options.threads)
    return NetworkSegmenter(network, bundle, options, runtime, degraded=sentence)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
