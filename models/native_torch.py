"""Train a Keras network with PyTorch's own kernels, channels last. Needs KERAS_BACKEND=torch.

Keras on PyTorch runs each layer by itself and in float32; the same graph, the same variables and the same optimizer
learn faster through `forward`, which knows the few layers our networks are made of: three times as fast with bfloat16
on a CPU that has instructions for it. One without them only imitates bfloat16, at less than half the speed of float32,
so the CPU is asked. Nothing of it flies: the weights stay in the Keras model.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import DataError

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

Step = Callable[[Any, Any], float]

BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Flags of /proc/cpuinfo: x86-64's two, and ARM's one, for multiplications in bfloat16."""


def has_bfloat16(root: Path = Path("/")) -> bool:
    """Whether this CPU multiplies in bfloat16 by itself, as Linux says; False where nobody says."""
    try:
        text = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    lines = (line.partition(":") for line in text.splitlines())
    return any(name.strip() in ("flags", "Features") and BFLOAT16 & set(flags.split()) for name, _, flags in lines)


def free_cores(root: Path = Path("/")) -> int:
    """How many threads can compute at once: what this process may use, of it what others leave, but half at least.

    Others are known by the load of the last minute. More threads than that wait for each other at every layer.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(root / "sys/fs/cgroup/cpu.max")
    if quota is not None:
        cores = max(1, min(cores, math.ceil(quota)))
    return max(1, math.ceil(cores / 2), round(cores - os.getloadavg()[0]))


def use_free_cores() -> int:
    """Set PyTorch's threads to `free_cores`, or leave what OMP_NUM_THREADS says; returns how many there are."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(free_cores())
    return int(torch.get_num_threads())


def _quota(path: Path) -> float | None:
    """Cores that a container may use at once (cgroup 2); None: no limit, or nobody says."""
    try:
        most, _, period = path.read_text(encoding="ascii").partition(" ")
        return int(most) / int(period)
    except (OSError, ValueError):  # "max 100000": no limit
        return None


def make_step(model: keras.Model) -> Step:
    """Return a function that trains `model`, compiled with an optimizer and a loss, on one batch and returns the loss.

    In bfloat16 where the processor has it (`has_bfloat16`), else in float32, on as many threads as cores are free.

    Takes what `model.train_on_batch` takes: pictures float32 (N, H, W, 3) and targets (N, h, w, c). Raises DataError
    where Keras does not run on PyTorch or the network holds a layer that `forward` does not know.
    """
    import keras
    import torch

    if keras.backend.backend() != "torch":
        raise DataError(
            f"Training with PyTorch's kernels needs KERAS_BACKEND=torch, but Keras runs on {keras.backend.backend()}."
        )
    variables = model.trainable_variables
    plan = _plan(model)
    device = variables[0].value.device
    half = torch.cuda.is_bf16_supported() if device.type == "cuda" else has_bfloat16()
    threads = use_free_cores()
    log.info("PyTorch's kernels on %s, %s, %d threads", device.type, "bfloat16" if half else "float32", threads)

    def step(images: Any, targets: Any) -> float:
        rgb = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            logits = _run(plan, rgb)
        loss = model.loss(torch.from_numpy(targets).to(device), logits.float().permute(0, 2, 3, 1))
        loss.backward()
        with torch.no_grad():
            model.optimizer.apply([variable.value.grad for variable in variables], variables)
        for variable in variables:
            variable.value.grad = None
        return float(loss.detach())

    return step


def forward(model: keras.Model, images: Any) -> Any:
    """Run float32 pictures (N, H, W, 3), numpy, in training mode; returns a tensor (N, h, w, c) in float32.

    BatchNorm uses the statistics of the batch and moves the stored ones, as Keras does in training.
    """
    import torch

    device = model.trainable_variables[0].value.device
    rgb = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
    return _run(_plan(model), rgb).float().permute(0, 2, 3, 1)


Operation = Callable[..., Any]


def _plan(model: keras.Model) -> list[tuple[Operation, list[int], int]]:
    """List the graph's operations in order: function on NCHW tensors, keys of its inputs, key of its output."""
    plan: list[tuple[Operation, list[int], int]] = [(lambda x: x, [], id(model.inputs[0]))]
    for operation in model.operations:
        (node,) = operation._inbound_nodes
        sources = [id(tensor) for tensor in node.input_tensors]
        if sources:
            plan.append((_native(operation), sources, id(node.output_tensors[0])))
    return plan


def _run(plan: list[tuple[Operation, list[int], int]], rgb: Any) -> Any:
    values = {plan[0][2]: rgb}
    for function, sources, target in plan[1:]:
        values[target] = function(*(values[source] for source in sources))
    return values[plan[-1][2]]


def _native(operation: Any) -> Operation:
    """Return PyTorch's counterpart of one Keras layer, on the layer's own variables."""
    import keras
    import torch
    from torch.nn import functional

    if isinstance(operation, keras.layers.Conv2D):
        return _convolution(operation)
    if isinstance(operation, keras.layers.BatchNormalization):
        return _normalisation(operation)
    if isinstance(operation, keras.layers.ReLU) and operation.max_value == 6 and not operation.negative_slope:
        return lambda x: functional.relu6(x)
    if isinstance(operation, keras.layers.Concatenate):
        return lambda *parts: torch.cat(parts, 1)
    if isinstance(operation, keras.layers.Add):
        return lambda *parts: sum(parts[1:], parts[0])
    if isinstance(operation, keras.layers.MaxPooling2D):
        return lambda x: functional.max_pool2d(x, operation.pool_size, operation.strides)
    if type(operation).__name__ == "Resize" and operation.interpolation == "bilinear" and not operation.antialias:
        return lambda x: functional.interpolate(x, operation.size, mode="bilinear", align_corners=False)
    raise DataError(
        f"KERAS_BACKEND=torch: no counterpart is known for the layer {operation.name} ({type(operation).__name__})."
    )


def _convolution(layer: Any) -> Operation:
    from torch.nn import functional

    stride, size = layer.strides[0], layer.kernel_size[0]
    if stride not in (1, 2) or size not in (1, 3) or (size > 1 and layer.padding != "same") or layer.groups != 1:
        raise DataError(f"KERAS_BACKEND=torch: no counterpart is known for the convolution {layer.name}.")

    def convolve(x: Any) -> Any:
        kernel = layer.kernel.value.permute(3, 2, 0, 1)
        bias = layer.bias.value if layer.use_bias else None
        if stride == 2 and size == 3:  # Keras pads an even size below and to the right only
            return functional.conv2d(functional.pad(x, (0, 1, 0, 1)), kernel, bias, 2)
        return functional.conv2d(x, kernel, bias, stride, size // 2)

    return convolve


def _normalisation(layer: Any) -> Operation:
    from torch.nn import functional

    def normalise(x: Any) -> Any:
        mean, variance = layer.moving_mean.value.data, layer.moving_variance.value.data
        return functional.batch_norm(
            x, mean, variance, layer.gamma.value, layer.beta.value, True, 1 - layer.momentum, layer.epsilon
        )

    return normalise
