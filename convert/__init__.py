"""Workstation room: from a trained Keras model to the bundle that flies, and the checks in between."""

from __future__ import annotations

from edge.support.errors import UsageError


class ConversionError(UsageError):
    """The model cannot become a bundle; the message is one sentence that names what was found and what to do."""
