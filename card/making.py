"""Writing an image: under another name until it is whole, and for its owner's eyes from the first byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.support.errors import SpanhawkError, TryAgainError


@contextmanager
def made_whole(out: Path) -> Iterator[Path]:
    """An empty file to fill; it becomes ``out`` where the block ends well, and else nothing is left.

    It holds secrets, so that nobody else may read it. Raises TryAgainError for an OSError that is no SpanhawkError.
    """
    part = out.with_name(f".{out.name}.part")
    try:
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        yield part
        part.replace(out)
    except OSError as error:
        if isinstance(error, SpanhawkError):
            raise
        raise TryAgainError(f"{error.filename or out}: {error.strerror}; make room or give another OUT=") from error
    finally:
        part.unlink(missing_ok=True)
