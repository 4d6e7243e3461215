"""Train a few steps on one device and again on all of them, and print the losses as JSON. Argument: configuration.

Run alone in a process, so that the backend and the number of devices can be chosen.
"""

import json
import sys
from pathlib import Path

import keras

from models import DataError, parallel, train
from models.config import load_config
from models.segmentation import Segmentation
from models.sources import split_sources

path = Path(sys.argv[1])
config = load_config(path)
task = Segmentation(config, split_sources(config, path.parent), None)


def losses() -> list[float]:
    keras.utils.set_random_seed(1)
    model = train._build(config, task, path.parent)
    return [float(model.train_on_batch(*task.batch(number))) for number in range(4)]


found = {"backend": keras.backend.backend(), "alone": losses()}
try:
    parallel.share_batches(3)
except DataError as error:
    found["refused"] = str(error)
parallel.share_batches(config.train.batch)
print(json.dumps({**found, "devices": parallel.devices(), "shared": losses()}))
