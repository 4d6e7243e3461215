"""What a flight knows beyond the single frame: its cracks, each under one name, and what was seen and how well."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from edge.cracks import Crack
from edge.cracks.smear import Smear
from edge.detections.coverage import coverage_document, coverage_payload
from edge.detections.cracks import crack_feature, crack_id, revision_id
from edge.detections.wire import to_bytes
from edge.frames import Frame, Moment, sharpness
from edge.frames.sharpness import Sharpness
from edge.masks import Area, Mask
from edge.measurers import Measured, Measurer
from edge.outbox import Letter
from edge.outcome import Flight, Picture
from edge.support.clock import Clock
from edge.surface import CrackSize
from edge.surface.coverage import Coverage
from edge.surface.inventory import Inventory, Look
from edge.surface.motion import Motion
from edge.surface.place import View
from edge.surface.record import CrackState
from edge.surface.registration import Registered
from edge.surface.visibility import Seen, look, shows_cracks

log = logging.getLogger(__name__)

MOST_CRACKS = 12_000
"""So many cracks of a flight are kept for its files, 0.5 kB each; of more the oldest are left out, and it is said."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """What one frame shows of the flight's cracks."""

    names: dict[int, str]
    """The crack_id of each crack, by the object's own ``id()``."""
    revisions: tuple[CrackState, ...]
    """The cracks that changed enough to be reported again."""


@dataclass(frozen=True, slots=True)
class Laid:
    """Where a frame lies, before anything is measured on it."""

    placed: Registered | None
    """Beside the others; None where the flight keeps no inventory of cracks."""
    smear: Smear | None
    """How it moved during its exposure; None where exposure or motion are not known. Without an inventory none is."""
    looks: Callable[[], Sharpness]
    """How sharp and how well lit it is: measured when it is asked first, and once."""


class FlightMap:
    """Fed by the pipeline with every frame, in order; used by its thread alone."""

    def __init__(self, flight: Flight, kind: str | None, inventory: Inventory, clock: Clock, *, facing: bool) -> None:
        """``kind``: the class whose damage is named, or None; ``facing``: the surface is taken to face the camera."""
        self._flight = flight
        self._kind = kind
        self.inventory = inventory
        """The flight's cracks."""
        self._clock = clock
        self._facing = facing
        self._named_in = flight.named_in or flight.flight_id
        self._coverage = Coverage()
        self._motion = Motion()
        self._published = Published()

    @property
    def kind(self) -> str | None:
        """The class whose damage is named; None: none is."""
        return self._kind

    def lay(self, frame: Frame, view: View) -> Laid:
        """Lay the next frame beside the others; ``recognise`` takes what was found on it, ``judge`` ends it.

        A frame that fails between these is left out; a chart that changed with it has changed everywhere.
        """
        placed = None if self._kind is None else self.inventory.place(frame.rgb, view)
        if placed is not None:
            self._coverage.move(placed)
        exposure_us = frame.exposure_us if frame.time_known else None
        size = frame.height_px, frame.width_px
        smear = self._motion.smear(placed, frame.exposed_ns, exposure_us, size)
        return Laid(placed, smear, cache(partial(sharpness.measure, frame.rgb, frame.tone)))

    def recognise(
        self,
        frame: Frame,
        found: Measured,
        measurer: Measurer,
        moment: Moment,
        view: View,
        picture: Picture,
        laid: Laid,
    ) -> Recognised:
        """Name what was found of ``kind``, also what is not reported; ``picture`` is kept where it is a best view."""
        cracks = [one for one in (*found.damage, *found.held_back) if isinstance(one, Crack)]
        sizes = [measurer.size(crack, view.plane) for crack in cracks]
        told = self.inventory.add(
            Look(
                frame_seq=frame.seq,
                frame_name=frame.name,
                seen_at=moment.at,
                rgb=frame.rgb,
                cracks=cracks,
                sizes=[size if isinstance(size, CrackSize) else None for size in sizes],
                view=view,
                picture=picture.take,
                shows=lambda: shows_cracks(laid.looks()),
                placed=laid.placed,
            )
        )
        names = {
            id(crack): self._name(number)
            for crack, number in zip(cracks, told.numbers, strict=True)
            if number is not None
        }
        return Recognised(names, told.revisions)

    def is_news(self, name: str, recognised: Recognised) -> bool:
        """Whether the crack ``name`` is among those that this frame changed."""
        return name in {self._name(state.number) for state in recognised.revisions}

    def judge(self, frame: Frame, mask: Mask, view: View, laid: Laid) -> Seen:
        """How well the frame shows what it shows; what the network looked at goes into the coverage."""
        size, placed = (frame.height_px, frame.width_px), laid.placed
        smear_px = None if laid.smear is None else laid.smear.length_at((size[1] - 1) / 2, (size[0] - 1) / 2)
        seen = look(laid.looks(), view, smear_px, size, facing=self._facing)
        if placed is not None:
            whole = (Area(0, frame.width_px, 0, frame.height_px),)
            quads = [_corners(area) for area in (whole if mask.looked is None else mask.looked)]
            self._coverage.add(placed, size, quads, seen.kind)
        return seen

    def finish(self) -> list[Letter]:
        """Letters for all that is not yet reported of the flight's cracks; no frame follows."""
        told = self.inventory.finish()
        for bend in self.inventory.bends:
            self._coverage.bend(bend)
        return [self.letter(state) for state in told]

    def cracks(self) -> list[dict[str, Any]]:
        """The last revision of each of the flight's cracks, as it was published: Features of ``spanhawk/crack/1``.

        What is known beyond that gets a revision with ``finish``, so that no revision ever has two contents.
        """
        return [json.loads(payload) for payload in self._published]

    def coverage(self) -> dict[str, Any]:
        """What the flight saw so far, and how well: a FeatureCollection of ``spanhawk/coverage/1``.

        A tenth of a second for a long flight (docs/mapping.md): ask it now and then, and at the end.
        """
        return coverage_document(
            self._flight.vehicle, self._flight.flight_id, self._clock.utc(), self._coverage, self.inventory
        )

    @property
    def coverage_changes(self) -> int:
        """Rises with each frame that was taken into the coverage."""
        return self._coverage.changes

    def coverage_payload(self, most_bytes: int) -> bytes:
        """The same as one message of at most ``most_bytes``; to be asked by the thread that feeds the map."""
        flight = self._flight
        return coverage_payload(
            flight.vehicle, flight.flight_id, self._clock.utc(), self._coverage, self.inventory, most_bytes
        )

    def letter(self, state: CrackState) -> Letter:
        """One revision of a crack, as it is published."""
        assert self._flight.cracks_topic is not None, "only a flight with that topic names its cracks"
        assert self._kind is not None, "only a named class has an inventory"
        found = crack_feature(self._flight.vehicle, self._named_in, self._kind, state)
        payload = to_bytes(found)
        self._published.put(state.number, payload, confirmed=state.state == "confirmed")
        name = revision_id(str(found["id"]), state.revision)
        return Letter(name, self._flight.cracks_topic, payload, self._clock.monotonic_ns())

    def _name(self, number: int) -> str:
        return crack_id(self._flight.vehicle, self._named_in, number)


class Published:
    """The last payload of each crack, packed; those that were published longest ago are left out of too many."""

    def __init__(self, most: int | None = None) -> None:
        """``most`` None: MOST_CRACKS."""
        self._most = MOST_CRACKS if most is None else most
        self._packed: dict[int, tuple[bool, bytes]] = {}
        self._like = b""
        """The first payload: what all have in common is not kept with each of them."""
        self.left_out = 0
        """Cracks that are not kept any more."""

    def __iter__(self) -> Iterator[bytes]:
        """The payloads in the order of the cracks' numbers."""
        for number in sorted(self._packed):
            yield zlib.decompressobj(zdict=self._like).decompress(self._packed[number][1])

    def put(self, number: int, payload: bytes, *, confirmed: bool) -> None:
        """Crack ``number`` was published as ``payload``; one that is ``confirmed`` is kept longer than others."""
        self._like = self._like or payload
        packer = zlib.compressobj(zdict=self._like)
        self._packed.pop(number, None)  # to the end of the order
        self._packed[number] = confirmed, packer.compress(payload) + packer.flush()
        if len(self._packed) > self._most + self._most // 16:
            self._leave_out()

    def _leave_out(self) -> None:
        if not self.left_out:
            log.warning(
                "more than %d cracks in one flight: the oldest are not written to cracks.geojson any more", self._most
            )
        oldest = sorted(self._packed, key=lambda number: self._packed[number][0])  # a stable sort: unconfirmed first
        for number in oldest[: len(self._packed) - self._most]:
            del self._packed[number]
            self.left_out += 1


def _corners(area: Area) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The corners of ``area`` in pixels of the frame, in order: float64 (4, 2)."""
    left, right, top, bottom = area.left_px, area.right_px, area.top_px, area.bottom_px
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
