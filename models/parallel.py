"""Share each batch among the devices of this machine: data parallel training through `keras.distribution` on JAX."""

from __future__ import annotations

import logging

from models import DataError

log = logging.getLogger(__name__)


def share_batches(batch: int) -> None:
    """Split every batch among all devices that JAX sees, weights copied to each; call it before a network is built.

    Raises DataError where Keras does not run on JAX, and where the devices do not divide the batch.
    """
    import keras

    if keras.backend.backend() != "jax":
        raise DataError(
            f"[train] data_parallel needs Keras on JAX but it runs on {keras.backend.backend()}: install the jax extra "
            "and set KERAS_BACKEND=jax."
        )
    found = len(keras.distribution.list_devices())
    if batch % found:
        raise DataError(f"[train] batch = {batch} cannot be shared equally among {found} devices; take a multiple.")
    keras.distribution.set_distribution(keras.distribution.DataParallel())
    log.info("every batch of %d is shared among %d devices", batch, found)


def devices() -> int:
    """Number of devices that batches are shared among; 1 without `share_batches`."""
    import keras

    spread = keras.distribution.distribution()
    return 1 if spread is None else int(spread.device_mesh.devices.size)
