"""A secret from its file: a password or a token. What the file holds is never shown, not even in an error."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path

from edge.support.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Secret:
    """The first line of a file."""

    text: str = field(repr=False)
    """Without its line end; may be empty."""
    open_to_all: bool
    """True where every user of the machine may read the file."""


def read_secret(path: Path, key: str) -> Secret:
    """The secret in ``path``, which the configuration names as ``key``. Raises ConfigError."""
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{key}: cannot read {path} ({error.strerror})") from error
    except UnicodeDecodeError:
        # from None: the error would show its bytes
        raise ConfigError(f"{key}: {path} is not UTF-8 text; save it again, as UTF-8") from None
    return Secret(text.split("\n", 1)[0].rstrip("\r"), bool(mode & stat.S_IROTH))
