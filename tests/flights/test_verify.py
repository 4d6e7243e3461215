"""The manifest and ``spanhawk verify``: whatever changes in a flight folder is named."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import random
import shutil
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import minisign
import pytest

from edge.cli import main
from edge.evidence import Evidence
from edge.flights import CRACKS, DETECTIONS, MANIFEST, SETTINGS, SIGNATURE, SUMMARY
from edge.flights.resume import seal_all
from edge.flights.verify import verify
from edge.flights.writer import FlightWriter, digest_of
from edge.support.clock import ManualClock
from edge.support.errors import ConfigError, UsageError
from edge.support.minisig import Signer

NOW = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with one secret key and its public half."""
    folder = tmp_path / "keys"
    folder.mkdir()
    pair = minisign.KeyPair.generate()
    (folder / "ours.pub").write_bytes(bytes(pair.public_key))
    (folder / "ours.key").write_bytes(bytes(pair.secret_key))
    return folder


def begun(folder: Path, clock: ManualClock, keys: Path | None = None) -> FlightWriter:
    """A flight of 40 frames in ten-second steps, not sealed yet."""
    signer = None if keys is None else Signer(keys / "ours.key", "flight.sign_key")
    writer = FlightWriter(folder, clock, "20260601T120000Z-abcdef", signer)
    writer.settings({"vehicle": "d"})
    (folder / "photos").mkdir()
    for seq in range(40):
        clock.advance_to(clock.monotonic_ns() + 4_000_000_000)
        picture = None
        if seq % 8 == 0:
            data = random.Random(seq).randbytes(5000)
            (folder / "photos" / f"{seq:08d}.jpg").write_bytes(data)
            picture = Evidence(f"{seq:08d}.jpg", hashlib.sha256(data).hexdigest())
        writer.frame([b'{"seq":%d}' % seq], picture, seq, NOW, changed=True)
        if writer.cracks_due and seq < 35:
            writer.cracks([{"type": "Feature", "properties": {"seq": seq}}])
    return writer


def flown(folder: Path, keys: Path | None = None) -> Path:
    writer = begun(folder, ManualClock(NOW), keys)
    writer.cracks([])
    writer.summary({"schema": "spanhawk/flight/1"})
    writer.seal()
    return folder


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_whole_flight_is_intact_and_says_who_signed_it(
    tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = flown(tmp_path / "flight", keys)
    assert main(["verify", str(folder), "--keys", str(keys), "--signed"]) == 0
    assert "(ours.pub)" in capsys.readouterr().out
    (tmp_path / "nobody").mkdir()
    assert main(["verify", str(folder), "--keys", str(tmp_path / "nobody")]) == 78
    unsigned = flown(tmp_path / "unsigned")
    assert main(["verify", str(unsigned), "--keys", str(keys)]) == 0
    assert main(["verify", str(unsigned), "--keys", str(keys), "--signed"]) == 1


@pytest.mark.parametrize("seed", range(2))
def test_one_byte_anywhere_is_named_200_of_200(tmp_path: Path, keys: Path, seed: int) -> None:
    """By random place over all bytes of the folder, and as often in manifest and signature, the smallest of them."""
    folder, rng = flown(tmp_path / "flight", keys), random.Random(seed)
    everything = files(folder)
    sizes = [path.stat().st_size for path in everything]
    picked = rng.choices(everything, sizes, k=60) + rng.choices(everything, k=40)
    picked += [folder / MANIFEST] * 50 + [folder / SIGNATURE] * 50
    for path in picked:
        whole = path.read_bytes()
        at = rng.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :])
        named = {problem.file for problem in verify(folder, keys).problems}
        unknown = verify(folder, keys).unknown_key
        assert path.relative_to(folder).as_posix() in named, (path, at, whole[at : at + 1], named, unknown)
        path.write_bytes(whole)
    assert len(picked) == 200
    assert verify(folder, keys).intact


def test_added_lost_cut_and_grown_files_are_named_and_what_people_make_later_is_not(tmp_path: Path, keys: Path) -> None:
    folder = flown(tmp_path / "flight", keys)
    (folder / "report").mkdir()
    (folder / "report" / "index.html").write_text("later", encoding="utf-8")
    (folder / "review.json").write_text("{}", encoding="utf-8")
    (folder / "cracks.gpkg").write_bytes(b"later")
    (folder / "outbox.db-journal").write_bytes(b"later")
    assert verify(folder, keys).intact
    (folder / "photos" / "new.jpg").write_bytes(b"x")
    (folder / "photos" / "00000008.jpg").unlink()
    with (folder / DETECTIONS).open("ab") as file:
        file.write(b"{}\n")
    (folder / CRACKS).write_bytes((folder / CRACKS).read_bytes()[:-1])
    said = {problem.file: problem.what for problem in verify(folder, keys).problems}
    assert set(said) == {"photos/new.jpg", "photos/00000008.jpg", DETECTIONS, CRACKS}
    assert said["photos/new.jpg"] == "was added"
    assert said["photos/00000008.jpg"] == "was lost"
    assert "3 bytes were added at its end" in said[DETECTIONS]


def test_a_link_is_named_as_added_wherever_it_leads_and_is_never_noted(tmp_path: Path, keys: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    writer = begun(tmp_path / "flight", ManualClock(NOW))
    early, late = tmp_path / "flight" / "early", tmp_path / "flight" / "photos" / "late"
    early.symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "flight" / "pipe")
    writer.seal()
    (tmp_path / "flight" / "pipe").unlink()
    late.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "flight" / "file").symlink_to(keys / "ours.pub")
    found = {(problem.file, problem.what) for problem in verify(tmp_path / "flight", keys).problems}
    assert found == {("early", "was added"), ("photos/late", "was added"), ("file", "was added")}


@pytest.mark.parametrize("change", ["drop", "swap", "repeat", "cut"])
def test_whole_lines_of_the_manifest_cannot_be_moved(tmp_path: Path, keys: Path, change: str) -> None:
    folder = flown(tmp_path / "flight")
    path = folder / MANIFEST
    lines = path.read_bytes().splitlines(keepends=True)
    if change == "drop":
        del lines[5]
    elif change == "swap":
        lines[5:7] = lines[6:4:-1]
    elif change == "repeat":
        lines.insert(5, lines[4])
    else:
        del lines[-1]
    path.write_bytes(b"".join(lines))
    verdict = verify(folder, keys)
    assert not verdict.intact
    if change == "cut":
        assert main(["verify", str(folder)]) == 75
    else:
        assert any(problem.file == MANIFEST for problem in verdict.problems)


def test_a_lost_signature_is_named(tmp_path: Path, keys: Path) -> None:
    folder = flown(tmp_path / "flight", keys)
    (folder / SIGNATURE).unlink()
    assert [problem.file for problem in verify(folder, keys).problems] == [SIGNATURE]


@pytest.mark.parametrize("torn", [0, 1, 30])
def test_a_power_cut_is_sealed_at_the_next_start_and_what_was_altered_before_stays_visible(
    tmp_path: Path, keys: Path, torn: int
) -> None:
    clock = ManualClock(NOW)
    folder = tmp_path / "flights" / "one"
    begun(folder, clock, keys).close()
    with (folder / DETECTIONS).open("ab") as file:
        file.write(b'{"seq":4')  # as a power cut leaves it
    path = folder / MANIFEST
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) - torn])
    assert main(["verify", str(folder), "--keys", str(keys)]) == 75
    altered = tmp_path / "flights" / "two"
    shutil.copytree(folder, altered)
    damaged = bytearray((altered / DETECTIONS).read_bytes())
    damaged[3] ^= 1
    (altered / DETECTIONS).write_bytes(damaged)
    assert seal_all(tmp_path / "flights", clock, Signer(keys / "ours.key", "flight.sign_key")) == []
    verdict = verify(folder, keys)
    assert verdict.intact, verdict.problems
    assert verdict.state.interrupted
    assert DETECTIONS in verdict.state.late
    assert [problem.file for problem in verify(altered, keys).problems] == [DETECTIONS]
    before = path.read_bytes()
    assert seal_all(tmp_path / "flights", clock, None) == []
    assert path.read_bytes() == before, "sealed once"


def test_a_power_cut_at_the_first_writing_of_a_document_loses_nothing(
    tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power goes between the manifest's line and the file."""
    folder = tmp_path / "flights" / "one"

    class PowerCutError(Exception):
        pass

    def no_power(path: Path, data: bytes) -> None:
        raise PowerCutError

    writer = begun(folder, ManualClock(NOW), keys)
    with monkeypatch.context() as cut:
        cut.setattr("edge.flights.writer.write_whole", no_power)
        with pytest.raises(PowerCutError):
            writer.summary({"schema": "spanhawk/flight/1"})
    writer.close()
    robbed = tmp_path / "flights" / "two"
    shutil.copytree(folder, robbed)
    (robbed / SETTINGS).unlink()
    assert seal_all(tmp_path / "flights", ManualClock(NOW), Signer(keys / "ours.key", "flight.sign_key")) == []
    assert verify(folder, keys).problems == ()
    assert main(["verify", str(folder), "--keys", str(keys), "--signed"]) == 0
    assert "never came into place: summary.json" in capsys.readouterr().out
    assert [(one.file, one.what) for one in verify(robbed, keys).problems] == [(SETTINGS, "was lost")]
    (folder / SUMMARY).write_text("{}", encoding="utf-8")
    assert [one.file for one in verify(folder, keys).problems] == [SUMMARY]


def test_a_document_that_a_full_disk_never_took_is_not_called_lost(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = begun(tmp_path / "flight", ManualClock(NOW))
    for _ in range(2):
        with monkeypatch.context() as now:
            now.setattr("edge.flights.writer.write_whole", full)
            with pytest.raises(OSError, match="No space"):
                writer.summary({"schema": "spanhawk/flight/1"})
    writer.seal()
    assert verify(tmp_path / "flight", keys).problems == ()


def failing_sync(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """From now on the disk fails when it is to write down what belongs to ``path``."""
    sync = os.fsync

    def failed(descriptor: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")) == path:
            raise OSError(errno.EIO, "Input/output error")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", failed)


@pytest.mark.parametrize("end", ["seal", "power cut"])
@pytest.mark.parametrize("where", ["", MANIFEST])
@pytest.mark.parametrize("times", [1, 2])
def test_a_disk_that_fails_before_or_after_a_document_is_in_place_makes_no_tampering(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, times: int, where: str, end: str
) -> None:
    """At its first writing and at a later one: the sync of the manifest comes before, that of the folder after."""
    folder = tmp_path / "flights" / "one"
    writer = begun(folder, ManualClock(NOW))
    for number in range(1, times):
        writer.summary({"schema": "spanhawk/flight/1", "number": number})
    with monkeypatch.context() as now:
        failing_sync(now, folder / where)
        with pytest.raises(OSError, match="Input/output"):
            writer.summary({"schema": "spanhawk/flight/1", "number": times})
    assert (folder / SUMMARY).exists() == (times > 1 or where == "")
    writer.cracks([])
    if end == "seal":
        writer.seal()
    else:
        writer.close()
        assert seal_all(tmp_path / "flights", ManualClock(NOW), None) == []
    assert verify(folder, keys).problems == ()
    (folder / SUMMARY).write_text("{}", encoding="utf-8")
    assert [one.file for one in verify(folder, keys).problems] == [SUMMARY], "and what is altered is still named"


def test_a_power_cut_at_the_second_try_of_a_first_writing_loses_nothing(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "flights" / "one"
    writer = begun(folder, ManualClock(NOW))
    with monkeypatch.context() as now:
        failing_sync(now, folder / MANIFEST)
        with pytest.raises(OSError, match="Input/output"):
            writer.summary({"schema": "spanhawk/flight/1"})

    class PowerCutError(Exception):
        pass

    def no_power(path: Path, data: bytes) -> None:
        raise PowerCutError

    with monkeypatch.context() as cut:
        cut.setattr("edge.flights.writer.write_whole", no_power)
        with pytest.raises(PowerCutError):
            writer.summary({"schema": "spanhawk/flight/1"})
    writer.close()
    assert seal_all(tmp_path / "flights", ManualClock(NOW), None) == []
    assert verify(folder, keys).problems == ()


@pytest.mark.parametrize("known", [True, False])
def test_a_flight_that_was_begun_with_one_key_and_sealed_with_another_is_not_altered(
    known: bool, tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "flights" / "one"
    begun(folder, ManualClock(NOW), keys).close()
    old = Signer(keys / "ours.key", "flight.sign_key").number
    pair = minisign.KeyPair.generate()
    (keys / "new.key").write_bytes(bytes(pair.secret_key))
    if known:
        (keys / "new.pub").write_bytes(bytes(pair.public_key))
    new = Signer(keys / "new.key", "flight.sign_key")
    assert seal_all(folder.parent, ManualClock(NOW), new) == []
    verdict = verify(folder, keys)
    assert verdict.problems == ()
    assert main(["verify", str(folder), "--keys", str(keys), "--signed"]) == (0 if known else 78)
    told = "".join(capsys.readouterr())
    assert f"signed by key {new.number}" in told
    assert f"begun under key {old}" in told


def test_a_flight_that_was_begun_with_a_key_and_sealed_without_one_is_unsigned_not_altered(
    tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "flights" / "one"
    begun(folder, ManualClock(NOW), keys).close()
    assert seal_all(folder.parent, ManualClock(NOW), None) == []
    assert main(["verify", str(folder), "--keys", str(keys)]) == 0
    assert "not signed" in capsys.readouterr().out
    assert main(["verify", str(folder), "--keys", str(keys), "--signed"]) == 1


def test_what_cannot_be_verified_is_said(tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        verify(tmp_path / "nothing", keys)
    (tmp_path / "old").mkdir()
    assert main(["verify", str(tmp_path / "old"), "--keys", str(keys)]) == 2
    assert "not a flight folder" in capsys.readouterr().err
    (tmp_path / "old" / DETECTIONS).touch()
    assert main(["verify", str(tmp_path / "old"), "--keys", str(keys)]) == 1
    assert "1 thing was changed, added or lost" in capsys.readouterr().err
    assert "nothing can be verified" in str(verify(tmp_path / "old", keys).problems[0])
    folder = flown(tmp_path / "flight")
    path = folder / MANIFEST
    path.write_bytes(b"")
    assert "is empty" in str(verify(folder, keys).problems[0])
    locked = minisign.KeyPair.generate()
    locked.secret_key.encrypt("word")
    (keys / "locked.key").write_bytes(bytes(locked.secret_key))
    with pytest.raises(ConfigError, match="asks for a password"):
        Signer(keys / "locked.key", "flight.sign_key")


@contextlib.contextmanager
def as_a_stranger() -> Iterator[None]:
    """To the kernel this process is another user, who is in no group of the flight's."""
    if os.geteuid() != 0:
        yield  # then what has the mode 0 is closed to us too
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("closed", [".", "photos", MANIFEST, SIGNATURE, DETECTIONS, "photos/00000008.jpg"])
def test_a_flight_that_this_user_may_not_read_is_not_called_changed(
    closed: str, tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flown(tmp_path / "flight", keys)
    for folder in (tmp_path, keys, tmp_path / "flight", tmp_path / "flight/photos"):
        folder.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # what is above may be closed to strangers
    mode = Path("flight", closed).stat().st_mode
    Path("flight", closed).chmod(0)
    with as_a_stranger():
        code = main(["verify", "flight", "--keys", "keys"])
    Path("flight", closed).chmod(mode)
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert said.err.startswith("spanhawk: flight")
    assert "may not read it, so nothing was verified; run this as a member of the group" in said.err


def test_a_manifest_that_the_disk_does_not_give_is_one_sentence(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = flown(tmp_path / "flight")

    def no_disk(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr("edge.flights.verify.read_entries", no_disk)
    assert main(["verify", str(folder), "--keys", str(keys)]) == 2
    assert f"{MANIFEST}: cannot be read (Input/output error), so nothing was verified" in capsys.readouterr().err


def test_a_file_that_the_disk_does_not_give_is_named_and_the_others_are_checked(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = flown(tmp_path / "flight")
    bad, other = sorted((folder / "photos").iterdir())[:2]
    other.write_bytes(other.read_bytes()[:-1] + b"?")

    def digest(path: Path, *span: int) -> tuple[int, str]:
        if path == bad:
            raise OSError(errno.EIO, "Input/output error")
        return digest_of(path, *span)

    monkeypatch.setattr("edge.flights.verify.digest_of", digest)
    told = {problem.file: problem.what for problem in verify(folder, keys).problems}
    assert told == {f"photos/{bad.name}": "cannot be read: Input/output error", f"photos/{other.name}": "was changed"}
