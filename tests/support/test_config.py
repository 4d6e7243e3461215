from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.support import config
from edge.support.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Lens:
    focal_mm: float


@dataclass(frozen=True, kw_only=True)
class Options:
    width_px: int = 640
    fps: float = 30.0
    name: str | None = None
    mode: Literal["main", "lores"] = "main"
    path: Path = Path("/dev/video0")
    flip: bool = False
    size: tuple[int, int] = (1, 2)
    ids: tuple[str, ...] = ()
    lens: Lens | None = None

    def __post_init__(self) -> None:
        if self.width_px < 1:
            raise ValueError(f"width_px must be at least 1, got {self.width_px}")


def test_fills_every_kind_of_field() -> None:
    table = config.loads(
        'width_px=3\nfps=5\nname="x"\nmode="lores"\npath="/tmp/a"\nflip=true\nsize=[3,4]\nids=["a","b"]\nlens={focal_mm=4}',
        "t",
    )
    built = config.build(Options, table, "camera")
    assert built == Options(
        width_px=3, fps=5.0, name="x", mode="lores", path=Path("/tmp/a"), flip=True, size=(3, 4), ids=("a", "b"),
        lens=Lens(focal_mm=4.0),
    )  # fmt: skip
    assert isinstance(built.fps, float)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"widht_px": 3}, "camera.widht_px: unknown key; did you mean width_px?"),
        ({"width_px": "3"}, "camera.width_px: got '3' (str), needs a whole number"),
        ({"width_px": True}, "camera.width_px: got True (bool), needs a whole number"),
        ({"width_px": 2.5}, "camera.width_px: got 2.5 (float), needs a whole number"),
        ({"width_px": 0}, "camera: width_px must be at least 1, got 0"),
        ({"mode": "max"}, "camera.mode: got 'max'; choose one of 'main', 'lores'"),
        ({"size": [1]}, "camera.size: got 1 values, needs 2"),
        ({"size": 1}, "camera.size: got 1 (int), needs an array"),
        ({"ids": ["a", 2]}, "camera.ids[1]: got 2 (int), needs a text"),
        ({"lens": 3}, "camera.lens: got 3 (int), needs a table"),
        ({"lens": {}}, "camera.lens.focal_mm: missing"),
        ({"lens": {"focal": 1}}, "camera.lens.focal: unknown key; did you mean focal_mm?"),
        ({"fps": float("nan")}, "camera.fps: got nan, needs a finite number"),
        ({"fps": 10**400}, "needs a finite number"),
        ({"path": "~nobody-of-that-name/x"}, "write the path out"),
        ({"path": 3}, "camera.path: got 3 (int), needs a path"),
    ],
)
def test_refuses_by_name(table: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.build(Options, table, "camera")
    assert sentence in str(caught.value)


def test_toml_error_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "spanhawk.toml"
    path.write_text("[camera\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"spanhawk\.toml: not valid TOML: .*line 1"):
        config.load(path)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot read the configuration \(No such file"):
        config.load(tmp_path / "nowhere.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        config.load(tmp_path / "b.toml")


@given(st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(), st.booleans(), st.none()), max_size=3))
def test_any_table_is_built_or_refused(table: dict[str, object]) -> None:
    try:
        config.build(Options, table, "t")
    except ConfigError as error:
        assert str(error).startswith("t")


def test_a_credential_is_what_systemd_hands_over_or_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def path() -> Path:
        return config.build(Options, {"path": "credential:mqtt-password"}, "mqtt").path

    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert path() == Path("/etc/spanhawk/credentials/mqtt-password")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert path() == tmp_path / "spanhawk_mqtt-password"
    (tmp_path / "mqtt-password").write_text("x")
    assert path() == tmp_path / "mqtt-password"
    for name in ("", "../shadow"):
        with pytest.raises(ConfigError, match="without its path"):
            config.build(Options, {"path": f"credential:{name}"}, "mqtt")


def test_a_file_saved_by_notepad_is_read(tmp_path: Path) -> None:
    """Windows' editor begins UTF-8 with a byte-order mark (the "utf-8-sig" of Python's own codecs)."""
    path = tmp_path / "spanhawk.toml"
    path.write_bytes('vehicle = "drohne-süd"\r\n'.encode("utf-8-sig"))
    assert config.load(path) == {"vehicle": "drohne-süd"}
    path.write_bytes('vehicle = "a"'.encode("utf-16"))
    with pytest.raises(ConfigError, match="save it again, as UTF-8"):
        config.load(path)


def test_an_empty_path_is_not_the_present_folder() -> None:
    """pathlib turns an empty text into "."; evidence would have gone to wherever the daemon was started."""
    with pytest.raises(ConfigError, match=r"camera\.path: got an empty text, needs a path; leave the key out"):
        config.build(Options, {"path": ""}, "camera")
