"""Forks: of three arms that meet, two are one crack and the third is its branch.

A single frame takes the way that it sees best, so the first view decides which arm a line has; after all views course
and width decide. Course alone does not, because a trunk zigzags about as much as its branch turns off: of 1,200 forks
of the renderer (truth alone, seeds 100 to 219) the straightest pair is the trunk in 78 % where arms are read over
65 mm, in 82 % over 130 mm, and in 95 % together with widths that have an error of 15 %.
"""

from __future__ import annotations

import math

import numpy as np

from edge.surface.joining import ASIDE_PX, DOUBLED, TURN_DEG, Arm, Boxes, course
from edge.surface.lines import Line, directions, seen_apart
from edge.surface.merging import ALONG_COSINE
from edge.surface.nearest import nearest_points

TOGETHER_PX = 8.0
"""An end runs along another line where it is no farther from it, over TOGETHER_POINTS points or more."""
TOGETHER_POINTS = 4
DOUBLED_POINTS = 20
"""An end that runs along another line farther off, and that no frame showed beside it, does so over so many points."""
FORK_PX = 20.0
"""An end so near to the middle of another line leads to a fork there,"""
AIMED_PX = 40.0
"""and an end so near that its course leads to."""
FORK_POINTS = 10
"""The middle of a line begins so many points from its ends; an arm of a fork is longer than that."""
WIDE = 0.35
"""A crack's trunk is wider than its branch: of three arms two are one crack the surer, the more their widths exceed the
third's. Weight of the logarithm of that ratio beside the cosine of their turn."""
ROUNDS = 5
"""So often, at most, the forks of the arms that changed hands are asked again."""
BETTER = 0.02
"""Of two ways through a fork one is better only where it leads by more."""


def trim(lines: list[Line], px: dict[int, float]) -> list[int]:
    """Cut off the ends that run along the middle of another line, to where they leave it; returns the numbers changed.

    A view that runs from one crack into another where they meet gives both of them the stretch behind it. What is left
    ends at the other line, where its fork is. The lines are changed in place.
    """
    changed: list[int] = []
    boxes = Boxes(lines)
    for i, line in enumerate(lines):
        for j in boxes.around(i, ASIDE_PX * px[line.number]):
            for side in (0, 1):
                inward = line if side == 0 else line.reversed()
                count = _together(inward, lines[j], TOGETHER_PX * px[line.number])
                count = max(count, _doubled(inward, lines[j], ASIDE_PX * px[line.number]))
                if count < TOGETHER_POINTS or len(line.xy) - count < FORK_POINTS:
                    continue
                kept = slice(count - 1, None) if side == 0 else slice(0, len(line.xy) - count + 1)
                line.take(line.part(kept, line.number))
                boxes.moved(i, line)
                changed.append(line.number)
    return changed


def _together(line: Line, other: Line, reach: float) -> int:
    """How many points from the start of a line lie on the middle of another one and lead along it."""
    if len(other.xy) <= 2 * FORK_POINTS or np.hypot(*(other.xy - line.xy[0]).T).min() > reach:
        return 0
    distance, at = nearest_points(line.xy, other.xy)
    along = np.abs((directions(line.xy) * directions(other.xy)[at]).sum(axis=1)) >= ALONG_COSINE
    inner = (at >= FORK_POINTS) & (at < len(other.xy) - FORK_POINTS)
    on = inner & along & (distance <= reach)
    return len(on) if on.all() else int(on.argmin())


def _doubled(line: Line, other: Line, reach: float) -> int:
    """How many points from the start of a line are another one once more: laid beside it, never seen beside it."""
    if np.hypot(*(other.xy - line.xy[0]).T).min() > reach:
        return 0
    distance, at = nearest_points(line.xy, other.xy)
    along = np.abs((directions(line.xy) * directions(other.xy)[at]).sum(axis=1)) >= ALONG_COSINE
    on = distance <= reach
    count = len(on) if on.all() else int(on.argmin())
    if count < DOUBLED_POINTS or along[:count].mean() < DOUBLED:
        return 0
    if seen_apart(line.part(slice(0, count), line.number), other, reach):
        return 0
    # Where the two part, the distance grows: the end stays at the fork, which lies at the other line's middle.
    last = int(np.flatnonzero(distance[:count] <= max(float(np.median(distance[:count])), 0.2 * reach))[-1])
    return last + 1 if FORK_POINTS <= at[last] < len(other.xy) - FORK_POINTS else 0


def straighten(lines: list[Line], px: dict[int, float]) -> list[int]:
    """At a fork the two arms that go straight on are one crack, the third its branch; returns the numbers changed.

    A single frame takes the arm that it sees best, so the first view decides which arm a line has. The lines are
    changed in place; no number is new.
    """
    changed = trim(lines, px)
    boxes = Boxes(lines)
    due = set(range(len(lines)))
    for _ in range(ROUNDS):
        # An arm that changed hands ends at other forks than before: these are asked once more.
        due, asked = set(), due
        for i, branch in enumerate(lines):
            for side in (0, 1):
                for j in boxes.around(i, AIMED_PX * px[branch.number]):
                    if i not in asked and j not in asked:
                        continue
                    trunk = lines[j]
                    at = _fork(trunk, branch, side, px[branch.number])
                    if at is not None and _swap(trunk, at, branch, side):
                        boxes.moved(i, branch)
                        boxes.moved(j, trunk)
                        due |= {i, j}
                        changed += [trunk.number, branch.number]
        if not due:
            break
    return changed


def _fork(trunk: Line, branch: Line, side: int, px: float) -> int | None:
    """The point of a line's middle that an end of another one lies at or leads to; None where there is none."""
    if len(trunk.xy) <= 2 * FORK_POINTS:
        return None
    end, inner = branch.xy[-side], trunk.xy[FORK_POINTS:-FORK_POINTS]
    away = inner - end
    apart = np.hypot(*away.T)
    if apart.min() > FORK_PX * px:
        aside = away @ course(branch, side) < np.cos(np.radians(TURN_DEG)) * apart
        apart[aside | (apart > AIMED_PX * px)] = np.inf
    nearest = int(apart.argmin())
    return nearest + FORK_POINTS if np.isfinite(apart[nearest]) else None


def _swap(trunk: Line, at: int, branch: Line, side: int) -> bool:
    """Give the branch's arm to the trunk where it goes on straighter than the trunk's own; says whether it did."""
    if len(branch.xy) <= FORK_POINTS:
        return False
    here = trunk.xy[at]
    wide = trunk.wide[at + 1 :], branch.wide if side == 0 else branch.wide[::-1]
    arms = [
        Arm.of(trunk.xy[at::-1], trunk.wide[at::-1], here),
        Arm.of(trunk.xy[at:], wide[0], here),
        Arm.of(branch.xy if side == 0 else branch.xy[::-1], wide[1], here),
    ]
    own = _as_one(arms[0], arms[1], arms[2])
    others = [_as_one(arms[2], arms[0], arms[1]), _as_one(arms[2], arms[1], arms[0])]
    kept = int(np.argmax(others))
    straight = -float(arms[2].course @ arms[kept].course)
    if others[kept] < own + BETTER or straight < np.cos(np.radians(TURN_DEG)):
        return False
    other = trunk.part(slice(0, at + 1) if kept == 1 else slice(at + 1, len(trunk.xy)), branch.number)
    arm = trunk.part(slice(at, len(trunk.xy)) if kept == 1 else slice(0, at + 1), trunk.number)
    # A name stays with the longer part: a stub beside a trunk must not take the trunk's whole course from it.
    into, rest = (branch, trunk) if len(branch.xy) > len(arm.xy) else (trunk, branch)
    arm.append(branch, 0 if kept == 1 else 1, side)
    into.take(arm)
    rest.take(other)
    return True


def _as_one(a: Arm, b: Arm, third: Arm) -> float:
    """How well two arms of a fork go as one crack with the third as its branch; only the order means something."""
    straight = -float(a.course @ b.course)
    if a.wide is None or b.wide is None or third.wide is None:
        return straight
    return straight + WIDE * math.log(math.sqrt(a.wide * b.wide) / third.wide)
