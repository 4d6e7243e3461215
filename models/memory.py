"""How much memory the pictures of a training take, asked before they are decoded: Linux kills what takes too much."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from models import DataError, Example
from models.data import read_rgb

log = logging.getLogger(__name__)

BYTES_PER_PX = 4
"""Three colours and one mask, as `models.batches.Picture` keeps them."""
SPARE = 0.1
"""Of the free memory: left for the network, the batches and everything else."""
_GIB = 1 << 30


def check_memory(sources: Mapping[str, Sequence[Example]], free_bytes: int | None = None) -> None:
    """Raise DataError where the decoded pictures of all sources would not fit in memory.

    `free_bytes` None: what this machine, or the container that this runs in, has free now.
    """
    needs = {name: sum(map(_bytes_of, examples)) for name, examples in sources.items()}
    need = sum(needs.values())
    free = free_memory() if free_bytes is None else free_bytes
    if free is None:
        log.info("the pictures take %.1f GiB of memory; how much is free is not known here", need / _GIB)
        return
    if need > (1 - SPARE) * free:
        largest = max(needs, key=lambda name: needs[name])
        count = len(sources[largest])
        raise DataError(
            f"The training pictures take {need / _GIB:.1f} GiB of memory and {free / _GIB:.1f} GiB are free; most "
            f"of it source {largest!r} with {count} pictures, {needs[largest] / _GIB:.1f} GiB: cut them into tiles and "
            "keep those near cracks, make them smaller, or train with fewer."
        )


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes that can be had without swapping, by the machine and by its control group; None where nobody says."""
    limits = [_machine(root / "proc/meminfo"), _group(root / "sys/fs/cgroup")]
    return min((limit for limit in limits if limit is not None), default=None)


def _machine(meminfo: Path) -> int | None:
    for line in (_text(meminfo) or "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _group(folder: Path) -> int | None:
    """What is left below the limit of a container (cgroup 2); pages of files count as free, they can be dropped."""
    limit, used = _text(folder / "memory.max"), _text(folder / "memory.current")
    if limit is None or used is None or not limit.strip().isdigit():  # "max": no limit
        return None
    statistics = dict(line.split() for line in (_text(folder / "memory.stat") or "").splitlines())
    return int(limit) - int(used) + int(statistics.get("inactive_file", 0))


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return None


def _bytes_of(example: Example) -> int:
    """Read from the file's header; what has none that is known is decoded. A damaged picture takes nothing."""
    try:
        with Image.open(example.image) as image:
            return image.width * image.height * BYTES_PER_PX
    except (OSError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        pass
    try:
        return read_rgb(example.image)[..., 0].size * BYTES_PER_PX
    except DataError:
        return 0
