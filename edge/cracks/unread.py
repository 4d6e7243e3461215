"""Lines of a frame whose widths are still to be read: all at once, or later and only those that are asked for."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from edge.cracks import Crack
from edge.cracks.lines import Flags, Floats, Index
from edge.cracks.path import lengths, simplified
from edge.cracks.profile import Picture
from edge.cracks.skeleton import Points
from edge.cracks.width import Guide, Measured, measure, measure_mask


@dataclass(frozen=True, slots=True, eq=False)
class Unread:
    """Lines of one frame before their profile is read, which is two fifths of the time that tracing takes."""

    guide: Guide
    usable: Flags
    """(N,): see ``edge.cracks.width``."""
    score: Floats
    """(L,): mean score of the network, 0 to 1."""
    piece: Index
    """(L,): number of the connected piece of the mask."""
    picture: Picture
    corner: Points
    """(2,): where the picture's first pixel lies in the frame."""
    by_profile: bool
    """False: the mask's own width is all that is asked for."""
    simplify_px: float
    """See ``TraceOptions``."""

    def cracks(self, *, put_off: bool) -> tuple[Crack, ...]:
        """All lines as cracks, longest first; with ``put_off`` the profile is not read."""
        if put_off and self.by_profile:
            return self._described(measure_mask(self.guide, self.usable), np.arange(len(self.score)), rough=True)
        return self._read(np.ones(len(self.score), np.bool_))

    def read(self, lines: Collection[int]) -> Mapping[int, Crack]:
        """The cracks of some ``lines`` (``Crack.line``) with their profile read, by line.

        Their ``component`` counts among these alone.
        """
        if not lines:
            return {}
        wanted = np.zeros(len(self.score), np.bool_)
        wanted[list(lines)] = True
        return {crack.line: crack for crack in self._read(wanted)}

    def pieces_of(self, cracks: Collection[Crack]) -> list[int]:
        """The number of the piece of each ``component`` of ``cracks``."""
        return list(dict.fromkeys(int(self.piece[crack.line]) for crack in cracks))

    def _read(self, wanted: Flags) -> tuple[Crack, ...]:
        guide, usable = self.guide, self.usable
        if not wanted.all():
            guide, usable = guide.only(wanted), usable[wanted[guide.paths.rows.owner]]
        measured = measure(guide, self.picture, usable) if self.by_profile else measure_mask(guide, usable)
        return self._described(measured, np.flatnonzero(wanted), rough=False)

    def _described(self, measured: Measured, lines: Index, *, rough: bool) -> tuple[Crack, ...]:
        length = lengths(measured.paths)[measured.paths.rows.last]
        kept, mean_width = simplified(measured.paths, measured.width_px, self.simplify_px)
        xy = (kept.xy + self.corner).astype(np.float32)
        width = mean_width.astype(np.float32)
        component: dict[int, int] = {}
        cracks = []
        for row in np.argsort(-length, kind="stable").tolist():
            own = np.s_[kept.rows.first[row] : kept.rows.last[row] + 1]
            by_profile = bool(measured.by_profile[row])
            at_most, line = float(measured.at_most_px[row]), int(lines[row])
            crack = Crack(
                path_px=xy[own],
                length_px=float(length[row]),
                width_px=width[own],
                width_sigma_px=float(measured.sigma_px[row]) if by_profile else None,
                width_method="profile" if by_profile else "rough" if rough else "mask",
                score=float(self.score[line]),
                component=component.setdefault(int(self.piece[line]), len(component)),
                width_at_most_px=None if math.isnan(at_most) else at_most,
                line=line,
            )
            cracks.append(crack)
        return tuple(cracks)
