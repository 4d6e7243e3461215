"""Change a bundle's folder: always as a whole, sealed, and in one step.

The new bundle is made beside the old one and takes its place at once, so that nobody ever sees, or flies, half of one.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge.masks.bundle import load_bundle
from edge.masks.card import CARD, SEAL, SIGNATURE
from edge.masks.trust import format_sums, sha256_of, shipped
from edge.masks.upgrade import upgraded
from edge.support.disk import sync_folder
from models import DataError

log = logging.getLogger(__name__)

UNSEALED = (CARD, SEAL, SIGNATURE)
"""Files that the card does not list."""

_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of Linux


@contextmanager
def editing(bundle: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Change a bundle: yields a copy of its folder and its card; both are taken back, in one step, when all went well.

    The card comes in today's form whatever form it had. Its hashes and the seal are made anew and a signature, which
    would no longer fit, is left out. Raises BundleError where the bundle is not sound to begin with.
    """
    load_bundle(bundle)
    was_trusted = (bundle / SIGNATURE).exists() or sha256_of(bundle / CARD) in shipped().values()
    with replacing(bundle) as folder:
        shutil.copytree(bundle, folder, dirs_exist_ok=True)
        card = upgraded(json.loads((folder / CARD).read_text(encoding="utf-8")))
        yield folder, card
        write_card(folder, card)
    if was_trusted:
        log.warning(
            "%s was changed, so its signature is no longer valid; sign it again with python -m convert sign", bundle
        )


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Yield an empty folder beside `out` that takes its place when the block ends without an error."""
    if out.exists() and not (out / CARD).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists and is no bundle (it has no {CARD}); choose another folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield folder
        folder.chmod(0o755)  # mkdtemp makes it readable for this user alone
        _sync(folder)
        _take_place(folder, out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write the card with the hashes of all other files, and its seal; a signature that no longer fits is removed."""
    (folder / SIGNATURE).unlink(missing_ok=True)
    files = sorted(path for path in folder.iterdir() if path.name not in UNSEALED and path.is_file())
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    for artifact in card["artifacts"].values():
        artifact["sha256"] = sums.pop(artifact["file"])
    card["files"] = sums
    content = (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode()
    (folder / CARD).write_bytes(content)
    seal(folder)


def seal(folder: Path) -> None:
    """Write the seal: the hashes of the card and, where there is one, of its signature."""
    sums = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in (CARD, SIGNATURE)
        if (folder / name).is_file()
    }
    (folder / SEAL).write_text(format_sums(sums), encoding="utf-8")


def _take_place(folder: Path, out: Path) -> None:
    """Put `folder` where `out` is; afterwards `folder` is what was there before, or gone."""
    if not out.exists():
        folder.rename(out)
    elif not _exchange(folder, out):
        log.info("this file system cannot exchange two folders; %s is absent for a moment", out)
        aside = folder.with_name(f"{folder.name}.old")
        out.rename(aside)
        folder.rename(out)
        shutil.rmtree(aside, ignore_errors=True)
    sync_folder(out.parent)


def _exchange(a: Path, b: Path) -> bool:
    """Swap two folders in one step (renameat2 of Linux); False where the system cannot."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return rename is not None and rename(_HERE, os.fsencode(a), _HERE, os.fsencode(b), _EXCHANGE) == 0


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
    sync_folder(folder)
