"""Keys and signatures of bundles, in minisign's file formats, so that `minisign` itself can make and verify them.

The secret key stays with whoever answers for the bundle; a drone gets the public key alone. A bundle is only signed
after `python -m convert verify` passed it, so that a signature says that too.
"""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path
from typing import Any

from convert import ConversionError
from convert.folder import replacing, seal
from edge.masks.bundle import Bundle, load_bundle
from edge.masks.card import CARD, SEAL, SIGNATURE
from edge.masks.trust import SHIPPED, format_sums, sha256_of, shipped
from edge.support.errors import BundleError
from edge.support.minisig import key_number
from models import DataError


def make_keys(stem: Path, password: str | None) -> str:
    """Write `stem`.key (secret, mode 600) and `stem`.pub; returns the key's number.

    The secret key is encrypted with `password` (scrypt), or plain where that is None. Raises DataError where a file of
    that name exists.
    """
    import minisign

    secret_path, public_path = stem.with_name(f"{stem.name}.key"), stem.with_name(f"{stem.name}.pub")
    for path in (secret_path, public_path):
        if path.exists():
            raise DataError(f"{path} exists; a key is never overwritten, choose another name.")
    pair = minisign.KeyPair.generate()
    number = key_number(pair.public_key.to_base64())
    if password is not None:
        pair.secret_key.encrypt(password)
    stem.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(secret_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(bytes(pair.secret_key) + b"\n")
    public_path.write_bytes(bytes(pair.public_key) + b"\n")
    return number


def read_key(path: Path, password_file: Path | None) -> Any:
    """Read a minisign secret key, asking for its password where it has one and no file gives it. Raises DataError."""
    import minisign

    try:
        key = minisign.SecretKey.from_bytes(path.read_bytes())
        if key.is_encrypted():
            word = getpass.getpass(f"Password of {path}: ") if password_file is None else _password(password_file)
            key.decrypt(word)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: cannot be used as a minisign secret key ({error}).") from error
    return key


def sign(bundle: Path, key: Any, *, unverified: bool = False) -> None:
    """Put a signature of the card into the bundle, in one step with the new seal.

    Raises BundleError where the bundle is not sound, ConversionError where the gate has not passed it.
    """
    sound = _signable(bundle, unverified)
    card = (bundle / CARD).read_bytes()
    signature = key.sign(card, trusted_comment=f"spanhawk bundle {sound.model}")
    with replacing(bundle) as folder:
        shutil.copytree(bundle, folder, dirs_exist_ok=True)
        (folder / SIGNATURE).write_bytes(bytes(signature) + b"\n")
        seal(folder)


def ship(bundle: Path, *, unverified: bool = False) -> Path:
    """List the bundle's card among those that this spanhawk ships and so trusts; returns the list.

    Raises as `sign`.
    """
    _signable(bundle, unverified)
    sums = shipped() | {f"{bundle.resolve().name}/{CARD}": sha256_of(bundle / CARD)}
    SHIPPED.write_text(format_sums(dict(sorted(sums.items()))), encoding="utf-8")
    return SHIPPED


def _signable(bundle: Path, unverified: bool) -> Bundle:
    sound = load_bundle(bundle)
    verified = sound.card.made.get("verified")
    if unverified:
        return sound
    if not isinstance(verified, dict) or verified.get("passed") is not True:
        what = "did not pass" if isinstance(verified, dict) else "was not put to"
        raise ConversionError(
            f"{bundle} {what} python -m convert verify; do that first, or sign it all the same with --unverified."
        )
    if not (bundle / SEAL).is_file():
        raise BundleError(f"{bundle / SEAL}: missing; make the bundle again with python -m convert quantize")
    return sound


def _password(path: Path) -> str:
    return path.read_text(encoding="utf-8").rstrip("\n")
