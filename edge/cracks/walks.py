"""The pixels of a skeleton walked line by line, all lines at once.

Walked one after the other in Python, a crack's thousand pixels take nearly as long as it takes to thin them. So every
step from a pixel to a neighbour looks at where it leads, then at where that leads, twice as far each time, until it
knows the end of its line and how far that is (pointer jumping: J. C. Wyllie, The complexity of parallel computations,
1979).
"""

from __future__ import annotations

import numpy as np

from edge.cracks.lines import Index


def walked(degree: Index, owner: Index, neighbours: Index, cluster: Index) -> list[tuple[Index, bool]]:
    """Every line of N pixels as their numbers, and whether it is a closed loop, which repeats its first one at its end.

    ``degree`` (N,): how many neighbours a pixel has: 2 within a line. Step e of all (E,) leads from the pixel
    ``owner[e]`` to ``neighbours[e]``; steps are in the order of their owners. Two pixels of one ``cluster`` (N,) have
    no line between them.
    """
    first = np.cumsum(degree) - degree
    goes_on = degree.take(neighbours) == 2
    onward = first.take(neighbours)
    onward += neighbours.take(onward % max(1, len(owner))) == owner  # not back to where it came from
    leads_to = np.where(goes_on, onward, np.arange(len(owner)))
    to_end = goes_on.astype(np.intp)
    for _ in range(len(degree).bit_length()):
        if not goes_on.take(leads_to).any():
            break
        to_end += to_end.take(leads_to)
        leads_to = leads_to.take(leads_to)
    kept = _begins(degree, owner, neighbours, cluster, goes_on, leads_to)
    count = to_end.take(kept) + 2
    stop = np.cumsum(count)
    # Of the steps that lead to one end, the number still to go says which place the pixel has that it leaves.
    place_of_last = np.full(len(owner), -1)
    place_of_last[leads_to[kept]] = stop - 2
    place = place_of_last.take(leads_to)
    on_line = place >= 0
    pixels = np.empty(int(stop[-1]) if len(stop) else 0, np.intp)
    pixels[(place - to_end)[on_line]] = owner[on_line]
    pixels[stop - 1] = neighbours[leads_to[kept]]
    found = [(pixels[end - size : end], False) for end, size in zip(stop.tolist(), count.tolist(), strict=True)]
    found += [(np.array([single]), False) for single in np.flatnonzero(degree == 0).tolist()]
    in_ring = goes_on.take(leads_to)
    if in_ring.any():
        found += [(np.array(ring), True) for ring in _rings(owner[in_ring], neighbours[in_ring])]
    return found


def _begins(
    degree: Index, owner: Index, neighbours: Index, cluster: Index, goes_on: np.ndarray, leads_to: Index
) -> Index:
    """The step that each line begins with, seen from the end that comes first."""
    steps = np.flatnonzero(degree.take(owner) != 2)
    last = leads_to[steps]
    begin, second = owner[steps], neighbours[steps]
    joined = (~goes_on[steps] & (cluster[begin] == cluster[second])).tolist()
    kept: list[int] = []
    seen: set[tuple[int, int]] = set()
    columns = (steps, begin, second, owner[last], neighbours[last])
    for (step, a, b, before, end), nothing in zip(
        zip(*(v.tolist() for v in columns), strict=True), joined, strict=True
    ):
        if not nothing and (a, b) not in seen:
            seen.add((end, before))
            kept.append(step)
    return np.array(kept, np.intp)


def _rings(owner: Index, neighbours: Index) -> list[list[int]]:
    """Closed lines, each from its smallest pixel number on; every owner has two steps, one after the other."""
    both = dict(
        zip(owner[::2].tolist(), zip(neighbours[::2].tolist(), neighbours[1::2].tolist(), strict=True), strict=True)
    )
    rings = []
    for start in list(both):
        if start not in both:
            continue
        ring, before, here = [start], start, both[start][0]
        while here != start:
            ring.append(here)
            one, other = both.pop(here)
            before, here = here, other if one == before else one
        del both[start]
        rings.append([*ring, start])
    return rings
