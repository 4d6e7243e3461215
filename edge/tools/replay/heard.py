"""What the rooms warned of during a replay, kept for summary.json: a warning on a screen is gone tomorrow."""

from __future__ import annotations

import logging
from types import TracebackType

_MOST = 200


class Heard(logging.Handler):
    """Collects the warnings of this package while the ``with`` block lasts; each sentence once, in order."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._said: dict[str, None] = {}
        self._logger = logging.getLogger("edge")

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self._said.setdefault(record.getMessage())

    def warnings(self) -> list[str]:
        """The sentences; of very many the first, and how many more there were."""
        said = list(self._said)
        return [*said[:_MOST], f"and {len(said) - _MOST} more"] if len(said) > _MOST else said

    def __enter__(self) -> Heard:
        self._logger.addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._logger.removeHandler(self)
