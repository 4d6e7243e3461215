"""The same training on JAX, on one device and on several; and in mixed precision."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from models import DataError, parallel
from tests.models.sets import ROOT, configure, run

pytest.importorskip("keras")
pytest.importorskip("tensorflow")

needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
TWO = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
# Compiling takes nearly all of the time, and a few steps repay no optimiser.
QUICK = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


@needs_jax
def test_two_devices_learn_what_one_learns(tmp_path):
    code, out, err = run([str(ROOT / "tests/models/stepping.py"), str(configure(tmp_path, batch=4))], **TWO)
    assert code == 0, err[-3000:]
    found = json.loads(out.splitlines()[-1])
    assert (found["backend"], found["devices"]) == ("jax", 2)
    assert "batch = 3 cannot be shared equally among 2 devices" in found["refused"]
    assert len(set(found["alone"])) == 4
    assert np.allclose(found["alone"], found["shared"], rtol=1e-3)


@needs_jax
def test_whole_training_on_jax_shared_by_two_devices(tmp_path):
    config = configure(tmp_path, steps=2, train="data_parallel = true\n")
    code, out, err = run(["-m", "models", "train", str(config), "--out", str(tmp_path / "out")], **TWO, **QUICK)
    assert code == 0, err[-3000:]
    assert "shared among 2 devices" in err
    assert json.loads((tmp_path / "out/run.json").read_text())["backend"] == "jax"
    assert np.isfinite(json.loads(out)["score"])


def test_sharing_without_jax_is_refused():
    with pytest.raises(DataError, match="needs Keras on JAX but it runs on tensorflow"):
        parallel.share_batches(4)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_learns_and_resumes(tmp_path, precision):
    from models.train import train

    line = f'precision = "{precision}"\n'
    scores = train(configure(tmp_path, steps=2, train=line), tmp_path, tmp_path / "out")
    if precision == "mixed_float16":  # the optimizer that scales the loss has a state of its own
        scores = train(configure(tmp_path, steps=4, train=line), tmp_path, tmp_path / "out")
    assert np.isfinite(scores["score"])
    import keras

    weights = keras.models.load_model(tmp_path / "out/model.keras", compile=False).get_weights()
    assert all(np.isfinite(one).all() for one in weights)
    assert {str(one.dtype) for one in weights} == {"float32"}
