"""Whose bundle it is: seals, signatures in minisign's format, shipped bundles; one altered byte anywhere is refused."""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
from pathlib import Path

import minisign
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.masks import litert, trust
from edge.masks.bundle import default_bundle_path, load_bundle
from edge.masks.card import CARD, SEAL, SIGNATURE
from edge.masks.trust import check_trust, format_sums, parse_sums, trust_of
from edge.support.errors import BundleError, ConfigError
from edge.support.minisig import key_number


def seal(folder: Path) -> None:
    """As sha256sum writes it."""
    names = [name for name in (CARD, SIGNATURE) if (folder / name).exists()]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / SEAL).write_text("".join(lines))


@pytest.fixture(scope="module")
def pair():
    return minisign.KeyPair.generate()


@pytest.fixture
def keys(tmp_path, pair):
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "ours.pub").write_bytes(bytes(pair.public_key) + b"\n")
    return folder


@pytest.fixture
def signed(pixel, pair):
    signature = pair.secret_key.sign((pixel.folder / CARD).read_bytes(), trusted_comment="a test")
    (pixel.folder / SIGNATURE).write_bytes(bytes(signature) + b"\n")
    seal(pixel.folder)
    return pixel.folder


def test_a_signature_by_a_known_key_is_trusted(signed, keys, pair):
    number = key_number(pair.public_key.to_base64())
    assert trust_of(signed, keys) == trust.Trust(True, f"signed by key {number} (ours.pub)")
    with_key = litert.Options(bundle=signed, keys=keys, threads=1)
    from edge.support.clock import SystemClock

    with litert.open_segmenter(with_key, SystemClock()) as segmenter:
        assert segmenter.model.startswith("pixel-")


def load_and_check(folder: Path, keys: Path) -> None:
    load_bundle(folder)
    trust_of(folder, keys)


def test_every_single_byte_of_a_signed_bundle_counts(signed, keys):
    """Each file of the bundle, changed at its start, its middle and its end, is refused by name."""
    for path in sorted(signed.iterdir()):
        sound = path.read_bytes()
        for place in (0, len(sound) // 3, len(sound) // 2, len(sound) - 2, len(sound) - 1):
            path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
            with pytest.raises(BundleError) as refusal:
                load_and_check(signed, keys)
            assert path.name in str(refusal.value) or SEAL in str(refusal.value)
        path.write_bytes(sound)
    assert trust_of(signed, keys).trusted


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_flipped_bit_of_the_card_is_refused(tmp_path_factory, place, bit):
    folder = tmp_path_factory.mktemp("bit") / "pixel"
    shutil.copytree(Path(__file__).parent / "fixtures" / "pixel", folder)
    seal(folder)
    card = bytearray((folder / CARD).read_bytes())
    card[place % len(card)] ^= 1 << bit
    (folder / CARD).write_bytes(card)
    with pytest.raises(BundleError, match=r"card\.json"):
        load_bundle(folder)


def test_a_changed_card_with_a_fresh_seal_is_caught_by_the_signature(signed, keys):
    path = signed / CARD
    path.write_text(path.read_text().replace('"score_threshold": 0.6', '"score_threshold": 0.9'))
    seal(signed)
    load_bundle(signed)
    with pytest.raises(BundleError, match=r"card\.json: its signature card\.json\.minisig does not fit"):
        trust_of(signed, keys)


def test_unsigned_bundles_fly_only_when_told_so(pixel, keys, caplog):
    with pytest.raises(BundleError, match=r"has no signature.*convert sign.*unsigned") as refusal:
        check_trust(pixel.folder, keys, "refuse")
    assert refusal.value.exit_code == 78
    with caplog.at_level(logging.WARNING):
        assert not check_trust(pixel.folder, keys, "allow").trusted
    assert "the bundle is not signed by a trusted key" in caplog.text


def test_a_key_nobody_here_knows_is_no_trust(signed, tmp_path, pair):
    other = tmp_path / "other"
    other.mkdir()
    number = key_number(pair.public_key.to_base64())
    assert trust_of(signed, other) == trust.Trust(False, f"it is signed by key {number}, but {other} holds no key")
    (other / "theirs.pub").write_bytes(bytes(minisign.KeyPair.generate().public_key))
    assert f"not among the 1 keys in {other}" in trust_of(signed, other).words
    with pytest.raises(BundleError, match=number):
        check_trust(signed, other, "refuse")


def test_a_key_file_that_is_none_is_named(signed, keys):
    (keys / "broken.pub").write_text("no key\n")
    with pytest.raises(ConfigError, match=r"broken\.pub: not a minisign public key"):
        trust_of(signed, keys)


@pytest.mark.parametrize("content", [b"", b"untrusted comment: x\nRWQ=\ntrusted comment: y\nAAAA\n", b"\xff\xfe"])
def test_a_signature_that_is_none_is_named(pixel, keys, content):
    (pixel.folder / SIGNATURE).write_bytes(content)
    with pytest.raises(BundleError, match=r"card\.json\.minisig: not a minisign signature"):
        trust_of(pixel.folder, keys)


@pytest.mark.parametrize("text", ["", "abc\n", f"{'0' * 64}  model.tflite\n", f"{'0' * 64} card.json\n", "\0"])
def test_a_seal_that_is_none_is_named(pixel, text):
    (pixel.folder / SEAL).write_text(text)
    with pytest.raises(BundleError, match=r"card\.json\.sha256: not the SHA-256"):
        load_bundle(pixel.folder)


def test_the_shipped_bundle_is_trusted_without_any_key(tmp_path):
    assert trust_of(default_bundle_path(), tmp_path) == trust.Trust(True, "shipped with spanhawk")


def test_a_copy_of_the_shipped_bundle_with_another_threshold_is_nobodys(tmp_path):
    folder = Path(shutil.copytree(default_bundle_path(), tmp_path / "fast-unet"))
    card = (folder / CARD).read_text()
    (folder / CARD).write_text(card.replace('"score_threshold": 0', '"score_threshold":  0'))
    (folder / SEAL).unlink(missing_ok=True)
    assert not trust_of(folder, tmp_path).trusted


@given(st.dictionaries(st.from_regex(r"[a-z./-]{1,20}", fullmatch=True), st.binary(max_size=4), max_size=4))
def test_sums_are_read_back(contents):
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    assert parse_sums(format_sums(sums)) == sums


def test_the_standard_tools_agree(signed, keys):
    """A user without spanhawk can verify a bundle: sha256sum for the seal, minisign for the signature."""
    ran = subprocess.run(["sha256sum", "--check", "--strict", SEAL], cwd=signed, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    if shutil.which("minisign") is None:
        pytest.skip("minisign is not installed; apt install minisign")
    verify = ["minisign", "-V", "-p", str(keys / "ours.pub"), "-m", CARD]
    assert subprocess.run(verify, cwd=signed, capture_output=True).returncode == 0


def test_a_signature_made_by_minisign_itself_is_read(pixel, tmp_path):
    if shutil.which("minisign") is None:
        pytest.skip("minisign is not installed; apt install minisign")
    folder = tmp_path / "keys"
    folder.mkdir()
    make = ["minisign", "-G", "-W", "-p", str(folder / "tool.pub"), "-s", str(tmp_path / "tool.key")]
    subprocess.run(make, check=True, capture_output=True)
    sign = ["minisign", "-S", "-s", str(tmp_path / "tool.key"), "-m", CARD]
    subprocess.run(sign, cwd=pixel.folder, check=True, capture_output=True)
    assert trust_of(pixel.folder, folder).words.endswith("(tool.pub)")
