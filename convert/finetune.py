"""Quantisation-aware fine-tuning, for networks that lose too much when they are merely rounded.

The network learns to give its own float answers (no labels are needed) while weights and activations are rounded to
8 bits in the forward pass and gradients pass straight through (Jacob et al. 2018, CVPR, "Quantization and training of
neural networks for efficient integer-arithmetic-only inference"). BatchNorm stays as it was: per-channel rounding of
a convolution's weights is the same before and after it is folded in. Afterwards the network is converted as always.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from convert import ConversionError
from convert.frames import UInt8, to_float

if TYPE_CHECKING:
    import keras

log = logging.getLogger(__name__)

STEPS = 120
LEARNING_RATE = 2e-4


def finetune(model: keras.Model, frames: Sequence[UInt8], steps: int = STEPS, seed: int = 1) -> keras.Model:
    """Return a copy of `model` whose weights bear rounding, trained on uint8 RGB frames of the model's size.

    Raises ConversionError where the loss is not finite.
    """
    import keras
    import tensorflow as tf
    from tqdm import tqdm

    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    inputs = [to_float(frame)[0] for frame in frames]
    student = _rounded(model, _ranges(model, inputs[:: max(1, len(inputs) // 24)]))
    trained = [weight for layer in student.layers if _learns(layer) for weight in layer.trainable_weights]
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build(trained)

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow ships no types
    def step(batch: Any) -> Any:
        wanted = model(batch, training=False)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(student(batch, training=False) - wanted))
        optimizer.apply_gradients(zip(tape.gradient(loss, trained), trained, strict=True))
        return loss

    bar = tqdm(range(steps), desc="fine-tuning", unit="step", mininterval=1)
    for i in bar:
        optimizer.learning_rate = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * i / steps))
        loss = float(step(inputs[int(rng.integers(len(inputs)))][None]))
        if not math.isfinite(loss):
            raise ConversionError(f"Fine-tuning diverged at step {i} (loss {loss}); the float weights are unsound.")
        bar.set_postfix(loss=f"{loss:.4f}")
    tuned = keras.models.clone_model(model, input_tensors=model.inputs[0])
    tuned.set_weights(student.get_weights())
    return tuned


def _learns(layer: Any) -> bool:
    import keras

    return isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense))


def _ends_a_step(layer: Any) -> bool:
    """Whether the converter rounds what comes out of this layer: activations, and layers with one built in."""
    import keras

    return isinstance(layer, (keras.layers.ReLU, keras.layers.Activation)) or (
        _learns(layer) and layer.activation is not keras.activations.linear
    )


def _ranges(model: keras.Model, inputs: Sequence[Any]) -> dict[str, tuple[float, float]]:
    """Smallest and largest output of each layer whose output is rounded, 0 included, by layer name."""
    import keras

    watched = [layer for layer in model.layers if _ends_a_step(layer)]
    probe = keras.Model(model.inputs, [layer.output for layer in watched] + [model.outputs[0]])
    low, high = np.zeros(len(watched) + 1), np.zeros(len(watched) + 1)
    for picture in inputs:
        for i, answer in enumerate(probe.predict_on_batch(picture[None])):
            low[i], high[i] = min(low[i], float(np.min(answer))), max(high[i], float(np.max(answer)))
    names = [layer.name for layer in watched] + [model.layers[-1].name]
    return {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True) if b > a}


def _rounded(model: keras.Model, ranges: dict[str, tuple[float, float]]) -> keras.Model:
    """Clone `model` with its layers' weights and outputs rounded to 8 bits in the forward pass."""
    import keras

    def clone(layer: Any) -> Any:
        kind = _rounding(layer.__class__) if _learns(layer) or layer.name in ranges else layer.__class__
        made = kind.from_config(layer.get_config())
        made.output_range = ranges.get(layer.name)
        return made

    fixed = keras.Input(model.input_shape[1:], batch_size=1)
    student = keras.models.clone_model(model, input_tensors=fixed, clone_function=clone)
    student.set_weights(model.get_weights())
    return student


def _rounding(kind: type[Any]) -> type[Any]:
    """A layer class that rounds its kernel per output channel, and its output where it has an `output_range`."""
    import tensorflow as tf

    class Rounding(kind):  # type: ignore[misc]  # the base is only known when it runs
        output_range: tuple[float, float] | None = None

        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            return super().convolution_op(inputs, _round_kernel(kernel))

        def call(self, inputs: Any, **rest: Any) -> Any:
            answer = super().call(inputs, **rest)
            if self.output_range is None:
                return answer
            low, high = self.output_range
            return tf.quantization.fake_quant_with_min_max_args(answer, low, high)

    return Rounding


def _round_kernel(kernel: Any) -> Any:
    """Symmetric 8-bit rounding per last axis, as the converter rounds weights."""
    import tensorflow as tf

    kernel = tf.convert_to_tensor(kernel)
    top = tf.stop_gradient(tf.maximum(tf.reduce_max(tf.abs(kernel), axis=[0, 1, 2]), 1e-9))
    return tf.quantization.fake_quant_with_min_max_vars_per_channel(kernel, -top, top, narrow_range=True)
