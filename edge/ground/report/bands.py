"""Width bands: where a code of practice draws its lines. Context, not a verdict."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from edge.support import config
from edge.support.errors import ConfigError, UsageError

WORDS = "context, not a verdict"
NO_BAND, NO_BAND_MEANING = "no band", "only an upper bound of the width is known, or nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """Edges in rising order and what lies between them; checked at construction (ValueError)."""

    source: str
    """The document and table that the edges are taken from."""
    edges_mm: tuple[float, ...]
    """A width on an edge belongs to the band below it: the codes' values are the widest that they allow."""
    names: tuple[str, ...]
    """One more than edges, narrowest first."""
    meanings: tuple[str, ...]
    wanted_mm: float | None = None
    """One of the edges: whether cracks of that width would have been found is what the report says first; None: the
    narrowest edge."""

    def __post_init__(self) -> None:
        """Refuse what is no table of bands."""
        rising = all(low < high for low, high in zip(self.edges_mm, self.edges_mm[1:], strict=False))
        if not self.edges_mm or not rising or not all(0 < edge < math.inf for edge in self.edges_mm):
            raise ValueError(f"edges_mm are one or more widths above 0 in rising order, got {list(self.edges_mm)}")
        if not len(self.names) == len(self.meanings) == len(self.edges_mm) + 1:
            raise ValueError(
                f"names and meanings have one more entry than edges_mm ({len(self.edges_mm) + 1}), got "
                f"{len(self.names)} and {len(self.meanings)}"
            )
        if self.wanted_mm is not None and self.wanted_mm not in self.edges_mm:
            raise ValueError(f"wanted_mm is one of edges_mm {list(self.edges_mm)}, got {self.wanted_mm}")
        if not self.source.strip():
            raise ValueError("source names the document that the edges are taken from; it is empty")

    @property
    def headline_mm(self) -> float:
        """``wanted_mm``, or the narrowest edge."""
        return self.edges_mm[0] if self.wanted_mm is None else self.wanted_mm

    def of(self, width_mm: float) -> int:
        """Number of the band, 0 the narrowest."""
        return bisect_left(self.edges_mm, width_mm)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    default: str
    tables: Mapping[str, Bands]


def shipped() -> Mapping[str, Bands]:
    """The tables that ship, by name."""
    return _shipped().tables


def load(wanted: str | None) -> Bands:
    """A shipped table by its name, or the default one of a TOML file; None: the shipped default.

    Raises UsageError for a name or file that is not there, ConfigError for a file that is no table of bands.
    """
    ours = _shipped()
    if wanted is None:
        return ours.tables[ours.default]
    if wanted in ours.tables:
        return ours.tables[wanted]
    if not Path(wanted).is_file():
        raise UsageError(f"--bands {wanted}: neither a file nor one of {', '.join(ours.tables)}")
    return _default(config.build(_File, config.load(Path(wanted)), wanted), wanted)


def _shipped() -> _File:
    text = resources.files("edge.ground.report").joinpath("bands.toml").read_text(encoding="utf-8")
    return config.build(_File, config.loads(text, "bands.toml"), "bands.toml")


def _default(file: _File, where: str) -> Bands:
    if file.default not in file.tables:
        raise ConfigError(f"{where}: default is {file.default!r}, which is none of its tables; name one of them")
    return file.tables[file.default]
