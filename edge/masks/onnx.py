"""The network on ONNX Runtime: NVIDIA's TensorRT or CUDA on a Jetson, or the CPU.

The bundle's model.onnx is the network in float, or in int8 with float ends; its logits are rounded to the card's output
scale, so that thresholds, tiles and golden answers are those of every other backend. A provider that cannot take the
whole network is refused: ONNX Runtime itself would move the rest to the CPU without a word.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edge.masks import Runtime, Segmenter
from edge.masks.bundle import Bundle
from edge.masks.golden import check_golden
from edge.masks.options import NetworkOptions
from edge.masks.preprocess import INPUT_SCALE, Int8
from edge.masks.segmenter import NetworkSegmenter, open_bundle
from edge.masks.traits import Device, Traits
from edge.support.clock import Clock
from edge.support.errors import BundleError, ConfigError, DeviceError

log = logging.getLogger(__name__)

ARTIFACT = "onnx"
MODEL, GOLDEN = "model.onnx", "golden_onnx.npz"
_MADE_BY = "python -m convert onnx"

Provider = Literal["tensorrt", "cuda", "cpu"]

_PROVIDERS: dict[str, str] = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
_ERRORS_ONLY = 3  # ONNX Runtime's log severity
_NO_CPU = "session.disable_cpu_ep_fallback"


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(NetworkOptions):
    """Which execution provider, and what to do without it; the rest as in ``NetworkOptions``."""

    provider: Provider = "tensorrt"
    """``tensorrt`` (builds an engine at each start, for minutes, unless ``engine_dir`` keeps it), ``cuda``, ``cpu``."""
    device: int = 0
    """Which GPU."""
    fp16: bool = True
    """TensorRT in half precision, which is what a Jetson is fast at; the golden answer still has to come out."""
    engine_dir: Path | None = None
    """Where TensorRT keeps engines between starts, as ``/var/cache/spanhawk``; None: built again at every start."""
    when_absent: Literal["refuse", "degrade"] = "refuse"
    """Without the provider or its device: ``refuse`` to start, or ``degrade`` to the CPU and say so."""

    def __post_init__(self) -> None:
        NetworkOptions.__post_init__(self)
        if self.device < 0:
            raise ValueError(f"device is at least 0, got {self.device}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is known of the artefact: the network, static shapes, float32 RGB in 0..1 to float32 logits."""

    opset: int
    largest_difference: float
    """Largest difference of a logit of the float model from the float TFLite model on the golden input."""
    int8_differing: float | None = None
    """Of an int8 model, the share of pixels whose mask differs from the int8 TFLite model's; None: a float model."""


def open_segmenter(options: Options, clock: Clock) -> Segmenter:
    """Open the bundle's model.onnx on the configured provider and check it against card and golden answer.

    Raises DeviceError when the provider is absent or cannot take the whole network, unless ``when_absent`` is
    ``degrade``; BundleError when the bundle has no ONNX model or it answers wrongly; ConfigError without ONNX Runtime.
    """
    bundle = open_bundle(options)
    path = bundle.path(ARTIFACT, _MADE_BY)
    facts = bundle.facts(ARTIFACT, Facts)
    int8 = facts is not None and facts.int8_differing is not None
    degraded = None
    try:
        network = OnnxNetwork(path, bundle, options, options.provider, int8)
    except DeviceError as error:
        if options.when_absent == "refuse" or options.provider == "cpu":
            raise
        degraded = f"running on the CPU instead of {options.provider}: {error}"
        log.warning("%s", degraded)
        network = OnnxNetwork(path, bundle, options, "cpu", int8)
    check_golden(bundle, ARTIFACT, network)
    threads = options.threads if network.accelerator == "cpu" else None
    runtime = Runtime(backend="onnx", library=network.library, accelerator=network.accelerator, threads=threads)
    return NetworkSegmenter(network, bundle, options, runtime, degraded)


def find_device(options: Options) -> Device | None:
    """The GPU a provider works on, as ONNX Runtime knows it; None on the CPU. Raises DeviceError, ConfigError."""
    if options.provider == "cpu":
        return None
    _, library = _runtime_with(options.provider)
    return Device(f"GPU {options.device} through {_PROVIDERS[options.provider]} of {library}")


TRAITS = Traits(
    artifact=ARTIFACT,
    made_by=_MADE_BY,
    scores="float",
    find_device=find_device,
    faster_than="litert",
    on_threads=lambda options: options.provider == "cpu",
)


class OnnxNetwork:
    """A float ONNX model behind the int8 input and output of the card."""

    def __init__(self, path: Path, bundle: Bundle, options: Options, provider: Provider, int8: bool = False) -> None:
        """Open ``path``. Raises DeviceError for an absent provider, BundleError for a file that is no such model.

        ``int8``: the file has QuantizeLinear and DequantizeLinear pairs, which TensorRT computes in int8.
        """
        self._session, self.library = _open_session(path, options, provider, int8)
        self.accelerator: str = provider
        self.exclusive = provider != "cpu"
        """Whether no operator can run elsewhere: the session does not open when the provider cannot take them all."""
        self._name = _check_against_card(path, self._session, bundle)
        source, self._result = bundle.card.input, bundle.card.output
        self._bytes = np.empty((source.height, source.width, 3), np.int8)
        self._picture = np.empty((1, source.height, source.width, 3), np.float32)
        self._answer = np.empty((self._result.height, self._result.width, self._result.channels), np.int8)

    def input(self) -> Int8:
        """int8 (H, W, 3), as the int8 model takes it: raw camera bytes minus 128."""
        return self._bytes

    def run(self) -> None:
        """Compute. Raises DeviceError when ONNX Runtime or the GPU fails."""
        raw = self._bytes.view(np.uint8) ^ np.uint8(0x80)
        np.multiply(raw, np.float32(INPUT_SCALE), out=self._picture[0], dtype=np.float32)
        try:
            (logits,) = self._session.run(None, {self._name: self._picture})
        except _onnx_errors() as error:
            raise DeviceError(
                f"the network failed on {self.accelerator} ({self.library}: {_words(error)}); "
                "look at the GPU's memory and temperature, then start again"
            ) from error
        steps = np.rint(logits[0] / np.float32(self._result.scale)) + np.float32(self._result.zero_point)
        self._answer[...] = np.clip(steps, -128, 127)

    def output(self) -> Int8:
        """int8 (h, w, c): the logits rounded to the card's output scale."""
        return self._answer


def _runtime_with(provider: Provider) -> tuple[Any, str]:
    """The module of ONNX Runtime, and its name with version. Raises ConfigError, DeviceError without the provider."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"ONNX Runtime cannot be imported ({error}); pip install onnxruntime, or on a Jetson NVIDIA's "
            "onnxruntime-gpu wheel for its JetPack"
        ) from error
    library = f"onnxruntime {onnxruntime.__version__}"
    wanted, here = _PROVIDERS[provider], onnxruntime.get_available_providers()
    if wanted not in here:
        raise DeviceError(
            f"{library} was built without {wanted} (it has {', '.join(here)}); on a Jetson install NVIDIA's "
            "onnxruntime-gpu wheel for its JetPack, or set masks.provider"
        )
    return onnxruntime, library


def _open_session(path: Path, options: Options, provider: Provider, int8: bool) -> tuple[Any, str]:
    onnxruntime, library = _runtime_with(provider)
    wanted = _PROVIDERS[provider]
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.log_severity_level = _ERRORS_ONLY
    if provider != "cpu":
        settings.add_session_config_entry(_NO_CPU, "1")
    chosen = [(wanted, _provider_options(options, provider, int8))]
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=chosen, enable_fallback=0)
    except _onnx_errors() as error:
        if provider == "cpu":
            raise BundleError(f"{path}: {library} cannot open it ({_words(error)}); make it again") from error
        raise DeviceError(
            f"{path}: {wanted} does not take the network ({library}: {_words(error)}); look at the driver with "
            "nvidia-smi or tegrastats, or set masks.provider"
        ) from error
    if session.get_providers()[0] != wanted:
        raise DeviceError(
            f"{wanted} could not be started, {session.get_providers()[0]} was ({library}); look at the GPU's driver"
        )
    return session, library


def _provider_options(options: Options, provider: Provider, int8: bool) -> dict[str, str]:
    if provider == "cpu":
        return {}
    chosen = {"device_id": str(options.device)}
    if provider == "tensorrt":
        chosen["trt_fp16_enable"] = str(options.fp16)
        chosen |= {"trt_int8_enable": "True"} if int8 else {}
        if options.engine_dir is not None:
            chosen |= {"trt_engine_cache_enable": "True", "trt_engine_cache_path": str(options.engine_dir)}
    return chosen


def _check_against_card(path: Path, session: Any, bundle: Bundle) -> str:
    """Name of the input, once types and shapes are the card's."""
    source, result = bundle.card.input, bundle.card.output
    wanted = {
        "input": (session.get_inputs(), [1, source.height, source.width, 3]),
        "output": (session.get_outputs(), [1, result.height, result.width, result.channels]),
    }
    for name, (found, shape) in wanted.items():
        if len(found) != 1 or found[0].type != "tensor(float)" or list(found[0].shape) != shape:
            described = ", ".join(f"{one.type} {list(one.shape)}" for one in found)
            raise BundleError(
                f"{path}: {name} is {described or 'absent'}, the card says one tensor(float) {shape}; "
                "model and card do not belong together"
            )
    return str(session.get_inputs()[0].name)


def _onnx_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: its own exceptions have no common base but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*own, RuntimeError, ValueError)


def _words(error: BaseException) -> str:
    """ONNX Runtime's own words on one line."""
    return " ".join(str(error).split()) or type(error).__name__
