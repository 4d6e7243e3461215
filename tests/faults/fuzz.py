"""Damaged and hostile bytes for every reader of something from outside.

Hypothesis chooses the bytes: noise, and damaged copies of something sound. A reader may refuse with one of its own
errors, or ignore; anything else that it raises is a fault, and so is memory that grows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.faults import sources
from tests.faults.row import Measured, Row, Scale, resident_mb

_BYTES_FULL, _BYTES_QUICK = 1_000_000, 6_000
_AT_ONCE = 200


@dataclass(slots=True)
class Eaten:
    """What one source was fed."""

    bytes: int = 0
    refused: int = 0
    crashes: list[str] = field(default_factory=list)


def damaged(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Noise, or one of ``seeds`` with pieces replaced, cut out and repeated."""

    @st.composite
    def build(draw: st.DrawFn) -> bytes:
        if draw(st.integers(0, 9)) == 0:
            return draw(st.binary(max_size=400))
        data = bytearray(draw(st.sampled_from(seeds)))
        for _ in range(draw(st.integers(1, 6))):
            if not data:
                break
            # Headers matter most and are at the start: half of the damage falls there.
            reach = len(data) if draw(st.booleans()) else min(len(data), 200)
            at = draw(st.integers(0, reach - 1))
            size = draw(st.integers(0, 12))
            match draw(st.integers(0, 4)):
                case 0:
                    data[at] ^= 1 << draw(st.integers(0, 7))
                case 1:
                    data[at : at + size] = draw(st.binary(max_size=12))
                case 2:
                    del data[at : at + size]
                case 3:
                    data[at:at] = data[at : at + 40] * draw(st.integers(1, 4))
                case _:
                    del data[at:]
        return bytes(data)

    return build()


def feed(source: sources.Source, budget: int) -> Eaten:
    """Give ``source`` about ``budget`` bytes; collects what it should not have raised."""
    eaten = Eaten()

    @settings(
        max_examples=_AT_ONCE, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(data=damaged(source.seeds))
    def bite(data: bytes) -> None:
        if eaten.bytes >= budget:
            return
        eaten.bytes += len(data)
        try:
            source.read(data)
        except source.refusals:
            eaten.refused += 1
        except Exception as error:  # noqa: BLE001 - this is what is looked for; it is kept and told
            eaten.crashes.append(f"{type(error).__name__}: {error} for {data[:80]!r}")

    while eaten.bytes < budget:
        bite()
    return eaten


def run_on(name: str) -> Callable[[Scale], Measured]:
    """The row's measurement for one source."""

    def run(scale: Scale) -> Measured:
        budget = scale.rounds or (_BYTES_QUICK if scale.quick else _BYTES_FULL)
        source = sources.SOURCES[name](scale.folder)
        with contextlib.ExitStack() as stack:
            stack.callback(source.close)
            warm = feed(source, budget // 10)  # libraries and caches are loaded by then
            began_mb = resident_mb()
            eaten = feed(source, budget - budget // 10)
            grown_mb = resident_mb() - began_mb
        crashes = warm.crashes + eaten.crashes
        figures = f"{warm.bytes + eaten.bytes} bytes, {warm.refused + eaten.refused} refused by name"
        if source.count is not None:
            figures += f", {source.count()}"
        figures += f", {len(crashes)} crashes; memory +{max(0.0, grown_mb):.1f} MB"
        if crashes:
            figures += f"; first: {crashes[0]}"
        return Measured(figures.replace("|", "¦"), not crashes and grown_mb < 20)

    return run


ROWS = tuple(
    Row(
        f"fuzz-{name}",
        f"damaged and hostile bytes: {name}",
        "1,000,000 bytes: alive, refused or ignored, no growth",
        run_on(name),
    )
    for name in sources.SOURCES
)
