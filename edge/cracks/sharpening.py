"""The sharpening that a camera's firmware did before it wrote the picture, undone on profiles.

Firmware sharpens codes, not light, by an unsharp mask: code + amount * (code - code blurred by a Gaussian of radius r).
Its transfer 1 + a - a * exp(-(r w)^2 / 2) lies between 1 and 1 + a, so its inverse exists and never raises noise. The
mask is round, a crack is straight over a few pixels: across it the same formula holds in one dimension. What was cut
off at white or black is lost.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import cv2
import numpy as np

from edge.cracks.blur import Fit, weigh
from edge.cracks.lines import Floats
from edge.cracks.moved import Ways, weigh_moved
from edge.cracks.path import Reals
from edge.cracks.pooled import Pooled
from edge.cracks.profile import Across
from edge.frames import Tone
from edge.frames.tone import light_of, srgb_codes


class Sharpening(NamedTuple):
    """An unsharp mask."""

    amount: float
    """0: none."""
    radius_px: float
    """Gaussian sigma."""


GUESSES = (
    Sharpening(0.0, 1.0),
    *(Sharpening(amount, radius) for amount in (0.4, 0.8, 1.2, 1.6) for radius in (0.7, 1.0, 1.4)),
)
"""What is tried on a picture: none to strong, with the radii that firmware uses."""

COARSE_PX = 1.0
"""Readings farther apart than this, of very wide cracks, are left as they are: these do not feel it."""
ODDS = 8.0
"""How much more usual no sharpening is than any one of the other guesses."""
UNSURE = 0.05
"""Nothing is undone on the profiles while no sharpening is at least this likely."""
MOST = 6.0
"""One line speaks for or against a guess with at most this much, a logarithm: an odd border does not decide alone."""

_REACH_PX = 5.0


class Guessed(NamedTuple):
    """What the lines of a picture, all together, tell of its sharpening."""

    sharpening: Sharpening
    """The most likely one; none where that is likely enough."""
    width_px: Floats
    """(L,): width of each line's pooled profile, averaged over all guesses by how likely they are."""
    doubt: Floats
    """(L,): relative standard deviation of that over the guesses."""
    plain: Fit
    """What the profiles tell if there was no sharpening."""


def guess(pooled: Pooled, tone: Tone, ways: Ways | None = None) -> Guessed:
    """Undo every guess on each line's pooled profile and see which leaves the shapes of blurred boxes.

    A picture is sharpened alike everywhere, so the evidence of its lines adds up (Bayes' rule, lines independent).
    ``ways``: how far the picture moved across the lines; None: it stood still.
    """
    count = len(pooled.light)
    light = pooled.light[:, None].astype(np.float32)
    codes = _to_codes(light * (1 - pooled.missing.values), tone)
    steps = np.round(pooled.missing.step_px, 3)
    blunt = 1 - to_light(_all_blunted(codes, steps), tone) / light
    values = np.concatenate((pooled.missing.values[None], blunt)).reshape(-1, codes.shape[1])
    line = np.arange(len(values)) % count
    tried = pooled.missing.only(line)._replace(values=values)
    found = weigh(tried, pooled.error[line], pooled.middle_px[line], pooled.fwhm_px[line])
    evidence, width = (v.reshape(-1, count) for v in (found.evidence, found.width_px))
    plain = found.first(count)
    if ways is not None:
        for number in ways.lines:
            moved = weigh_moved(tried.only(line == number), pooled, number, ways)
            evidence[:, number], width[:, number] = moved.evidence, moved.width_px
            plain.put(number, moved.first)
    total = np.clip(evidence - evidence[0], -MOST, MOST).sum(axis=1)
    total[0] += math.log(ODDS)
    weight = np.exp(total - total.max())
    weight /= weight.sum()
    mean = weight @ width
    spread = np.sqrt(np.maximum(0.0, weight @ width**2 - mean**2))
    likely = 0 if weight[0] > UNSURE else int(np.argmax(total))
    return Guessed(GUESSES[likely], mean, spread / mean, plain)


def undone(across: Across, sharpening: Sharpening, tone: Tone) -> Across:
    """The readings, in light, as they were before ``sharpening``."""
    if sharpening.amount == 0:
        return across
    codes = _blunted(_to_codes(across.values, tone), np.round(across.step_px, 3), sharpening)
    return across._replace(values=to_light(codes, tone))


def _to_codes(light: Reals, tone: Tone) -> Reals:
    return srgb_codes(light) if tone == "srgb" else np.asarray(255 * light, np.float32)


def _all_blunted(codes: Reals, steps: Floats) -> Reals:
    """``_blunted`` by every guess but the first, in one product for all lines of a step: (G - 1, N, M)."""
    out = np.empty((len(GUESSES) - 1, *codes.shape), np.float32)
    for size in set(steps.tolist()):
        some = steps == size
        if size > COARSE_PX:
            out[:, some] = codes[some]
            continue
        kernels = _inverses(size)
        reach = kernels.shape[0] // 2
        around = np.arange(codes.shape[1])[:, None] + np.arange(-reach, reach + 1)
        windows = codes[some][:, np.clip(around, 0, codes.shape[1] - 1)]
        out[:, some] = np.moveaxis(windows @ kernels, 2, 0)
    return out


def _blunted(codes: Reals, steps: Floats, sharpening: Sharpening) -> Reals:
    """Codes (N, M), on each row ``steps`` (N,) pixels apart, before ``sharpening``."""
    out = codes.copy()
    for size in set(steps[steps <= COARSE_PX].tolist()):
        some = steps == size
        blunt = cv2.filter2D(codes[some], -1, _inverse(size, sharpening), borderType=cv2.BORDER_REPLICATE)
        out[some] = blunt.reshape(-1, codes.shape[1])
    return out


def to_light(codes: Reals, tone: Tone) -> Reals:
    """Light of codes, 0 to 255, that lie between the whole ones."""
    table, rises = light_of(tone), _rises(tone)
    rows = np.clip(codes.reshape(-1, codes.shape[-1]), 0, 254.999)
    low = rows.astype(np.uint8)  # a table look-up of OpenCV's is a tenth of numpy's
    light = np.asarray(cv2.LUT(low, table), np.float32)
    rows -= low
    rows *= cv2.LUT(low, rises)
    light += rows
    return light.reshape(codes.shape)


@functools.lru_cache(maxsize=2)
def _rises(tone: Tone) -> Reals:
    """What light rises by from each code to the next, float32 (256,)."""
    table = light_of(tone)
    rises = np.append(table[1:] - table[:-1], np.float32(0))
    rises.setflags(write=False)
    return rises


@functools.lru_cache(maxsize=64)
def _inverses(step_px: float) -> Floats:
    """The inverse filters of all guesses but the first, float64 (K, G - 1)."""
    kernels = np.column_stack([_inverse(step_px, one)[0] for one in GUESSES[1:]])
    kernels.setflags(write=False)
    return kernels


@functools.lru_cache(maxsize=256)
def _inverse(step_px: float, sharpening: Sharpening) -> Floats:
    """The inverse filter, float64 (1, K), K odd, its sum 1."""
    half = max(1, round(_REACH_PX / step_px))
    count = 4 * half
    angular = 2 * np.pi * np.fft.rfftfreq(count, step_px)
    blunted = np.exp(-0.5 * (sharpening.radius_px * angular) ** 2)
    kernel = np.fft.irfft(1 / (1 + sharpening.amount * (1 - blunted)), count)
    middle = np.concatenate((kernel[-half:], kernel[: half + 1]))[None]
    middle /= middle.sum()
    middle.setflags(write=False)
    return np.asarray(middle)
