"""Frames through an opened network to masks: what every backend that runs a model file shares."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

import cv2
import numpy as np

from edge.frames import RGB, Frame
from edge.frames.tone import as_srgb
from edge.masks import Area, ClassMask, DamageClass, Mask, Runtime, preprocess, tiles
from edge.masks.bundle import Bundle, default_bundle_path, load_bundle
from edge.masks.golden import Network
from edge.masks.half import HalfLook
from edge.masks.options import NetworkOptions
from edge.masks.schedule import Rounds
from edge.masks.second import SecondLook
from edge.masks.trust import check_trust
from edge.support.clock import stopwatch_ns
from edge.support.errors import BundleError, ConfigError, DeviceError

# What lies beyond a tile's edge is missed as far in as the network looks: with the fast U-Net at 512 px a sixth of the
# crack pixels change within 16 px of the edge, a fourteenth at 32 to 48 px, one in fifty from 64 px on.
DEFAULT_OVERLAP_PX = 96
# Fitted tiles have fewer edges. On real pictures laid side by side, against the same in one piece, 0.9 to 1.5 % of the
# crack pixels differ with theirs at this overlap, 1.2 to 1.7 % with the network's own at 96 px (docs/benchmarks.md).
FITTED_OVERLAP_PX = 64


def open_bundle(options: NetworkOptions) -> Bundle:
    """Load the bundle ``options`` name and check its signature.

    Raises BundleError where it must not fly, ConfigError where the overlap does not fit its input or a key is unusable.
    """
    bundle = load_bundle(options.bundle or default_bundle_path())
    check_trust(bundle.folder, options.keys, options.unsigned)
    if bundle.card.output.kind != "logits":
        raise BundleError(
            f"{bundle.folder}: holds a patch classifier, which gives one answer for a picture and draws no mask; "
            "name the bundle of a segmentation network"
        )
    most = _most_overlap_px(bundle)
    if options.overlap_px is not None and options.overlap_px > most:
        raise ConfigError(f"overlap_px: got {options.overlap_px}; bundle {bundle.model} allows at most {most}")
    return bundle


class OtherSizes(Protocol):
    """How a network is opened at other sizes than the card's."""

    step_px: tuple[int, int]
    """Heights and widths are multiples of these."""

    def open(self, height_px: int, width_px: int) -> Network:
        """Open it for an input of this size. Raises BundleError when that does not work."""


class NetworkSegmenter:
    """A Segmenter over one network: frames of any size, tiled where they are larger than its input."""

    def __init__(
        self,
        network: Network,
        bundle: Bundle,
        options: NetworkOptions,
        runtime: Runtime,
        degraded: str | None = None,
        others: OtherSizes | None = None,
    ) -> None:
        """``others`` None: the network has one size."""
        card = bundle.card
        most = _most_overlap_px(bundle)
        self._network: Network | None = network
        self._bundle = bundle
        self._source = options.source
        self._overlap_px = min(DEFAULT_OVERLAP_PX, most) if options.overlap_px is None else options.overlap_px
        self._fitted_overlap_px = min(FITTED_OVERLAP_PX, most) if options.overlap_px is None else options.overlap_px
        self._runtime = runtime
        self._degraded = degraded
        self._table = preprocess.score_table(card.output.scale, card.output.zero_point)
        self._classes = card.damage
        self._levels = [preprocess.threshold_code(kind.threshold) for kind in self._classes]
        # A budget is shared out among many small tiles, and windows of a second look are of the network's own size.
        self._others = others if options.budget_ms is None and not options.second_look else None
        self._largest_tile = options.largest_tile
        self._fit_buffers(card.input.height, card.input.width)
        self._mosaics: list[tiles.Mosaic] = []  # one per class, all of one plan
        self._tile_overlap_px = self._overlap_px
        self._budget_ms, self._revisit_frames = options.budget_ms, options.revisit_frames
        self._rounds: Rounds | None = None
        self._half: HalfLook | None = None
        self._second: SecondLook | None = None
        pairs = zip(self._classes, self._levels, strict=True)
        levels = [level if kind.measure == "line" else None for kind, level in pairs]
        if options.asked_half_look != "off":
            self._half = HalfLook(options.asked_half_look, self._table, card.output.scale, levels)
        if options.second_look:
            self._second = SecondLook(card.input.height, card.input.width, self._table, levels, options.second_look)

    @property
    def model(self) -> str:
        """Card name and short hash, as ``fast-unet-1a2b3c4d``."""
        return self._bundle.model

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the bundle's model.tflite, hex."""
        return self._bundle.sha256

    @property
    def classes(self) -> tuple[DamageClass, ...]:
        """The card's kinds of damage."""
        return self._classes

    @property
    def runtime(self) -> Runtime:
        """What really runs."""
        return self._runtime

    @property
    def degraded(self) -> str | None:
        """Why something weaker runs than was configured, or what is asked cannot be kept; None when all is as asked."""
        rounds = self._rounds
        sentences = (self._degraded, None if rounds is None else rounds.trouble())
        return "; ".join(filter(None, sentences)) or None

    @property
    def plan(self) -> list[tiles.Tile]:
        """The tiles of the newest frame; empty before the first."""
        return self._mosaics[0].tiles if self._mosaics else []

    @property
    def network(self) -> Network:
        """What runs one tile of the newest frame, for benchmarks. Raises DeviceError when the segmenter is closed."""
        if self._network is None:
            raise DeviceError("the segmenter is closed; open it again")
        return self._network

    def segment(self, frame: Frame) -> Mask:
        """Score every pixel of ``frame``.

        Raises DeviceError when the accelerator is gone, ConfigError when ``source`` is ``lores`` and there is none.
        """
        begun_ns = stopwatch_ns()
        rgb = as_srgb(self._picture(frame), frame.tone)  # what networks are trained on
        scores = [np.empty(rgb.shape[:2], np.uint8) for _ in self._classes]
        self._fit_mosaics(rgb)
        if self._rounds is not None and not self._rounds.all_fit:
            return self._in_part(frame, rgb, scores, self._rounds, begun_ns)
        found, again = self._score_codes(rgb, scores), 0
        if self._half is not None or self._second is not None:
            found = [codes.copy() for codes in found] if len(self._mosaics[0].tiles) == 1 else found
        if self._half is not None:
            again = self._half.improve(rgb, found, self._run, self._tile_px, self._tile_overlap_px)
        if self._second is not None:
            again = self._second.improve(rgb, found, self._run)
        for index, codes in enumerate(found):
            if codes.shape != frame.rgb.shape[:2]:
                codes = scores[index] = preprocess.upsample(codes, frame.height_px, frame.width_px)
            cv2.LUT(codes, self._table, dst=scores[index])
        return self._mask(frame, scores, second_looks=again)

    def __enter__(self) -> NetworkSegmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._network = None  # the last reference: interpreter first, then its delegate

    def _picture(self, frame: Frame) -> RGB:
        if self._source == "main":
            return frame.rgb
        if frame.lores is None:
            raise ConfigError(
                f"segmenter.source is lores, but frame {frame.seq} has no lores stream; "
                "give the camera one, or set source to main"
            )
        return frame.lores

    def _mask(
        self,
        frame: Frame,
        scores: list[preprocess.UInt8],
        looked: tuple[Area, ...] | None = None,
        second_looks: int = 0,
    ) -> Mask:
        classes = [
            ClassMask(frame, kind, score, score >= level)
            for kind, score, level in zip(self._classes, scores, self._levels, strict=True)
        ]
        return Mask(frame, tuple(classes), self.model, looked, second_looks)

    def _score_codes(self, rgb: RGB, out: list[preprocess.UInt8]) -> list[preprocess.UInt8]:
        """Logit codes of all of ``rgb``, per class: in ``out`` when it took several tiles, else views of the tile."""
        plan = self._mosaics[0].tiles
        if len(plan) == 1:
            return [codes[: rgb.shape[0], : rgb.shape[1]] for codes in self._run(rgb)]
        for index in range(len(plan)) if self._rounds is None else self._rounds.every():
            answers = self._run(_cut_out(rgb, plan[index]))
            for mosaic, codes, joined in zip(self._mosaics, answers, out, strict=True):
                mosaic.add(plan[index], codes, joined)
        return out

    def _in_part(self, frame: Frame, rgb: RGB, scores: list[preprocess.UInt8], rounds: Rounds, begun_ns: int) -> Mask:
        """As many tiles as there is time for, each answering for its own area alone."""
        looked: list[Area] = []
        for score in scores:
            score[:] = 0
        for index in rounds.chosen(rgb, begun_ns):
            tile, area = self._mosaics[0].tiles[index], rounds.areas[index]
            top, left = tile.rows.start_px, tile.columns.start_px
            for score, codes in zip(scores, self._run(_cut_out(rgb, tile)), strict=True):
                piece = codes[area.top_px - top : area.bottom_px - top, area.left_px - left : area.right_px - left]
                score[area.top_px : area.bottom_px, area.left_px : area.right_px] = cv2.LUT(piece, self._table)
            looked.append(area)
        return self._mask(frame, scores, tuple(looked))

    def _fit_mosaics(self, rgb: RGB) -> None:
        """Plan the tiles anew where the picture's size has changed."""
        height, width = rgb.shape[:2]
        if self._mosaics and (self._mosaics[0].height_px, self._mosaics[0].width_px) == (height, width):
            return
        self._tile_overlap_px = self._fit_network(height, width)
        plan = tiles.plan(height, width, *self._tile_px, self._tile_overlap_px)
        self._mosaics = [tiles.Mosaic(plan) for _ in self._classes]
        shared = self._budget_ms is not None and len(plan) > 1
        self._rounds = Rounds(plan, self._budget_ms or 0.0, self._revisit_frames) if shared else None

    def _fit_network(self, height: int, width: int) -> int:
        """Open the network at the size whose tiles cover this frame with the fewest pixels; returns their overlap."""
        others, source = self._others, self._bundle.card.input
        if others is None:
            return self._overlap_px
        own_px, overlap_px = (source.height, source.width), self._fitted_overlap_px
        size = tiles.fitted((height, width), own_px, others.step_px, overlap_px, self._largest_tile)
        if size != self._tile_px:
            self._network = None  # first: two at a time take twice the memory
            self._network = others.open(*size)
            self._fit_buffers(*size)
        return self._overlap_px if size == own_px else overlap_px

    def _fit_buffers(self, height: int, width: int) -> None:
        """Room for the answer of one tile of this size."""
        card = self._bundle.card
        factor = card.output.pixel_shuffle
        cells = (card.output.height * height // card.input.height, card.output.width * width // card.input.width)
        self._tile_px = height, width
        self._cells = np.empty((len(self._classes), cells[0] * factor, cells[1] * factor), np.uint8)
        self._codes = np.empty((len(self._classes), height, width), np.uint8)

    def _run(self, rgb: RGB) -> list[preprocess.UInt8]:
        """Logit codes of one tile at the network's full input size, per class; overwritten by the next call."""
        network = self.network
        _write(rgb, network.input())
        network.run()
        raw, factor = network.output(), self._bundle.card.output.pixel_shuffle
        own = factor**2  # channels of one class
        found = []
        for index, (cells, codes) in enumerate(zip(self._cells, self._codes, strict=True)):
            shuffled = preprocess.to_codes(raw[:, :, index * own : (index + 1) * own], factor, cells)
            found.append(preprocess.upsample(shuffled, codes.shape[0], codes.shape[1], out=codes))
        return found


def _cut_out(rgb: RGB, tile: tiles.Tile) -> RGB:
    rows, columns = tile.rows, tile.columns
    return rgb[rows.start_px :, columns.start_px :][: rows.size_px, : columns.size_px]


def _write(rgb: RGB, tensor: preprocess.Int8) -> None:
    height, width = rgb.shape[:2]
    preprocess.to_input(rgb, tensor[:height, :width])
    tiles.fill_reflected(tensor, height, width)


def _most_overlap_px(bundle: Bundle) -> int:
    return min(bundle.card.input.height, bundle.card.input.width) // tiles.MAX_OVERLAP_PART
