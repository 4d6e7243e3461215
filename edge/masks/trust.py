"""Whose bundle it is: the seal on its card, its signature, and the bundles this spanhawk was shipped with.

``card.json`` holds the SHA-256 of every other file, so a signature of the card is one of the whole bundle:

* ``card.json.sha256`` (the *seal*, as sha256sum writes it) shows that the card was not altered by accident. Anyone can
  write a new one, so it says nothing about who made the bundle.
* ``card.json.minisig`` is a minisign signature of the card; the public keys a machine believes are ``*.pub`` files in a
  folder of its own (``/etc/spanhawk/keys``). https://jedisct1.github.io/minisign/
* ``shipped.sha256`` beside this module lists the cards of the bundles that come with this version of spanhawk.

None of them protects against somebody who can write to the machine's file system as root: that person can replace
keys, configuration and program alike.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge.masks.card import CARD, COPY_AGAIN, SEAL, SIGNATURE
from edge.support import minisig
from edge.support.errors import BundleError

log = logging.getLogger(__name__)

Unsigned = Literal["refuse", "allow"]
KEYS = Path("/etc/spanhawk/keys")
SHIPPED = Path(__file__).with_name("shipped.sha256")

_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")
_SHOWN_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Trust:
    """Whether a bundle is trusted, and why."""

    trusted: bool
    words: str
    """``signed by key 2FA3... (ours.pub)``, ``shipped with spanhawk``, or why it is not trusted."""


def check_seal(folder: Path) -> None:
    """Compare the card in ``folder`` with its seal, where there is one.

    Raises BundleError when the seal is malformed, or when card or signature are not what it says.
    """
    seal = folder / SEAL
    try:
        text = seal.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return  # a bundle made before there were seals, or by other means
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{seal}: cannot be read as text ({error}); {COPY_AGAIN}") from error
    sealed = parse_sums(text)
    if sealed is None or CARD not in sealed or not set(sealed) <= {CARD, SIGNATURE}:
        raise BundleError(f"{seal}: not the SHA-256 of {CARD} as sha256sum writes it; {COPY_AGAIN}")
    for name, expected in sealed.items():
        actual = sha256_of(folder / name)
        if actual != expected:
            said = f"SHA-256 is {actual[:_SHOWN_DIGITS]}, {SEAL} says {expected[:_SHOWN_DIGITS]}"
            raise BundleError(f"{folder / name}: {said}; {COPY_AGAIN}")


def trust_of(folder: Path, keys: Path = KEYS) -> Trust:
    """Say whether the card in ``folder`` is signed by a key in ``keys``, or is a shipped bundle's.

    Raises BundleError for a signature that is malformed, or whose key is known but that does not fit the card;
    ConfigError for a key file that cannot be read.
    """
    card = _read(folder / CARD)
    if hashlib.sha256(card).hexdigest() in shipped().values():
        return Trust(True, "shipped with spanhawk")
    path = folder / SIGNATURE
    if not path.exists():
        return Trust(False, f"it has no signature ({SIGNATURE})")
    signature, number = _signature(path)
    known = minisig.public_keys(keys)
    for name, key, key_number in known:
        if key_number == number:
            _check(path, card, key, signature)
            return Trust(True, f"signed by key {number} ({name})")
    where = f"which is not among the {len(known)} keys in {keys}" if known else f"but {keys} holds no key"
    return Trust(False, f"it is signed by key {number}, {where}")


def check_trust(folder: Path, keys: Path, unsigned: Unsigned) -> Trust:
    """Refuse a bundle that is not trusted, or warn where ``unsigned`` is ``allow``. Raises BundleError."""
    trust = trust_of(folder, keys)
    if trust.trusted:
        return trust
    if unsigned == "refuse":
        raise BundleError(
            f"{folder}: the bundle is not signed by a trusted key: {trust.words}; sign it with "
            f'`python -m convert sign` and put the public key into {keys}, or set masks.unsigned to "allow"'
        )
    log.warning(
        "%s: the bundle is not signed by a trusted key: %s; it runs because masks.unsigned allows it",
        folder,
        trust.words,
    )
    return trust


def shipped() -> dict[str, str]:
    """The bundles this spanhawk ships: ``NAME/card.json`` to SHA-256 (hex)."""
    sums = parse_sums(_read(SHIPPED).decode("utf-8"))
    if sums is None:
        raise BundleError(f"{SHIPPED}: not in the form of sha256sum; install spanhawk again")
    return sums


def parse_sums(text: str) -> dict[str, str] | None:
    """Read ``HASH  NAME`` lines as sha256sum writes them; None where anything else is in the text."""
    lines = [_LINE.fullmatch(line) for line in text.removesuffix("\n").split("\n")] if text.strip() else []
    found = {line[2]: line[1] for line in lines if line is not None}
    return found if len(found) == len(lines) and format_sums(found) == text else None


def format_sums(sums: dict[str, str]) -> str:
    """The text that ``parse_sums`` reads."""
    return "".join(f"{digest}  {name}\n" for name, digest in sums.items())


def sha256_of(path: Path) -> str:
    """SHA-256 of a file of the bundle, hex. Raises BundleError where it cannot be read."""
    return hashlib.sha256(_read(path)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); {COPY_AGAIN}") from error


def _signature(path: Path) -> tuple[Any, str]:
    content = _read(path)
    try:
        return minisig.signature(content)
    except ValueError as error:
        raise BundleError(f"{path}: not a minisign signature ({error}); {COPY_AGAIN}") from error


def _check(path: Path, card: bytes, key: Any, signature: Any) -> None:
    why = minisig.fits(key, card, signature)
    if why is not None:
        raise BundleError(
            f"{path.with_name(CARD)}: its signature {SIGNATURE} does not fit ({why}); card or signature was altered"
        )
