"""Read `.npz` files: the one way, so that each that is absent, cut off or something else is told in one sentence."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models import DataError

Arrays = dict[str, npt.NDArray[Any]]
"""Arrays by name; of weights, the names in a `models.gpu.nets.FastUNet`'s state."""


def read_arrays(path: Path, what: str, way_out: str = "copy it again") -> Arrays:
    """Read all arrays of a `.npz`.

    Raises DataError where it cannot be read; `what` says what it was to hold, `way_out` what to do about it.
    """
    try:
        with path.open("rb") as stream:  # np.load itself leaves the file open where it is damaged
            found = np.load(stream, allow_pickle=False)
            if not isinstance(found, np.lib.npyio.NpzFile):
                raise ValueError("a single array")
            with found:
                held = {name: found[name] for name in found.files}
        if not all(isinstance(value, np.ndarray) for value in held.values()):
            raise ValueError("a zip of other files")
        return held
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; it is to hold {what}.") from error
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "it is no whole .npz file"
        raise DataError(f"{path} cannot be read as {what} ({reason}); {way_out}.") from error
