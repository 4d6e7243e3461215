"""Where each frame lies beside the others: frames registered to keyframes of a common chart, on a small grey picture.

A chart is a flat local map: pixels of its first frame where no pose is known, metres along and up the surface where
poses are. Blocks of the picture are looked for in the newest keyframe (`matching`), starting from the predicted motion;
where that fails, phase correlation of the whole picture is asked, and else the prediction stands. A fit counts only
where it lies within the prediction's own uncertainty. Where there is no prediction either, the picture is looked for
larger and smaller, because a camera sways towards the wall and away from it; what is not found then is a view of
nothing in common with the others, and begins a chart of its own. A place that an earlier pass saw is recognised, and
so is where the chart before was left: a frame of glare does not end a chart. Each surface of the structure (`surfaces`)
has coordinates of its own: a pose says nothing of places on a chart of another one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edge.frames import RGB
from edge.surface.blocks import by_blocks
from edge.surface.homography import Matrix, centred, inverse, overlap, pulled, scale_at, shift, too_far, zoom
from edge.surface.keyframes import LINKED, PIXEL_DRIFT, Key, Keyframes, Unit
from edge.surface.matching import by_phase
from edge.surface.pictures import MIN_DETAIL, Grey, Picture, same_grain, small
from edge.surface.straightening import Bend

Method = Literal["first", "measured", "predicted"]

VIEW_SHIFT = 0.04
"""A frame that moved by less than this share of its width since the last view is the same view: a hover is one look."""
KEY_OVERLAP = 0.6
"""A frame that shares less than this of its keyframe's area becomes the next keyframe."""
SIZES = tuple(1.05**step for step in (-1, 1, -2, 2, -3, 3))
"""At so many times its size a lost frame is looked for once more, in the first RESIZED_IN keyframes. Blocks bear an
error of 3 % in size, phase correlation hardly more; between the ends of a sway of 7 % to both sides lies a factor of
1.15."""
RESIZED_IN = 2
LEFT_CHARTS = 4
"""So many charts that were left may be gone on with: where each was left is looked for in every lost frame, and found
where the grain agrees. Of 208 rendered pictures that share nothing two were found without that, none with it."""

CHAIN_DRIFT = 1.6
"""As PIXEL_DRIFT of `keyframes`, where the chain is weighed against the pose: errors of its links add up in one
direction, which noise alone does not."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Where the pose says that a frame lies."""

    to_chart: Matrix
    """float64 (3, 3): homography from frame pixels to metres along and up the surface."""
    sigma_m: float
    """Standard uncertainty of that place along each axis, metres."""
    surface: int = 0
    """The surface whose metres these are."""


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """Where a frame lies."""

    chart: int
    """Frames of the same chart share coordinates; a chart's number is never used again."""
    to_chart: Matrix
    """float64 (3, 3): homography from frame pixels to chart units."""
    unit: Unit
    """``px``: pixels of the chart's first frame; ``m``: metres along and up the surface. All charts in metres of one
    surface share their coordinates."""
    unit_per_px: float
    """Chart units per pixel at the middle of this frame."""
    sigma_px: float
    """Standard uncertainty of the place beside what the chart already holds here, pixels of this frame."""
    method: Method
    rebased: Matrix | None
    """float64 (3, 3): by what the chart's earlier coordinates were multiplied with this frame, because its first pose
    turned pixels into metres; None on every other frame."""
    moved: float
    """How far the view moved since the last one that counted as another view, in frame widths; 1.0 for the first."""
    bent: Bend | None = None
    """How the chart was straightened before this frame was laid on it; None on most frames."""
    surface: int = 0
    """The surface whose metres the chart has; 0 also of charts in pixels."""


class Registrar:
    """Registers the frames of one flight, in order; used by one thread. Memory is bounded by KEPT_KEYFRAMES."""

    def __init__(self) -> None:
        self._keys = Keyframes()
        self._current: Key | None = None
        self._before: Key | None = None  # the last frame, where it is not a keyframe
        self._left: deque[Key] = deque(maxlen=LEFT_CHARTS)  # where earlier charts were left, the newest last
        self._motion = np.eye(3)  # from the last frame to the one before it, small pixels
        self._last: Matrix | None = None  # the last frame in its keyframe, small pixels
        self._counted: tuple[int, Matrix] | None = None
        self._counted_shape: tuple[int, ...] = (1, 1)
        self._charts = 0
        self._metric: dict[int, int] = {}  # by surface: its newest chart in metres
        self._frames = 0

    @property
    def keyframes(self) -> int:
        """How many keyframes are kept."""
        return len(self._keys.all)

    @property
    def open_charts(self) -> set[int]:
        """The charts that a later frame may still lie on: the current one, those that may be found again, and those
        that a pose may lead to."""
        return {key.chart for key in self._loose()} | set(self._metric.values())

    @property
    def _unit(self) -> Unit:
        """Of the current chart."""
        return "px" if self._current is None else self._current.unit

    def counters(self) -> list[Any]:
        """Charts and frames so far, and which of the charts are in metres of which surface, for ``go_on``."""
        metric = {key.chart: key.surface for key in self._keys.all if key.unit == "m"}
        metric.update((chart, surface) for surface, chart in self._metric.items())
        return [self._charts, self._frames, sorted(metric.items())]

    def newest(self, count: int) -> list[tuple[Grey, Matrix]]:
        """The newest keyframes, the current one last: small grey picture, and (12,) place, chart, number, sigma."""
        keys = list(self._keys.all)[-count:]
        if self._before is not None:
            keys = [*keys[1 - count :], self._before]
        return [(key.look.grey, np.array([*key.to_chart.ravel(), key.chart, key.number, key.sigma_px])) for key in keys]

    def go_on(self, counters: list[Any], keys: list[tuple[Grey, Matrix]]) -> None:
        """Begin where an earlier run ended. The next frame is looked for in its newest keyframe, then by its pose."""
        charts, frames, metres = counters
        self._charts, self._frames = int(charts), int(frames)
        metric = {int(chart): int(surface) for chart, surface in metres}
        self._metric = {surface: chart for chart, surface in metric.items()}
        for grey, numbers in keys:
            if grey.dtype != np.uint8 or grey.ndim != 2:
                raise ValueError(f"a keyframe is uint8 (H, W), got {grey.dtype} {grey.shape}")
            to_chart, (chart, number, sigma) = numbers[:9].reshape(3, 3), numbers[9:]
            unit: Unit = "m" if int(chart) in metric else "px"
            surface = metric.get(int(chart), 0)
            key = Key(Picture.of(grey), to_chart, int(chart), int(number), float(sigma), unit=unit, surface=surface)
            self._keys.all.append(key)
            self._current, self._last = key, np.eye(3)

    def register(self, rgb: RGB, prediction: Prediction | None = None, *, placed: bool = False) -> Registered:
        """Register the next frame, uint8 (H, W, 3); ``prediction`` None: no pose or no surface is known.

        ``placed``: places outside of the chart depend on its coordinates, so that it is not straightened.
        """
        bent = None if placed or prediction is not None or self._current is None else self._straighten(self._current)
        look, shrink = small(rgb)
        up = np.diag([1 / shrink, 1 / shrink, 1.0])
        predicted = None if prediction is None else prediction.to_chart @ up
        self._frames += 1
        found, method, sigma = self._place(look, predicted, prediction, shrink)
        chart = found.chart if isinstance(found, Key) else found[0]
        to_chart = found.to_chart if isinstance(found, Key) else found[1]
        rebased = None
        if predicted is not None and prediction is not None and self._unit == "px":
            rebased = self._rebase(chart, predicted @ inverse(to_chart), prediction.surface)
            to_chart = predicted
        return self._answer(chart, to_chart @ inverse(up), rgb.shape, method, sigma / shrink, rebased, bent)

    def straighten(self, charts: Iterable[int]) -> list[Bend]:
        """At the end of the flight: how each of ``charts`` is straightened. Charts in metres are not."""
        metric = {key.chart for key in self._keys.all if key.unit == "m"}
        pixels = (chart for chart in charts if chart not in metric)
        bends = (self._keys.straighten(chart, self._loose(), all_of_it=True) for chart in pixels)
        return [bend for bend in bends if bend is not None]

    def _straighten(self, key: Key) -> Bend | None:
        if key.unit == "m":
            return None
        bend = self._keys.straighten(key.chart, self._loose())
        if bend is not None and self._counted is not None and self._counted[0] == bend.chart:
            self._counted = bend.chart, bend.matrix(self._counted[1], self._counted_shape)
        return bend

    def _loose(self) -> list[Key]:
        return [key for key in (self._current, self._before, *self._left) if key is not None]

    def _place(
        self, look: Picture, predicted: Matrix | None, prediction: Prediction | None, shrink: float
    ) -> tuple[Key | tuple[int, Matrix], Method, float]:
        for key, resumed, resized in self._asked(look, posed=_predicts(prediction, self._current)):
            if resized:
                to_key = self._resized(key, look, resumed=resumed)
            else:
                to_key = self._follow(key, look, predicted, prediction, resumed=resumed)
                # Two webs of a girder look alike in all but their grain.
                elsewhere = prediction is not None and key.unit == "m" and not _predicts(prediction, key)
                if to_key is not None and (resumed or elsewhere) and not same_grain(key.look, look, to_key):
                    continue
            if to_key is None:
                continue
            if resumed:
                self._left.remove(key)
                self._leave()
            if key is not self._current:
                self._current, self._last = key, None if resumed else np.eye(3)
                if not resumed:
                    self._recognise(key)
                    self._keys.keep(key)
            to_chart = key.to_chart @ to_key
            self._motion = np.eye(3) if self._last is None else inverse(self._last) @ to_key
            self._last = to_key
            # Without a pose nothing holds a wide uncertainty back: places far away would be asked for, and some look
            # alike.
            held = _predicts(prediction, key)
            here = predicted if held or key.unit == "px" else None
            link = CHAIN_DRIFT if held else PIXEL_DRIFT
            sigma, beside = math.hypot(key.sigma_px, link), (key.number, to_key)
            self._before = Key(look, to_chart, key.chart, self._frames, sigma, here, beside, key.unit, key.surface)
            if overlap(to_key, look.shape) < KEY_OVERLAP:
                if held and predicted is not None and prediction is not None:
                    to_chart, sigma = pulled(to_chart, sigma, predicted, prediction.sigma_m, look.shape)
                to_chart = self._new_key(look, to_chart, key.chart, sigma, here, key.unit, key.surface, beside).to_chart
            return (key.chart, to_chart), "measured", PIXEL_DRIFT
        chart = None if prediction is None else self._metric.get(prediction.surface)
        if predicted is not None and prediction is not None and self._current is not None and chart is not None:
            if _predicts(prediction, self._current):
                chart = self._current.chart
            else:
                self._leave()
            sigma = prediction.sigma_m / scale_at(predicted, look.shape)
            key = self._new_key(look, predicted, chart, sigma, predicted, "m", prediction.surface)
            return (key.chart, key.to_chart), "predicted", key.sigma_px
        return self._new_chart(look, predicted, shrink, 0 if prediction is None else prediction.surface), "first", 0.0

    def _asked(self, look: Picture, *, posed: bool) -> Iterator[tuple[Key, bool, bool]]:
        """The keyframes in which a frame is looked for, in order: whether resumed, whether at other sizes.

        A pose knows the size, and a picture without texture has none.
        """
        keys = ((self._current, False), (self._before, False), *((key, True) for key in reversed(self._left)))
        known = [(key, resumed) for key, resumed in keys if key is not None]
        yield from ((*one, False) for one in known)
        if not posed and float(look.detail.std()) >= MIN_DETAIL:
            yield from ((*one, True) for one in known[:RESIZED_IN])

    def _rebase(self, chart: int, onto: Matrix, surface: int) -> Matrix:
        """From here on the chart is in metres of that surface; other charts keep their units."""
        for key in {id(key): key for key in (*self._keys.all, *self._loose())}.values():
            if key.chart == chart:
                key.to_chart, key.unit, key.surface = onto @ key.to_chart, "m", surface
        self._metric[surface] = chart
        self._counted = None
        return onto

    def _leave(self) -> None:
        """Keep where the current chart is left."""
        if self._current is not None:
            self._left.append(self._current)

    def _new_chart(self, look: Picture, predicted: Matrix | None, shrink: float, surface: int) -> Key:
        self._leave()
        self._charts += 1
        self._counted = None
        start = np.diag([1 / shrink, 1 / shrink, 1.0]) if predicted is None else predicted
        if predicted is not None:
            self._metric[surface] = self._charts
        return self._new_key(look, start, self._charts, 0.0, predicted, "px" if predicted is None else "m", surface)

    def _new_key(
        self,
        look: Picture,
        to_chart: Matrix,
        chart: int,
        sigma_px: float,
        predicted: Matrix | None,
        unit: Unit,
        surface: int,
        beside: tuple[int, Matrix] | None = None,
    ) -> Key:
        key = Key(look, to_chart, chart, self._frames, sigma_px, predicted, beside, unit, surface)
        self._recognise(key)
        self._keys.keep(key)
        self._current, self._last, self._before = key, np.eye(3), None
        return key

    def _recognise(self, key: Key) -> None:
        """Lay a new keyframe where an earlier pass, or an earlier sway, saw its place."""
        linked = LINKED if key.unit == "px" else 1
        recognised = self._keys.recognise(key.look, key.to_chart, key.chart, key.sigma_px, key.number, linked)
        if recognised is not None:
            key.to_chart, key.sigma_px = recognised

    def _follow(
        self, key: Key, look: Picture, predicted: Matrix | None, prediction: Prediction | None, *, resumed: bool
    ) -> Matrix | None:
        """The frame in its keyframe, small pixels; None where neither blocks nor phase correlation can tell."""
        posed = _predicts(prediction, key) and not resumed
        tries = [np.eye(3)]
        if self._last is not None and not resumed:
            last = self._last if key is self._current else np.eye(3)
            tries = [last @ self._motion, last]
        if posed and predicted is not None and key.predicted is not None:
            # Turn, scale and perspective from the poses, which know them better; the shift from the pictures first.
            by_pose = inverse(key.predicted) @ predicted
            tries = [*(centred(by_pose, one, look.shape) for one in tries[:1]), by_pose, *tries[1:]]
        for start in tries:
            found = by_blocks(key.look, look, start)
            if found is None and not too_far(start, look.shape):
                found = by_phase(key.look, look, start)
            if found is None:
                continue
            if posed and prediction is not None and len(tries) > 1:
                allowed = 3 * prediction.sigma_m / scale_at(key.to_chart, look.shape) + 3 * key.sigma_px + 6
                if shift(found, tries[1], look.shape) > allowed:
                    continue
            return found
        return None

    def _resized(self, key: Key, look: Picture, *, resumed: bool) -> Matrix | None:
        """The frame in its keyframe where it shows the wall larger or smaller than the frame before; else None.

        Six sizes are six chances to find something that only looks alike, so the grain is asked too.
        """
        last = self._last if key is self._current and self._last is not None and not resumed else np.eye(3)
        for size in SIZES:
            found = by_phase(key.look, look, last @ zoom(size, look.shape))
            if found is not None and same_grain(key.look, look, found):
                return found
        return None

    def _answer(
        self,
        chart: int,
        to_chart: Matrix,
        shape: tuple[int, ...],
        method: Method,
        sigma_px: float,
        rebased: Matrix | None,
        bent: Bend | None,
    ) -> Registered:
        to_chart = to_chart / to_chart[2, 2]
        moved = 1.0
        if self._counted is not None and self._counted[0] == chart:
            back = inverse(self._counted[1]) @ to_chart
            moved = shift(back, np.eye(3), shape) / shape[1]
        if moved >= VIEW_SHIFT:
            self._counted, self._counted_shape = (chart, to_chart), shape
        surface = 0 if self._current is None else self._current.surface
        return Registered(
            chart, to_chart, self._unit, scale_at(to_chart, shape), sigma_px, method, rebased, moved, bent, surface
        )


def _predicts(prediction: Prediction | None, key: Key | None) -> bool:
    """Whether a pose says where a frame lies on the chart of ``key``."""
    return prediction is not None and key is not None and key.unit == "m" and key.surface == prediction.surface
