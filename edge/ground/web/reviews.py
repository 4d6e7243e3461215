"""What people say of the findings, kept in the store: ``PUT /reviews/ID``, and ``/reviews`` as a flight's review.json.

The document is that of ``edge.ground.report.review``, so that ``spanhawk report --review``, ``spanhawk export`` and
``spanhawk ground import`` read it.
"""

from __future__ import annotations

import json
from typing import Any

from edge.detections.wire import rfc3339
from edge.flights import REVIEW_SCHEMA
from edge.ground import Batch, ReviewRow, Store
from edge.ground.report.review import VERDICTS, one_of
from edge.ground.web.asking import AskedWronglyError, NotHereError, Pairs, single
from edge.support.clock import Clock

MOST_BYTES = 32_768
"""Of a request's body."""
_MOST_CHARACTERS = {"grade": 32, "remark": 4000, "by": 200}
_NEWEST = 2000


class Reviews:
    """Each method may raise AskedWronglyError, NotHereError, and TryAgainError while the store cannot be used."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def put(self, crack_id: str, body: bytes) -> dict[str, Any]:
        """Keep one person's word on a crack, on the disk on return; gives it back as it is kept."""
        said = _read(crack_id, body)
        crack = self._store.crack(crack_id)
        if crack is None:
            raise NotHereError(f"no crack {crack_id[:60]!r} is stored here")
        review = one_of(said)
        assert review is not None, "_read has checked it"
        row = ReviewRow(
            crack.vehicle, crack.flight_id, crack_id, review.verdict, review.grade, review.remark, review.by,
            self._clock.utc(),
        )  # fmt: skip
        added = self._store.add(Batch(reviews=[row]))
        if added.unfit:
            raise AskedWronglyError(f"the review was not kept: {added.unfit[0].reason}")
        return _entry(row)

    def newest(self) -> dict[str, Any]:
        """The newest 2000 words, of all flights."""
        return {"reviews": [_entry(one) for one in self._store.reviews(most=_NEWEST)]}

    def of_flight(self, pairs: Pairs) -> dict[str, Any]:
        """review.json of one flight. ``flight_id`` names it, and ``vehicle`` where two flew one of that name."""
        given = single(pairs, ("vehicle", "flight_id"))
        if "flight_id" not in given:
            raise AskedWronglyError("flight_id is missing: a review.json is of one flight")
        rows = self._store.reviews(given.get("vehicle"), given["flight_id"])
        if len(vehicles := {one.vehicle for one in rows}) > 1:
            raise AskedWronglyError(f"{len(vehicles)} vehicles flew {given['flight_id'][:60]!r}; add vehicle")
        return {"schema": REVIEW_SCHEMA, "flight_id": given["flight_id"], "reviews": [_entry(one) for one in rows]}


def _entry(row: ReviewRow) -> dict[str, Any]:
    return {
        "crack_id": row.crack_id, "verdict": row.verdict, "grade": row.grade, "remark": row.remark, "by": row.by,
        "at": rfc3339(row.at),
    }  # fmt: skip


def _read(crack_id: str, body: bytes) -> dict[str, Any]:
    """The entry of a review.json that ``body`` and the address make together."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        raise AskedWronglyError("the review is not JSON") from None
    if not isinstance(said, dict) or not set(said) <= {"verdict", *_MOST_CHARACTERS}:
        raise AskedWronglyError(f"a review is an object of verdict, {', '.join(_MOST_CHARACTERS)}")
    if said.get("verdict") not in VERDICTS:
        raise AskedWronglyError(f"verdict: got {str(said.get('verdict'))[:60]!r}, needs one of {', '.join(VERDICTS)}")
    for name, most in _MOST_CHARACTERS.items():
        text = said.get(name)
        if text is not None and (not isinstance(text, str) or len(text) > most):
            raise AskedWronglyError(f"{name}: needs a text of at most {most} characters, or null")
        if text is not None and ("\0" in text or text != text.encode("utf-8", "replace").decode()):
            raise AskedWronglyError(f"{name}: holds a character that no database keeps")
    return {"crack_id": crack_id, **said}
