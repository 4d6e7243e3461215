import logging
import os
import shutil
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from edge.frames import SkippedFrame, stills
from edge.frames.folder import Options, open_camera
from edge.support.clock import ManualClock
from edge.support.errors import DeviceError, UsageError
from tests.frames.photos import Tags, dji, write

CLOCK = ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc))
TAKEN, SUBSEC, OFFSET, EXPOSURE = 0x9003, 0x9291, 0x9011, 0x829A


def image(path: Path, value: int = 100, **tags) -> Path:
    """A grey photograph of one brightness, with EXIF tags where given by name."""
    exif = Image.Exif()
    for name, content in tags.items():
        exif.get_ifd(0x8769)[globals()[name]] = content
    Image.new("RGB", (12, 8), (value, value, value)).save(path, exif=exif)
    return path


def read(path: Path, **options) -> list:
    with open_camera(Options(path=path, **options), CLOCK) as camera:
        return list(camera.frames())


def test_images_in_natural_order(tmp_path):
    for number, name in enumerate(["img10.png", "img2.JPG", "IMG1.png", "img2b.png"]):
        image(tmp_path / name, 40 * number)
    frames = read(tmp_path)
    assert [frame.name for frame in frames] == ["IMG1", "img2", "img2b", "img10"]
    assert [frame.seq for frame in frames] == [0, 1, 2, 3]
    assert [round(int(frame.rgb[0, 0, 0]) / 40) for frame in frames] == [2, 1, 3, 0]


def test_every_ending_in_any_case_and_nothing_else(tmp_path):
    endings = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
    for index, ending in enumerate(endings):
        image(tmp_path / f"{index}{ending}").rename(tmp_path / f"{index}{ending.upper() if index % 2 else ending}")
    image(tmp_path / ".hidden.png")
    image(tmp_path / "._resource-fork.jpg")
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "sub").mkdir()
    image(tmp_path / "sub" / "inner.png")
    assert [frame.name for frame in read(tmp_path)] == [str(index) for index in range(len(endings))]


def test_one_image(tmp_path):
    path = image(tmp_path / "one.png")
    image(tmp_path / "other.png")
    with open_camera(Options(path=path), CLOCK) as camera:
        assert not camera.live
        assert camera.frame_count == 1
        assert [frame.name for frame in camera.frames()] == ["one"]


def test_fps_spaces_images_without_time(tmp_path):
    for index in range(4):
        image(tmp_path / f"{index}.png")
    assert [frame.exposed_ns for frame in read(tmp_path)] == [0, 10**9, 2 * 10**9, 3 * 10**9]
    assert [frame.exposed_ns for frame in read(tmp_path, fps=3.0, start_ns=5)] == [
        5,
        333_333_338,
        666_666_672,
        1_000_000_005,
    ]


def test_exif_spaces_images_and_gives_utc_and_exposure(tmp_path):
    image(tmp_path / "a.jpg", TAKEN="2025:06:01 10:00:00", SUBSEC="50", OFFSET="+02:00")
    image(tmp_path / "b.jpg", TAKEN="2025:06:01 10:00:02", SUBSEC="25", OFFSET="+02:00")
    a, b = read(tmp_path, start_ns=7)
    assert (a.exposed_ns, b.exposed_ns) == (7, 7 + 1_750_000_000)
    assert a.taken_at == datetime(2025, 6, 1, 8, 0, 0, 500_000, tzinfo=timezone.utc)
    assert a.exposure_us is None


def test_exif_without_a_zone_spaces_but_gives_no_utc(tmp_path):
    image(tmp_path / "a.jpg", TAKEN="2025:06:01 10:00:00")
    image(tmp_path / "b.jpg", TAKEN="2025:06:01 10:00:04")
    frames = read(tmp_path)
    assert [frame.exposed_ns for frame in frames] == [0, 4 * 10**9]
    assert [frame.taken_at for frame in frames] == [None, None]


def test_one_image_without_time_and_all_go_by_fps(tmp_path):
    image(tmp_path / "a.jpg", TAKEN="2025:06:01 10:00:00")
    image(tmp_path / "b.jpg")
    image(tmp_path / "c.jpg", TAKEN="2025:06:01 10:00:09")
    assert [frame.exposed_ns for frame in read(tmp_path, fps=2.0)] == [0, 5 * 10**8, 10**9]


def test_unreadable_files_do_not_cost_the_others_their_time(tmp_path):
    image(tmp_path / "a.jpg", TAKEN="2025:06:01 10:00:00")
    (tmp_path / "b.jpg").touch()
    (tmp_path / "c.jpg").write_bytes(b"garbage from a failing card" * 9)
    image(tmp_path / "d.jpg", TAKEN="2025:06:01 10:00:09")
    assert [frame.exposed_ns for frame in read(tmp_path)] == [0, 9 * 10**9]


def test_times_that_run_back_are_not_used(tmp_path, caplog):
    image(tmp_path / "a.jpg", TAKEN="2025:06:01 10:00:05")
    image(tmp_path / "b.jpg", TAKEN="2025:06:01 10:00:00")
    assert [frame.exposed_ns for frame in read(tmp_path)] == [0, 10**9]
    assert "b.jpg is older than a.jpg by EXIF" in caplog.text


def test_times_all_alike_are_not_used(tmp_path):
    for name in "abc":
        image(tmp_path / f"{name}.jpg", TAKEN="2025:06:01 10:00:05")
    assert [frame.exposed_ns for frame in read(tmp_path)] == [0, 10**9, 2 * 10**9]


def broken(folder: Path) -> dict[str, str]:
    """One file of each kind of damage between good ones; returns what the reason of each must hold."""
    whole = image(folder / "a0-good.jpg").read_bytes()
    (folder / "b1-empty.jpg").touch()
    (folder / "b2-cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "b3-text.png").write_text("<html>404</html>")
    png = image(folder / "whole.png").rename(folder / "b4-cut.png").read_bytes()
    (folder / "b4-cut.png").write_bytes(png[:-20])
    os.mkfifo(folder / "b5-pipe.jpg")
    (folder / "b6-dangling.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "b7-folder.jpg").mkdir()
    cv2.imwrite(str(folder / "b8-float.tif"), np.zeros((8, 8, 3), np.float32))
    image(folder / "c0-good.jpg")
    return {
        "b1-empty": "the file is empty",
        "b2-cut": "ends early",
        "b3-text": "not a JPEG, PNG, TIFF, WebP, BMP or HEIC image",
        "b4-cut": "ends early",
        "b5-pipe": "not a regular file",
        "b6-dangling": "cannot be read (No such file or directory)",
        "b7-folder": "not a regular file",
        "b8-float": "float32",
    }


def test_bad_files_are_skipped_named_and_leave_a_gap(tmp_path, caplog):
    reasons = broken(tmp_path)
    with open_camera(Options(path=tmp_path), CLOCK) as camera:
        frames = list(camera.frames())
        assert camera.frame_count == 10
        skipped = camera.skipped
    assert [(frame.name, frame.seq, frame.exposed_ns) for frame in frames] == [
        ("a0-good", 0, 0),
        ("c0-good", 9, 9 * 10**9),
    ]
    assert [entry.name for entry in skipped] == list(reasons)
    assert all(reasons[entry.name] in entry.reason for entry in skipped)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == len(reasons)
    assert all(name in warning for name, warning in zip(reasons, warnings, strict=True))


def test_nothing_is_written_to_stderr_by_the_decoders(tmp_path, capfd):
    broken(tmp_path)
    read(tmp_path)
    assert capfd.readouterr().err == ""


def test_a_file_that_goes_away_while_reading(tmp_path):
    for name in "abcd":
        image(tmp_path / f"{name}.png")
    with open_camera(Options(path=tmp_path), CLOCK) as camera:
        frames = camera.frames()
        next(frames)
        (tmp_path / "d.png").unlink()
        assert [frame.name for frame in frames] == ["b", "c"]
        assert camera.skipped == (SkippedFrame(name="d", reason="cannot be read (No such file or directory)"),)


def test_symlinks_are_followed(tmp_path):
    (tmp_path / "card").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "link.png").symlink_to(image(tmp_path / "card" / "real.png"))
    (tmp_path / "again").symlink_to(tmp_path / "work")
    assert [frame.name for frame in read(tmp_path / "again")] == ["link"]


def test_names_stay_unique(tmp_path, caplog):
    for name in ("a.jpg", "a.png", "a.png.jpg", "a.tif"):
        image(tmp_path / name)
    names = [frame.name for frame in read(tmp_path)]
    assert names == ["a", "a.png", "a.png.jpg", "a.tif"]
    assert "a.png: another image is named a too; this one is reported as a.png" in caplog.text


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "cannot be read (No such file or directory)"),
        (lambda path: path.mkdir(), "it is empty"),
        (lambda path: (path.mkdir(), (path / "clip.mp4").touch(), (path / "100MEDIA").mkdir()), "100MEDIA/, clip.mp4"),
        (lambda path: os.mkfifo(path), "neither a folder nor a file"),
        (lambda path: path.write_text("notes"), "not an image by its name"),
    ],
)
def test_nothing_to_read_is_a_usage_error_that_helps(tmp_path, make, told):
    path = tmp_path / "flight"
    make(path)
    with pytest.raises(UsageError) as caught:
        open_camera(Options(path=path), CLOCK)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)
    if "cannot be read" not in told and "neither" not in told:
        assert ".png .jpg .jpeg .jpe .jfif .tif .tiff .bmp .webp .heic .heif" in str(caught.value)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_fps(tmp_path, fps):
    with pytest.raises(UsageError, match="fps is"):
        Options(path=tmp_path, fps=fps)


def test_12_bit_images_do_not_come_out_black_and_do_not_flicker(tmp_path):
    for index, brightest in enumerate([3000, 900, 4095]):
        deep = np.linspace(0, brightest, 96).astype(np.uint16).reshape(8, 12)
        cv2.imwrite(str(tmp_path / f"{index}.tif"), deep)
    frames = read(tmp_path)
    assert [int(frame.rgb.max()) for frame in frames] == [3000 // 16, 900 // 16, 255]


def test_a_brighter_image_widens_the_depth_and_is_told(tmp_path, caplog):
    for index, value in enumerate([1000, 60000, 1000]):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((8, 12), value, np.uint16))
    assert [int(frame.rgb.max()) for frame in read(tmp_path)] == [1000 // 4, 60000 // 256, 1000 // 256]
    assert "1.png: needs 16 bits, not 10" in caplog.text


@pytest.mark.parametrize(("brightest", "named"), [(255, True), (130, True), (256, False), (4095, False), (0, False)])
def test_8_bit_values_in_16_bit_files_are_named_once(brightest, named, tmp_path, caplog):
    for index in range(2):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.linspace(0, brightest, 96).astype(np.uint16).reshape(8, 12))
    read(tmp_path)
    said = [record for record in caplog.records if "a quarter as bright" in record.getMessage()]
    assert len(said) == named
    caplog.clear()
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "0.png", tmp_path / "other" / "2.png")
    for name in ("0.png", "0.png", "1.png", "other/2.png"):
        stills.read_rgb(tmp_path / name)
    said = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert said == [str(tmp_path / name) for name in ("0.png", "other/2.png") if named]


@pytest.mark.parametrize("kind", ["png", "webp"])
@pytest.mark.parametrize("with_xmp", [True, False])
def test_xmp_that_is_not_read_is_named_once(kind, with_xmp, tmp_path, caplog):
    packet = dji(GimbalRollDegree="0.0", GimbalPitchDegree="-90.0", GimbalYawDegree="10.0")
    photo = write(tmp_path / "a.jpg", np.zeros((48, 64, 3), np.uint8), Tags(lat_deg=51.0, lon_deg=3.7))
    info = PngInfo()
    if with_xmp:
        info.add_itxt("XML:com.adobe.xmp", packet)
    with Image.open(photo) as picture:
        for number in range(2):
            more = {"pnginfo": info} if kind == "png" else {"xmp": packet.encode() if with_xmp else b""}
            picture.save(tmp_path / f"b{number}.{kind}", exif=picture.getexif(), **more)
    photo.unlink()
    frames = read(tmp_path)
    assert [(frame.pose.lat_deg, frame.pose.angles_deg) for frame in frames] == [(pytest.approx(51.0), None)] * 2
    assert len([one for one in caplog.records if "is read of JPEG only" in one.getMessage()]) == with_xmp


def test_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (12, 8), (200, 10, 10)).save(tmp_path / "phone.jpg", exif=exif)
    (frame,) = read(tmp_path)
    assert (frame.height_px, frame.width_px) == (12, 8)


def test_images_are_read_smaller(tmp_path):
    for name in ("a.jpg", "b.png"):
        image(tmp_path / name, 90)
    frames = read(tmp_path, reduce=2)
    assert [(frame.height_px, frame.width_px) for frame in frames] == [(4, 6)] * 2
    assert all(abs(int(frame.rgb.mean()) - 90) <= 1 for frame in frames)


def test_after_closing_no_frames_come(tmp_path):
    for name in "abc":
        image(tmp_path / f"{name}.png")
    with open_camera(Options(path=tmp_path), CLOCK) as camera:
        frames = camera.frames()
        next(frames)
    with pytest.raises(DeviceError, match="was closed"):
        next(frames)


def test_the_folder_may_vanish_after_opening(tmp_path):
    folder = tmp_path / "card"
    folder.mkdir()
    image(folder / "a.png")
    with open_camera(Options(path=folder), CLOCK) as camera:
        shutil.rmtree(folder)
        assert list(camera.frames()) == []
        assert len(camera.skipped) == 1


def test_a_picture_of_one_pixel_is_named_and_the_rest_continues(tmp_path):
    """Filters look at neighbours: it used to end the replay with OpenCV's own words."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((1, 1, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((30, 40, 3), np.uint8))
    with open_camera(Options(path=tmp_path), CLOCK) as camera:
        assert [frame.name for frame in camera.frames()] == ["b"]
        assert [(one.name, one.reason) for one in camera.skipped] == [("a", "1 x 1 pixels are no picture")]
