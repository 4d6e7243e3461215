"""The drone's pictures for the ground: each by its SHA-256 over HTTP, because they are too large for the broker.

``shelf`` knows which file has which SHA-256, ``server`` hands it out; off unless ``[pictures] listen`` is given.

``GET /pictures/SHA256`` (64 hexadecimal digits, small letters) is all that is answered, and ``HEAD``:

=== ==============================================================================================================
200 the JPEG file; ``ETag`` is its SHA-256
206 the part of it that ``Range: bytes=FIRST-`` or ``bytes=FIRST-LAST`` asks for
400 the request cannot be read
401 no token, or a wrong one, was brought (``Authorization: Bearer TOKEN``)
403 without a token only this machine is answered
404 no flight on this drone has a picture of that name (any more), or it is no address of ours
405 another method than ``GET`` and ``HEAD``
416 the range begins behind the file's end
429 too many wrong tokens came from that address
431 the request's head is too long
503 not now: the drone looks for cracks, or is still reading its pictures; ``Retry-After`` says when to ask again
=== ==============================================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.support.access import Guard


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The ``[pictures]`` table of the drone (docs/ground.md)."""

    listen: str | None = None
    """``HOST:PORT`` where the ground fetches pictures; None: nowhere."""
    token_file: Path | None = None
    """Its first line (16 characters or more) is asked of everybody. Needed where other machines can connect."""
    cert_file: Path | None = None
    """Certificate (PEM, the chain below it): then HTTPS only."""
    key_file: Path | None = None
    """Its private key (PEM, not encrypted); None: it stands in ``cert_file``."""
    allow_plaintext: bool = False
    """Other machines may connect without TLS: whoever can listen on that network reads the token and the pictures."""
    rate_kb_s: int = 500
    """So much is sent at most, to all who ask together, kilobytes a second."""
    while_flying: bool = False
    """True: also while cracks are looked for, on a link that has room beside the detections. False: only after the
    command ``stop``."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 1 <= self.rate_kb_s <= 1_000_000:
            raise ValueError(f"rate_kb_s must be 1 to 1000000, got {self.rate_kb_s}")
        if self.listen is not None:
            self.guard.check(self.listen)

    @property
    def guard(self) -> Guard:
        """How the pictures are guarded."""
        return Guard("pictures.listen", "", self.token_file, self.cert_file, self.key_file, self.allow_plaintext)
