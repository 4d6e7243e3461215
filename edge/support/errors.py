"""Every error spanhawk raises on purpose, and the exit code each one ends with.

::

    SpanhawkError
    ├── UsageError       2   the command line asked for something that cannot be (also a ValueError)
    ├── DeviceError     69   a camera, accelerator, autopilot or receiver is absent or gone (also an OSError)
    ├── TryAgainError   75   a passing condition: disk full, broker away
    └── ConfigError     78   the configuration is wrong (also a ValueError)
        ├── BundleError 78   the model bundle must not fly
        └── NavFileError 78  a navigation log cannot be read

A message is one sentence that names the thing, what was received and what to do about it.
Exit codes follow ``sysexits.h`` (EX_UNAVAILABLE, EX_TEMPFAIL, EX_CONFIG).
"""

from __future__ import annotations

from typing import ClassVar

EXIT_DONE = 0
EXIT_USAGE = 2
EXIT_UNAVAILABLE = 69
EXIT_TRY_AGAIN = 75
EXIT_CONFIG = 78


class SpanhawkError(Exception):
    """Base of all deliberate errors; ``exit_code`` is what the command ends with."""

    exit_code: ClassVar[int] = 1


class UsageError(SpanhawkError, ValueError):
    """The command line names something that does not exist or does not fit."""

    exit_code = EXIT_USAGE


class DeviceError(SpanhawkError, OSError):
    """A device is absent, refused to open, or disappeared while in use."""

    exit_code = EXIT_UNAVAILABLE


class TryAgainError(SpanhawkError):
    """A condition that may pass by itself; nothing that was recorded is lost."""

    exit_code = EXIT_TRY_AGAIN


class ConfigError(SpanhawkError, ValueError):
    """The configuration is wrong; starting again without a change cannot help."""

    exit_code = EXIT_CONFIG


class BundleError(ConfigError):
    """A model bundle is incomplete, altered, or not what its card says: it does not fly."""


class NavFileError(ConfigError):
    """A navigation log cannot be read; the message names the file and the row."""
