"""Slow, plain answers to compare with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]

FOUR = ((-1, 0), (0, 1), (1, 0), (0, -1))
EIGHT = (*FOUR, (-1, -1), (-1, 1), (1, 1), (1, -1))


def count_pieces(mask: Bits, steps: tuple[tuple[int, int], ...]) -> int:
    """Connected pieces by flood fill."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    pieces = 0
    while left:
        pieces += 1
        flood = [left.pop()]
        while flood:
            y, x = flood.pop()
            for dy, dx in steps:
                if (y + dy, x + dx) in left:
                    left.remove((y + dy, x + dx))
                    flood.append((y + dy, x + dx))
    return pieces


def pieces_and_holes(mask: Bits) -> tuple[int, int]:
    """Eight-connected pieces, and four-connected holes in them."""
    outside = 1 - np.pad(mask, 1)
    return count_pieces(mask, EIGHT), count_pieces(outside.astype(np.uint8), FOUR) - 1


def ring(image: Bits, y: int, x: int) -> list[int]:
    """The neighbours P2 .. P9 of a pixel, clockwise from north, as the papers number them."""
    around = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    return [int(image[y + dy, x + dx]) for dy, dx in around]


def _goes(image: Bits, y: int, x: int, half: int) -> bool:
    p2, p3, p4, p5, p6, p7, p8, p9 = ring(image, y, x)
    crossings = (
        ((not p2) and (p3 or p4)) + ((not p4) and (p5 or p6)) + ((not p6) and (p7 or p8)) + ((not p8) and (p9 or p2))
    )
    n1 = (p9 or p2) + (p3 or p4) + (p5 or p6) + (p7 or p8)
    n2 = (p2 or p3) + (p4 or p5) + (p6 or p7) + (p8 or p9)
    m = (p6 or p7 or not p9) and p8 if half == 0 else (p2 or p3 or not p5) and p4
    return crossings == 1 and 2 <= min(n1, n2) <= 3 and not m


def guo_hall(mask: Bits) -> Bits:
    """Algorithm A1 of Guo and Hall 1989, pixel by pixel."""
    image = np.pad(mask, 1)
    idle, half = 0, 0
    while idle < 2:
        gone = [(y, x) for y, x in np.argwhere(image) if _goes(image, y, x, half)]
        for y, x in gone:
            image[y, x] = 0
        idle, half = (0 if gone else idle + 1), 1 - half
    return image[1:-1, 1:-1]


def distances(mask: Bits) -> npt.NDArray[np.float64]:
    """Euclidean distance of every set pixel to the nearest one not set, the frame's surroundings included."""
    padded = np.pad(mask, 1)
    outside = np.argwhere(padded == 0)
    result = np.zeros(padded.shape)
    for y, x in np.argwhere(padded):
        result[y, x] = np.sqrt(((outside - (y, x)) ** 2).sum(axis=1).min())
    return result[1:-1, 1:-1]


def set_pixels(image: Bits) -> Iterator[tuple[int, int]]:
    """Row and column of each set pixel."""
    for y, x in np.argwhere(image):
        yield int(y), int(x)
