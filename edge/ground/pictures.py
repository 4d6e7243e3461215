"""The ground's pictures, each under the SHA-256 of its bytes: what a crack's best view names is what is shown."""

from __future__ import annotations

import functools
import hashlib
import os
import re
from pathlib import Path

from edge.support.disk import make_folder, sync_folder, write_whole
from edge.support.errors import TryAgainError

MAX_BYTES = 64 << 20
"""A picture is not larger."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SMALL_PX = 320
_SMALL_QUALITY = 80


def default_folder(store: str) -> Path | None:
    """Beside a store that is a file; None for a database on a server: then the folder must be named."""
    return None if "://" in store else Path(store).with_suffix("").with_name(f"{Path(store).stem}-pictures")


class Pictures:
    """A folder of JPEG files; used from any thread, and by several processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, sha256: str) -> Path | None:
        """The file of this picture; None where it is not here, or where that is no SHA-256."""
        path = self._path(sha256)
        return path if path is not None and path.is_file() else None

    def put(self, sha256: str, data: bytes) -> bool:
        """Keep ``data`` under its name; False when it is here already, or is not what the name says.

        Raises TryAgainError when the disk does not take it.
        """
        path = self._path(sha256)
        if path is None or path.is_file() or hashlib.sha256(data).hexdigest() != sha256:
            return False
        try:
            make_folder(path.parent)
            write_whole(path, data)
        except OSError as error:
            raise TryAgainError(
                f"{path}: cannot keep this picture ({error.strerror}); free disk space there"
            ) from error
        return True

    def part(self, sha256: str) -> Path:
        """Where what has come of this picture waits for the rest; ``sha256`` is one."""
        return self.folder / ".parts" / f"{sha256}.part"

    def take(self, sha256: str, part: Path) -> bool:
        """Keep the file ``part`` under its name; False when it is not what the name says. It is gone in either case.

        Raises TryAgainError when the disk does not take it.
        """
        path = self._path(sha256)
        try:
            with part.open("r+b") as file:
                digest = hashlib.sha256()
                while piece := file.read(1 << 20):
                    digest.update(piece)
                right = path is not None and digest.hexdigest() == sha256
                if right:
                    os.fsync(file.fileno())
            if path is None or not right:
                part.unlink()
                return False
            make_folder(path.parent)
            part.replace(path)
            sync_folder(path.parent)
        except OSError as error:
            raise TryAgainError(
                f"{part}: cannot keep this picture ({error.strerror}); free disk space there"
            ) from error
        return True

    def small(self, sha256: str) -> bytes | None:
        """The picture with its longer side at most 320 pixels, as JPEG; None where there is none or it is damaged."""
        path = self.find(sha256)
        return None if path is None else _shrunk(path)

    def _path(self, sha256: str) -> Path | None:
        return self.folder / sha256[:2] / f"{sha256}.jpg" if _SHA256.fullmatch(sha256) else None


@functools.lru_cache(maxsize=500)
def _shrunk(path: Path) -> bytes | None:
    import cv2

    from edge.frames.decode import UnreadableImageError
    from edge.frames.stills import read_rgb

    try:
        rgb = read_rgb(path)
    except UnreadableImageError:
        return None
    scale = min(1.0, _SMALL_PX / max(rgb.shape[:2]))
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _SMALL_QUALITY]
    )
    return data.tobytes() if done else None
