"""`index.csv` at the data root: which pictures were cut from the same photograph.

Columns: image (the path below the root), photo (any name of the photograph; empty: the picture is its own) and, where
several data sets lie together, dataset. Other columns are passed over.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from models import DataError

NAME = "index.csv"
_NEEDED = ("image", "photo")


def read_groups(root: Path) -> dict[Path, str]:
    """Give each picture's photograph, by the picture's resolved path; empty without an `index.csv`.

    Raises DataError for a file that is none, that lacks a column, or that names pictures that are not there.
    """
    index = root / NAME
    if not index.is_file():
        return {}
    try:
        text = index.read_text(encoding="utf-8-sig")  # Excel begins a file with a byte-order mark
    except UnicodeDecodeError as error:
        raise DataError(f"{index} is not UTF-8 (byte {error.start}); save it as CSV UTF-8.") from error
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    columns = [str(name).strip() for name in rows.fieldnames or []]
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise DataError(
            f"{index} has no column {' and no column '.join(missing)}: it needs {', '.join(_NEEDED)}, and has "
            f"{', '.join(columns) or 'none'}. If the list is another one, give it another name."
        )
    rows.fieldnames = columns
    groups = dict[Path, str]()
    absent = list[tuple[int, str]]()
    for row in rows:
        name = (row["image"] or "").strip()
        path = root / name
        if not name or not path.is_file():
            absent.append((rows.line_num, name))
        elif photo := (row["photo"] or "").strip():
            groups[path.resolve()] = f"{(row.get('dataset') or '').strip()}/{photo}"
    if absent:
        line, name = absent[0]
        raise DataError(
            f"{index} names {len(absent)} images that are not in {root}, first {name!r} in line {line}; image is the "
            "path from there. Correct them, or take those lines out: their photographs would not be told apart."
        )
    return groups


def _delimiter(text: str) -> str:
    """Excel writes semicolons where the comma is a decimal sign."""
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)
