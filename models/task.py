"""What a network is trained to do: the seam between the training loop and the kinds of network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from models import Example
from models.batches import Batch

if TYPE_CHECKING:
    import keras

UInt8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSplit:
    """What is learned from and what is held out."""

    train: dict[str, list[Example]]
    held: dict[str, list[Example]]
    """Validation examples by set name; held-out parts of sources end in `/held`."""
    labelled: Mapping[str, int]
    """Per name of `train` and `held`, the classes whose labels are complete there, as bits."""
    dropped: Mapping[str, int]
    """Per source, pictures left out because they look like a held-out one."""
    same_photo: Mapping[str, int] = field(default_factory=dict)
    """Per source, pictures left out because another set holds their photograph out, by index.csv."""


class Task(Protocol):
    """One kind of network: how it is built, fed, judged and shown. Everything is in memory when it is made."""

    def network(self, dtype: str | None = None) -> keras.Model:
        """Build the network at the size it learns at."""

    def network_of_first_class(self) -> keras.Model | None:
        """Build it with the first class alone, to start from a network without the others; None where that is none."""

    def judge(self, dtype: str | None = None) -> keras.Model:
        """Build the network, with the same weights, at the size it is validated and saved at."""

    def loss(self) -> Any:
        """Loss for `compile`."""

    def batch(self, number: int) -> Batch:
        """Make batch `number`: pictures and targets. It depends only on the configuration and the number."""

    def teach(self, batch: Batch) -> Batch:
        """Add a teacher's opinion to a batch, where there is a teacher."""

    def score(self, judge: keras.Model) -> dict[str, float]:
        """Score on what is held out; `score` is the summary that decides which weights are best, higher is better."""

    def thresholds(self, judge: keras.Model) -> tuple[dict[str, float], dict[str, float]]:
        """Choose one threshold per class on what is held out; returns them and the scores of the first class there."""

    def sheet(self, judge: keras.Model) -> UInt8:
        """Draw examples of what is held out with the network's answer, uint8 RGB."""
