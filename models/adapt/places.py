"""Where an adaptation writes: its bundle, three files beside it, and until all is done a work folder.

What somebody else's bundle may name is never replaced: float weights are found by their name, and known by their hash.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from edge.support.errors import TryAgainError
from models import DataError
from models.adapt import page
from models.checkpoint import replacing

BESIDE = (".weights.h5", ".json", ".html")
"""Endings of what stands beside a new bundle."""
CHECKPOINT = "checkpoint.npz"
PLAN, MOVING = "plan", "moving"
"""In the work folder: what is adapted; and a mark, while the last files move to their places."""


@dataclass(frozen=True, slots=True)
class Places:
    """Paths of one adaptation."""

    out: Path

    @property
    def work(self) -> Path:
        """Everything, until it is done."""
        return self.beside(".work")

    @property
    def bundle(self) -> Path:
        """The new bundle in the work folder."""
        return self.work / self.out.name

    def beside(self, ending: str) -> Path:
        """A path beside the new bundle."""
        return self.out.with_name(self.out.name + ending)

    def working(self, ending: str) -> Path:
        """The same in the work folder."""
        return self.work / f"{self.out.name}{ending}"

    def check_free(self) -> None:
        """Raise DataError where something would be replaced; the page of a refused attempt may be."""
        if self.out.exists():
            names = ", ".join(self.beside(ending).name for ending in BESIDE)
            raise DataError(f"{self.out} exists; choose another name with -o, or move it away together with {names}.")
        if (self.work / MOVING).exists():
            return  # its own files, on their way
        for path in map(self.beside, BESIDE):
            if path.exists() and not (path.suffix == ".html" and page.tells_of_a_refusal(path)):
                raise DataError(f"{path} exists and is not replaced, since a bundle may name it; choose another -o.")

    def begin(self, weights: Path, folders: list[Path], options: list[str]) -> None:
        """Make the work folder, or go on with that of the very same adaptation: files, first weights and options.

        Raises DataError where it is of another one, TryAgainError where it cannot be made.
        """
        ours = {self.work.resolve(), self.out.resolve(), *(self.beside(ending).resolve() for ending in BESIDE)}
        files = sorted(
            path
            for folder in folders
            if folder.is_dir()
            for path in folder.rglob("*")
            if path.is_file() and ours.isdisjoint((path.resolve(), *path.resolve().parents))
        )
        listed = [f"{path}\t{path.stat().st_size}\t{path.stat().st_mtime_ns}" for path in files]
        plan = [hashlib.sha256(weights.read_bytes()).hexdigest(), *options, *listed]
        mark = hashlib.sha256("\n".join(plan).encode()).hexdigest()
        told = self.work / PLAN
        if told.is_file() and told.read_text(encoding="ascii") != mark and not (self.work / CHECKPOINT).is_file():
            shutil.rmtree(self.work)  # an attempt that was refused before it learned anything
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TryAgainError(
                f"{self.work} cannot be made ({error.strerror}); make room, or choose another -o."
            ) from error
        if told.is_file() and told.read_text(encoding="ascii") != mark:
            raise DataError(
                f"{self.work} is of another adaptation (other photos, weights or minutes): remove it to begin anew, or "
                "give the same as before to go on with it."
            )
        with replacing(told) as part:
            part.write_text(mark, encoding="ascii")
        self._take_back()

    def put_in_place(self) -> None:
        """Move the new bundle and what stands beside it to their places, the bundle last; the work folder goes."""
        (self.work / MOVING).touch()
        for ending in BESIDE:
            self.working(ending).replace(self.beside(ending))
        self.bundle.rename(self.out)
        shutil.rmtree(self.work)

    def _take_back(self) -> None:
        """A kill in the midst of `put_in_place` left some files at their places: the work is as it was before."""
        if not (self.work / MOVING).exists():
            return
        for ending in BESIDE:
            if self.beside(ending).exists() and not self.working(ending).exists():
                self.beside(ending).replace(self.working(ending))
        (self.work / MOVING).unlink()
