"""How far a network is from what the machine can do at all: each operator against its own limit.

The limit of an operator is the larger of its multiply-accumulates over the best rate that any int8 convolution
reaches here, through the same interpreter, and its bytes over the rate of a copy within the cache (Williams, Waterman
and Patterson 2009). Both rates are measured, so the distance holds what kernels lose to shapes, borders and few
channels, not what a data sheet promises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.masks.interpreter import TfliteNetwork, open_model
from edge.support.clock import cpu_ns
from edge.tools.benchmark.surgery import Part, convolution, parts

# Convolutions that fit the cache and fill every vector: whichever is fastest is the machine's best.
_TIGHT = ((64, 64, 128, 3), (32, 32, 256, 3), (16, 16, 512, 3), (64, 64, 256, 1))
# What a copy moves within the cache (activations of one tile) and from memory, bytes.
_NEAR_BYTES, _FAR_BYTES = 1 << 20, 64 << 20


@dataclass(frozen=True, slots=True)
class Machine:
    """What one core can do, measured."""

    gmac_per_s: float
    """int8 multiply-accumulates, 1e9 per second, of the best convolution."""
    near_gb_per_s: float
    """A copy of 1 MiB, read and write together, 1e9 bytes per second."""
    far_gb_per_s: float
    """A copy of 64 MiB."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operator: what it took and what it could take."""

    name: str
    output: tuple[int, ...]
    mmac: float
    moved_kb: float
    cpu_ms: float
    limit_ms: float


@dataclass(frozen=True, slots=True)
class Roofline:
    """A network against the machine, one thread, smallest CPU times."""

    machine: Machine
    whole_ms: float
    """The whole network in one run."""
    limit_ms: float
    """Sum of the operators' limits."""
    steps: tuple[Step, ...]

    @property
    def share(self) -> float:
        """Which part of the machine's best is reached, 0 to 1."""
        return self.limit_ms / self.whole_ms


def roofline(content: bytes, rounds: int = 40) -> Roofline:
    """Measure the .tflite bytes ``content``. Raises ConfigError where the file cannot be taken apart."""
    taken_apart = parts(content)
    kernels = [(open_model(model, 1), macs) for model, macs in (convolution(*shape) for shape in _TIGHT)]
    networks = [open_model(part.content, 1) for part in taken_apart]
    whole = open_model(content, 1)
    best = fastest_ms([whole, *networks, *(kernel for kernel, _ in kernels)], rounds)
    rates = [macs / ms / 1e6 for (_, macs), ms in zip(kernels, best[1 + len(networks) :], strict=True)]
    machine = Machine(max(rates), _copy_gb_per_s(_NEAR_BYTES, rounds), _copy_gb_per_s(_FAR_BYTES, max(3, rounds // 8)))
    steps = tuple(_step(part, ms, machine) for part, ms in zip(taken_apart, best[1:], strict=False))
    return Roofline(machine, best[0], sum(step.limit_ms for step in steps), steps)


def fastest_ms(networks: list[TfliteNetwork], rounds: int) -> list[float]:
    """Smallest CPU time of each network over interleaved rounds; two runs a turn, the first warms the cache."""
    best = [float("inf")] * len(networks)
    for _ in range(rounds):
        for i, network in enumerate(networks):
            network.run()
            before = cpu_ns()
            network.run()
            best[i] = min(best[i], (cpu_ns() - before) / 1e6)
    return best


def _step(part: Part, ms: float, machine: Machine) -> Step:
    limit = max(part.macs / machine.gmac_per_s, part.moved_bytes / machine.near_gb_per_s) / 1e6
    return Step(part.name, part.output, part.macs / 1e6, part.moved_bytes / 1e3, ms, limit)


def _copy_gb_per_s(size: int, rounds: int) -> float:
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    times = max(1, _FAR_BYTES // size)
    best = float("inf")
    for _ in range(rounds):
        before = cpu_ns()
        for _ in range(times):
            np.copyto(target, source)
        best = min(best, (cpu_ns() - before) / times)
    return 2 * size / best
