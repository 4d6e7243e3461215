"""PyTorch's own kernels against Keras on PyTorch. In a process of its own: a backend is chosen once per process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch: pip install --group torch to train with its kernels"
)

PARITY = """
    import keras, numpy as np
    from models import native_torch, unet
    rng = np.random.default_rng(0)
    images = rng.random((4, 64, 96, 3), np.float32)
    for model in (unet.fast_unet(64, 96), unet.classic_unet(64, 96, base=8, depth=3)):
        start = [np.array(one) for one in model.get_weights()]
        expected = keras.ops.convert_to_numpy(model(images, training=True))
        moved = model.get_weights()
        model.set_weights(start)
        answer = native_torch.forward(model, images).detach().numpy()
        np.testing.assert_allclose(answer, expected, rtol=1e-3, atol=1e-3 * float(np.abs(expected).max()))
        for mine, keras_s in zip(model.get_weights(), moved):
            np.testing.assert_allclose(mine, keras_s, rtol=0.05, atol=2e-3)
"""

LEARNS = """
    import keras, numpy as np
    from models import losses, native_torch, unet
    rng = np.random.default_rng(0)
    images = rng.random((4, 64, 64, 3), np.float32)
    labels = (rng.random((4, 16, 16, 16)) > 0.9).astype(np.float32)
    targets = np.concatenate([labels, np.ones_like(labels)], axis=-1)
    def trained(native):
        keras.utils.set_random_seed(1)
        model = unet.fast_unet(64, 64)
        optimizer = keras.optimizers.AdamW(1e-3, weight_decay=1e-2, global_clipnorm=1.0)
        model.compile(optimizer, losses.crack_loss(), jit_compile=False)
        step = native_torch.make_step(model) if native else model.train_on_batch
        return [float(step(images, targets)) for _ in range(6)]
    fast, slow = trained(True), trained(False)
    assert fast[-1] < fast[0] - 0.01, fast
    np.testing.assert_allclose(fast, slow, atol=0.02)  # bfloat16 against float32
"""

UNKNOWN = """
    import keras
    from models import DataError, native_torch
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Conv2D(2, 1)(inputs)))
    model.compile("adam", "mse")
    try:
        native_torch.make_step(model)
    except DataError as error:
        assert "softmax" in str(error), error
    else:
        raise AssertionError("an unknown layer was taken")
"""


@pytest.mark.parametrize("script", [PARITY, LEARNS, UNKNOWN], ids=["parity", "learns", "unknown layer"])
def test_with_pytorch(script: str) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
