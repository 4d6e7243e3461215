"""What a backend module of this room says of itself, so that no other file has to know it by name.

A backend is one file with ``Options``, ``open_segmenter`` and ``TRAITS``. The daemon needs the first two; ``spanhawk
doctor`` and ``spanhawk benchmark`` read the third.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from edge.support.errors import ConfigError

Instrument = Literal["roofline", "litert-benchmark"]


@dataclass(frozen=True, slots=True)
class Device:
    """An accelerator as the operating system sees it."""

    where: str
    """What and where it is, as ``Edge TPU on USB 3 (5000 Mbit/s)``."""
    advice: str | None = None
    """What to do where it works, but not as it could; None where all is well."""


def _always(options: Any) -> bool:
    return True


def _no_device(options: Any) -> Device | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What doctor and benchmark must know; functions are given the backend's own ``Options``.

    A backend with an artefact has ``Options`` that extend ``NetworkOptions``, and a segmenter with the attribute
    ``network`` (``edge.masks.golden.Network``): that is what is timed.
    """

    artifact: str | None
    """Name on the card of the artefact it runs; None: it runs no model (a fake), so it is neither fit to fly nor timed.
    """
    made_by: str | None = None
    """The command that adds this artefact to a bundle."""
    scores: Literal["float", "int8"] = "int8"
    """Which scores on the card are this artefact's: those of the float network, or of the int8 one."""
    find_device: Callable[[Any], Device | None] = _no_device
    """Looks for the accelerator without opening it; None where the options ask for none. Raises DeviceError where it is
    absent, saying what to do."""
    faster_than: str | None = None
    """Backend that an accelerator beats where it does the work itself: doctor and benchmark compare the two; None for a
    backend that is itself the measure."""
    operator: str | None = None
    """The operator that stands for the accelerator in the graph of its artefact; None where the graph has none."""
    on_threads: Callable[[Any], bool] = _always
    """Whether CPU threads change how fast it is, so that it is measured with several numbers of them."""
    instruments: frozenset[Instrument] = frozenset()
    """What else in benchmark can run this very artefact, to compare with: both know TensorFlow Lite on a CPU only."""


def traits_of(module: ModuleType) -> Traits:
    """The traits of a backend module. Raises ConfigError where it names none."""
    found = getattr(module, "TRAITS", None)
    if not isinstance(found, Traits):
        raise ConfigError(
            f"{module.__name__}: has no TRAITS, so it is not known which artefact it runs; give it "
            "TRAITS = Traits(artifact=...) of edge.masks.traits"
        )
    return found
