"""The network on the CPU: LiteRT (or tflite-runtime) with its XNNPACK kernels."""

from __future__ import annotations

from dataclasses import dataclass

from edge.masks import Runtime, Segmenter
from edge.masks.artifacts import TFLITE
from edge.masks.interpreter import open_network, other_sizes
from edge.masks.options import NetworkOptions
from edge.masks.segmenter import NetworkSegmenter, open_bundle
from edge.masks.traits import Traits
from edge.support.clock import Clock

TRAITS = Traits(artifact=TFLITE, instruments=frozenset({"roofline", "litert-benchmark"}))


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(NetworkOptions):
    """Which bundle, how many threads, which picture, how tiles overlap: see ``NetworkOptions``."""


def open_segmenter(options: Options, clock: Clock) -> Segmenter:
    """Open the bundle's model.tflite on the CPU and check it against its card and golden answer.

    Raises BundleError when it must not fly, ConfigError when no interpreter is installed.
    """
    bundle = open_bundle(options)
    network = open_network(bundle, TFLITE, options.threads)
    runtime = Runtime(backend="litert", library=network.library, accelerator="cpu", threads=options.threads)
    others = other_sizes(bundle, TFLITE, options.threads) if options.largest_tile > 0 else None
    return NetworkSegmenter(network, bundle, options, runtime, others=others)
