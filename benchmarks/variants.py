"""What a change of the network's architecture would buy in time: variants with random weights, one interleaved run.

Says nothing about accuracy: each would have to be trained. One thread, smallest CPU times.

    python benchmarks/variants.py --json out/variants.json
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tqdm import tqdm  # noqa: E402

from benchmarks import contestants, tables  # noqa: E402
from edge.masks.bundle import default_bundle_path  # noqa: E402
from edge.masks.interpreter import open_model  # noqa: E402
from edge.tools.benchmark import board  # noqa: E402
from edge.tools.benchmark.roofline import fastest_ms  # noqa: E402

ENCODER = ((4, 2, 1), (8, 4, 1), (16, 6, 1), (32, 6, 2))
"""Stride, channels in units of the base, convolutions after the one that goes down: as in models/unet.py."""


def variant(*, join: str = "concatenate", separable_from: int = 10_000, base: int = 16, late: bool = True) -> Any:
    """The fast U-Net changed: ``join`` the paths by ``add``, ``separable_from`` so many channels on, another ``base``.

    ``late`` False: without the second convolution at stride 2.
    """
    import keras

    def conv(x: Any, channels: int, kernel: int = 3, strides: int = 1) -> Any:
        if kernel == 3 and channels >= separable_from and x.shape[-1] >= separable_from // 2:
            x = keras.layers.DepthwiseConv2D(3, strides=strides, padding="same", use_bias=False)(x)
            x = keras.layers.ReLU(max_value=6.0)(keras.layers.BatchNormalization()(x))
            kernel, strides = 1, 1
        return contestants._conv(x, channels, kernel, strides)

    size = contestants.SIZE_PX
    inputs = keras.Input((size, size, 3), batch_size=1)
    x = conv(inputs, base, strides=2)
    x = conv(x, base) if late else x
    skips = []
    for _, factor, convs in ENCODER:
        x = conv(x, base * factor, strides=2)
        for _ in range(convs):
            x = conv(x, base * factor)
        skips.append(x)
    skips.pop()
    for stride, reduced, merged in ((16, 4, 6), (8, 2, 4), (4, 2, 2)):
        skip = skips.pop()
        x = conv(x, skip.shape[-1] if join == "add" else base * reduced, kernel=1)
        x = keras.ops.image.resize(x, (size // stride, size // stride), interpolation="bilinear")
        x = keras.layers.Add()([x, skip]) if join == "add" else keras.layers.Concatenate()([x, skip])
        x = conv(x, base * merged)
    return keras.Model(inputs, keras.layers.Conv2D(16, 1)(x))


VARIANTS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "paths added, not concatenated": {"join": "add"},
    "separable from 64 channels on": {"separable_from": 64},
    "separable from 96 channels on": {"separable_from": 96},
    "added, and separable from 64 on": {"join": "add", "separable_from": 64},
    "one convolution at stride 2, not two": {"late": False},
    "half the channels (base 8)": {"base": 8},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    cache = ROOT / ".cache" / "benchmarks"
    networks = [open_model((default_bundle_path() / "model.tflite").read_bytes(), 1)]
    found: list[dict[str, Any]] = []
    for name, change in tqdm(VARIANTS.items(), desc="building", unit="net", disable=None):
        made = variant(**change)
        found.append({"name": name, "parameters": made.count_params(), "gmac": round(gmac(made), 3)})
        file = f"variant-{'-'.join(map(str, change.values())) or 'none'}.tflite"
        path = contestants.cached(
            file, functools.partial(contestants.to_int8, made), cache, Path(__file__).read_bytes()
        )
        networks.append(open_model(path.read_bytes(), 1))
    shipped, *times = fastest_ms(networks, 60)
    result = {
        "schema": "spanhawk/variants/1",
        "at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "board": asdict(board.board()),
        "shipped_ms": round(shipped, 3),
        "variants": [{**one, "cpu_min_ms": round(ms, 3)} for one, ms in zip(found, times, strict=True)],
    }
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(tables.variants(result))
    return 0


def gmac(model: Any) -> float:
    """Multiply-accumulates of all convolutions, 1e9."""
    total = 0
    for layer in model.layers:
        if hasattr(layer, "kernel") and len(layer.output.shape) == 4:
            _, rows, columns, channels = layer.output.shape
            weights = math.prod(layer.kernel.shape)
            # A depthwise kernel is (3, 3, channels, 1): one product per weight and place too.
            total += rows * columns * weights
            assert channels in layer.kernel.shape[2:], layer.name
    return total / 1e9


if __name__ == "__main__":
    sys.exit(main())
