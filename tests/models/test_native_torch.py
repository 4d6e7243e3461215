"""PyTorch's own kernels against Keras on PyTorch. In a process of its own: a backend is chosen once per process."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from models import native_torch

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch: pip install --group torch to train with its kernels"
)

PARITY = """
    import keras, numpy as np
    from models import native_torch, unet
    rng = np.random.default_rng(0)
    images = rng.random((4, 64, 96, 3), np.float32)
    small = unet.fast_unet(64, 96, size=unet.SIZES["fast_unet_s"])
    for model in (unet.fast_unet(64, 96), small, unet.classic_unet(64, 96, base=8, depth=3)):
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
    np.testing.assert_allclose(fast, slow, atol=0.02)  # bfloat16, where the CPU has it, against float32
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


@needs_torch
@pytest.mark.parametrize("script", [PARITY, LEARNS, UNKNOWN], ids=["parity", "learns", "unknown layer"])
def test_with_pytorch(script: str) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def cpu(root: Path, flags: str, quota: str = "max 100000") -> Path:
    """A machine that says this of itself."""
    for path, text in (("proc/cpuinfo", f"processor\t: 0\n{flags}\n\n"), ("sys/fs/cgroup/cpu.max", quota)):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16", True),
        ("flags\t\t: fpu avx2 amx_bf16 amx_tile", True),
        ("Features\t: fp asimd i8mm bf16", True),
        ("flags\t\t: fpu avx2 avx512f avx512bw", False),
        ("model name\t: avx512_bf16", False),
    ],
)
def test_bfloat16_only_where_the_cpu_has_it(tmp_path, flags, found):
    assert native_torch.has_bfloat16(cpu(tmp_path, flags)) is found


def test_threads_are_what_others_and_the_container_leave(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def threads(load: float, quota: str = "max 100000") -> int:
        monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
        return native_torch.free_cores(cpu(tmp_path, "", quota))

    assert [threads(load) for load in (0.1, 3.0, 30.0)] == [8, 5, 4]
    assert threads(0.1, "150000 100000") == 2
    assert not native_torch.has_bfloat16(tmp_path / "nothing known")
