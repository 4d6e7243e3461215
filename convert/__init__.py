"""Workstation room: from a trained Keras model to the bundle that flies, and the checks in between."""

from __future__ import annotations

from edge.support.errors import UsageError


class ConversionError(UsageError):
    """The model cannot become a bundle; the message is one sentence that names what was found and what to do."""


TOLERANCE_LSB = 4
"""A golden answer may be off by so many steps: kernels of different processors differ by up to this many after three
chained resizes."""
MAX_FRACTION_ABOVE = 0.01
"""So large a share of it may be off by more, 0 to 1."""
