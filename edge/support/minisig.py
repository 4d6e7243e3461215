"""Signatures in minisign's format: the one door to its library. https://jedisct1.github.io/minisign/"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from edge.support.errors import ConfigError

FIRST_LINE = b"untrusted comment: signature from minisign secret key\n"
"""What the library writes there; nothing signs this line."""
_MAKE_KEY = "make one with `minisign -G -W`"
_KEY_ID = slice(2, 10)  # of the bytes behind a key's or a signature's second line: algorithm, then key number


def key_number(encoded: bytes) -> str:
    """The number of the key in a public key's or a signature's base64 line, as minisign prints it."""
    return base64.b64decode(encoded)[_KEY_ID][::-1].hex().upper()


def public_keys(folder: Path) -> list[tuple[str, Any, str]]:
    """File name, key and key number of every ``*.pub`` in ``folder``; none where there is no such folder.

    Raises ConfigError for a file that is no public key.
    """
    import minisign

    found = []
    for path in sorted(folder.glob("*.pub")):
        try:
            key = minisign.PublicKey.from_bytes(path.read_bytes())
            found.append((path.name, key, key_number(key.to_base64())))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: not a minisign public key ({error}); remove it, or copy it again") from error
    return found


def signature(content: bytes) -> tuple[Any, str]:
    """A signature and the number of the key that made it. Raises ValueError for anything else."""
    import minisign

    made = minisign.Signature.from_bytes(content)  # its own errors, and those of base64, are ValueErrors
    return made, key_number(bytes(made).split(b"\n")[1])


def fits(key: Any, data: bytes, made: Any) -> str | None:
    """None where ``made`` is the signature of ``data`` by ``key``; else why not."""
    import minisign

    try:
        key.verify(data, made)
    except minisign.VerifyError as error:
        return str(error)
    return None


class Signer:
    """A secret key that signs without a person: it must not be encrypted."""

    def __init__(self, path: Path, key: str) -> None:
        """``key`` is the file's name in the configuration.

        Raises ConfigError for a file that is no minisign secret key, or one that asks for a password.
        """
        import minisign

        try:
            self._key = minisign.SecretKey.from_bytes(path.read_bytes())
            encrypted = self._key.is_encrypted()
        except OSError as error:
            raise ConfigError(f"{key}: cannot read {path} ({error.strerror}); {_MAKE_KEY}") from error
        except ValueError as error:
            raise ConfigError(f"{key}: {path} is no minisign secret key ({error}); {_MAKE_KEY}") from error
        if encrypted:
            raise ConfigError(f"{key}: {path} asks for a password, which nobody can enter on a drone; {_MAKE_KEY}")
        # Its public half, and with it the number, is found by signing.
        self.number = signature(bytes(self._key.sign(b"", trusted_comment="")))[1]

    def sign(self, data: bytes, comment: str) -> bytes:
        """The signature file of ``data``; ``comment`` is signed with it."""
        return bytes(self._key.sign(data, trusted_comment=comment)) + b"\n"
