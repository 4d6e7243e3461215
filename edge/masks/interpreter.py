"""The door to the TensorFlow Lite interpreters: the only module that imports them.

ai-edge-litert is used wherever it is installed; tflite-runtime is accepted, never preferred: it is several times
slower, and a broken model file, which only the card's hashes keep from it, can end the process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.masks.anysize import AnySize, any_size
from edge.masks.bundle import Bundle
from edge.masks.golden import check_golden
from edge.masks.preprocess import Int8
from edge.support.errors import BundleError, ConfigError, DeviceError

# Scales travel through JSON as text; any real difference between two calibrations is far larger.
_SCALE_TOLERANCE = 1e-6
_DELEGATE_SYMBOL = "tflite_plugin_create_delegate"


@dataclass(frozen=True, slots=True)
class Operator:
    """One node of an opened model's graph; tensors are numbers."""

    name: str
    """As in the file, ``CONV_2D``; ``DELEGATE`` for what stands in for the operators a delegate took over."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class TfliteNetwork:
    """One int8 model, opened and checked against its card; used by one thread."""

    exclusive = False
    """The interpreter leaves to the CPU what a delegate does not take, so ``operators`` has to show who did it."""

    def __init__(self, interpreter: Any, library: str, accelerator: str) -> None:
        self._interpreter = interpreter
        self._input = interpreter.tensor(interpreter.get_input_details()[0]["index"])
        self._output = interpreter.tensor(interpreter.get_output_details()[0]["index"])
        self.library = library
        """Interpreter and its version, as ``ai-edge-litert 2.3.0``."""
        self.accelerator = accelerator
        """What owns the operators, as ``cpu``."""

    def input(self) -> Int8:
        """The input tensor itself, int8 (H, W, 3), to be written in full before each ``run``.

        The view must be gone when ``run`` is called: the interpreter refuses to run while one is held.
        """
        view: Int8 = self._input()[0]
        return view

    def run(self) -> None:
        """Compute. Raises DeviceError when the interpreter or the accelerator fails."""
        try:
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise DeviceError(
                f"the network failed on {self.accelerator} ({self.library}: {_words(error)}); "
                "check the accelerator's cable, power and temperature, then start again"
            ) from error

    def output(self) -> Int8:
        """The output tensor itself, int8 (h, w, c), valid until the next ``run``; not to be held through it."""
        view: Int8 = self._output()[0]
        return view

    def operators(self) -> tuple[Operator, ...] | None:
        """The graph's nodes, those of the file first and then the delegates'; None where the interpreter cannot say."""
        listing = getattr(self._interpreter, "_get_ops_details", None)  # not public, but there since TensorFlow 2.4
        if listing is None:
            return None
        return tuple(
            Operator(str(node["op_name"]), tuple(map(int, node["inputs"])), tuple(map(int, node["outputs"])))
            for node in listing()
        )


def load_delegate(library: str, options: Mapping[str, str]) -> Any:
    """Load an external delegate, an accelerator's shared library.

    Raises OSError when the library is absent, does not load or is no delegate; ValueError when it finds no device.
    """
    module, _ = _vendor()
    # Looked up here first: the vendor's loader leaves an object behind that cannot even be deleted quietly.
    if not hasattr(ctypes.CDLL(library), _DELEGATE_SYMBOL):
        raise OSError(f"{library} has no {_DELEGATE_SYMBOL}: it is not a TensorFlow Lite delegate")
    return module.load_delegate(library, dict(options))


def open_network(
    bundle: Bundle, artifact: str, threads: int, delegate: Any | None = None, accelerator: str = "cpu"
) -> TfliteNetwork:
    """Open ``bundle``'s artefact of that name, a .tflite file, on ``delegate`` where given.

    Raises BundleError when the bundle has none, when the file is not the int8 network its card describes, or when it
    does not give the golden answer.
    """
    path = bundle.path(artifact)
    module, library = _vendor()
    try:
        interpreter = module.Interpreter(
            model_path=str(path), num_threads=threads, experimental_delegates=None if delegate is None else [delegate]
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise BundleError(
            f"{path}: {library} cannot open it ({_words(error)}); this is no model it can run: convert it again"
        ) from error
    except SystemError as error:  # tflite-runtime 2.14 was built for numpy 1 and only fails here
        raise ConfigError(
            f"{library} does not work with numpy {np.__version__}; install ai-edge-litert, or numpy<2 beside it"
        ) from error
    _check_against_card(path, interpreter, bundle)
    network = TfliteNetwork(interpreter, library, accelerator)
    check_golden(bundle, artifact, network)
    return network


class OtherSizes:
    """The network of a bundle at sizes other than the card's, on the CPU."""

    def __init__(self, sizes: AnySize, path: Path, threads: int) -> None:
        self._sizes, self._path, self._threads = sizes, path, threads
        self.step_px = sizes.step
        """Heights and widths are multiples of these, pixels."""

    def open(self, height_px: int, width_px: int) -> TfliteNetwork:
        """Open it for an input of this size. Raises BundleError when the interpreter does not take it."""
        module, library = _vendor()
        try:
            content = self._sizes.at(height_px, width_px)
            interpreter = module.Interpreter(model_content=content, num_threads=self._threads)
            number = interpreter.get_input_details()[0]["index"]
            interpreter.resize_tensor_input(number, (1, height_px, width_px, 3))
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise BundleError(
                f"{self._path}: {library} does not open it for {width_px} x {height_px} pixels ({_words(error)}); "
                "set masks.largest_tile to 0, which keeps the size that the bundle was made for"
            ) from error
        return TfliteNetwork(interpreter, library, "cpu")


def other_sizes(bundle: Bundle, artifact: str, threads: int) -> OtherSizes | None:
    """How ``bundle``'s artefact can be opened at other sizes; None where its answer would depend on the size."""
    path = bundle.path(artifact)
    sizes = any_size(path.read_bytes())
    return None if sizes is None else OtherSizes(sizes, path, threads)


def open_model(content: bytes, threads: int) -> TfliteNetwork:
    """Open the bytes of any model on the CPU, without card or golden answer: for measuring, never for flying.

    Its inputs are filled with noise. Raises BundleError when the interpreter cannot open it.
    """
    module, library = _vendor()
    try:
        interpreter = module.Interpreter(model_content=content, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise BundleError(f"{library} cannot open this model ({_words(error)}); convert it again") from error
    noise = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        values = noise.integers(0, 128, detail["shape"])
        interpreter.set_tensor(
            detail["index"], (values / 128 if detail["dtype"] == np.float32 else values).astype(detail["dtype"])
        )
    return TfliteNetwork(interpreter, library, "cpu")


def _vendor() -> tuple[Any, str]:
    """The interpreter's module and its name with version."""
    try:
        import ai_edge_litert
        from ai_edge_litert import interpreter as litert
    except ImportError as error:
        return _older_vendor(error)
    return litert, f"ai-edge-litert {ai_edge_litert.__version__}"


def _older_vendor(missing: ImportError) -> tuple[Any, str]:
    try:
        import tflite_runtime
        from tflite_runtime import interpreter as tflite
    except ImportError:
        raise ConfigError(
            f"no TensorFlow Lite interpreter can be imported ({missing}); pip install ai-edge-litert "
            "(2.0.3 on systems older than glibc 2.34, as Bullseye)"
        ) from missing
    return tflite, f"tflite-runtime {tflite_runtime.__version__}"


def _check_against_card(path: Path, interpreter: Any, bundle: Bundle) -> None:
    source, result = bundle.card.input, bundle.card.output
    _check_tensor(
        path,
        "input",
        interpreter.get_input_details(),
        (1, source.height, source.width, 3),
        source.scale,
        source.zero_point,
    )
    _check_tensor(
        path,
        "output",
        interpreter.get_output_details(),
        (1, result.height, result.width, result.channels),
        result.scale,
        result.zero_point,
    )


def _check_tensor(
    path: Path, name: str, details: list[dict[str, Any]], shape: tuple[int, ...], scale: float, zero_point: int
) -> None:
    if len(details) != 1:
        raise BundleError(f"{path}: the model has {len(details)} {name}s, spanhawk needs one; convert it again")
    detail = details[0]
    _compare(path, f"{name} type", np.dtype(detail["dtype"]).name, "int8")
    _compare(path, f"{name} shape", tuple(int(n) for n in detail["shape_signature"]), shape)  # -1 where it is dynamic
    actual_scale, actual_zero_point = detail["quantization"]
    if not np.isclose(actual_scale, scale, rtol=_SCALE_TOLERANCE, atol=0):
        _compare(path, f"{name} scale", float(actual_scale), scale)
    _compare(path, f"{name} zero point", int(actual_zero_point), zero_point)


def _compare(path: Path, what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise BundleError(
            f"{path}: {what} is {actual}, the card says {expected}; model and card do not belong together"
        )


def _words(error: BaseException) -> str:
    """The interpreter's own words on one line."""
    return " ".join(str(error).split()) or type(error).__name__
