"""What every backend that runs a bundle can be set to: tiles, threads, budget, second look, trust."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from edge.masks.trust import KEYS, Unsigned

Half = Literal["off", "blurred", "wide"]

_MAX_THREADS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkOptions:
    """What every backend that runs a bundle can be set to."""

    bundle: Path | None = None
    """Folder of the model bundle; None = the one that ships with spanhawk."""
    threads: int = field(default_factory=lambda: min(_MAX_THREADS, os.cpu_count() or 1))
    """CPU threads of the interpreter; the default is every core, at most 4."""
    overlap_px: int | None = None
    """Smallest overlap of neighbouring tiles where a frame is larger than the network's input, pixels; None = 96 (64
    for tiles of another size, see ``largest_tile``), or a quarter of the input where that is less."""
    largest_tile: float = 2.0
    """Where tiles of another size cover a frame with fewer pixels computed twice, they are used, up to so many times
    the area of the network's own input (more: faster, and more memory); 0 = always the network's own size, as it is
    with a ``budget_ms`` or a ``second_look``, and on accelerators."""
    source: Literal["main", "lores"] = "main"
    """``main``: the full picture at native scale; ``lores``: the camera's second stream, then enlarged to the frame."""
    unsigned: Unsigned = "refuse"
    """A bundle that is not signed by a trusted key: ``refuse`` it, or ``allow`` it and warn in the log."""
    keys: Path = KEYS
    """Folder of the minisign public keys (``*.pub``) this machine trusts, beside the bundles shipped with spanhawk."""
    budget_ms: float | None = None
    """Time a frame of several tiles may take, milliseconds: tiles that look like sky, water or a blur then wait; None =
    every tile of every frame is looked at."""
    revisit_frames: int = 8
    """With a budget: every tile is looked at once in so many frames, even where that breaks the budget."""
    second_look: int = 0
    """Runs of the network that a frame may take beside its tiles, to look again, enlarged, where the first look leaves
    doubt (edge/masks/second.py); 0 = none."""
    half_look: Half | None = None
    """``blurred``: a frame that is measurably blurred is looked at once more, at half size, for about a third more of
    the network's time (edge/masks/half.py). ``wide``: a frame that shows a crack of 11 px or more is, so that wide
    cracks are read whole. ``off``: none is. None: ``wide``, or ``off`` where ``budget_ms``, a ``second_look`` or
    ``source`` forbids it."""

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads is at least 1, got {self.threads}")
        if self.overlap_px is not None and self.overlap_px < 0:
            raise ValueError(f"overlap_px is at least 0, got {self.overlap_px}")
        if not 0 <= self.largest_tile <= 64:
            raise ValueError(f"largest_tile is 0 to 64, got {self.largest_tile}")
        if self.budget_ms is not None and self.budget_ms <= 0:
            raise ValueError(f"budget_ms is above 0, got {self.budget_ms}; leave it out to look at everything")
        if self.budget_ms is not None and self.source != "main":
            raise ValueError("budget_ms shares out the tiles of the full picture; it needs source to be main")
        if self.revisit_frames < 1:
            raise ValueError(f"revisit_frames is at least 1, got {self.revisit_frames}")
        if self.second_look < 0:
            raise ValueError(f"second_look is 0 (none) or a number of runs for each frame, got {self.second_look}")
        if self.second_look and (self.budget_ms is not None or self.source != "main"):
            raise ValueError("second_look needs all tiles of the full picture: leave out budget_ms, and source is main")
        if self.half_look is not None and self.half_look not in get_args(Half):
            raise ValueError(f"half_look is off, blurred or wide, got {self.half_look!r}")
        if self.half_look not in (None, "off") and not self._sees_all:
            raise ValueError(
                "half_look needs the full picture: leave out budget_ms and second_look, and source is main"
            )

    @property
    def asked_half_look(self) -> Half:
        """``half_look``, with what None stands for."""
        return self.half_look or ("wide" if self._sees_all else "off")

    @property
    def _sees_all(self) -> bool:
        return not self.second_look and self.budget_ms is None and self.source == "main"
