"""What a bundle's card says of the accuracy of one artefact, to stand beside its speed."""

from __future__ import annotations

from typing import Any, Literal


def card_accuracy(metrics: Any, scores: Literal["float", "int8"]) -> dict[str, float]:
    """The pooled F1 of every data set on a card that holds cracks, of the float or of the int8 network."""
    found: dict[str, float] = {}
    for name, kinds in metrics.items() if isinstance(metrics, dict) else ():
        try:
            found[str(name)] = float(kinds[scores]["pooled"]["f1"]["value"])
        except (KeyError, TypeError, ValueError):
            continue  # a crack-free set has no F1, another maker's card other words
    return found
