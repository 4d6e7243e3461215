"""An image of Debian alone, as far as it is made without a root of Debian; the rest is booted by test-arm64-system."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from card import debian
from card.disk import MB, TOOLS, Slice, run, write_disk
from edge.support.errors import DeviceError
from tests.card import raspios
from tests.card.test_bad_input import GOOD

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in (*TOOLS, "debugfs")),
    reason="needs mtools: make system-packages",
)


def test_a_disk_holds_what_the_folders_hold(tmp_path: Path) -> None:
    for name in ("boot/loader", "root/etc"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "boot/loader/loader.conf").write_text("timeout 0\n")
    (tmp_path / "root/etc/hostname").write_text("drone1\n")
    disk = tmp_path / "disk.img"
    boot = Slice(40 * MB, tmp_path / "boot", "type=c12a7328-f81f-11d2-ba4b-00a0c93ec93b, name=esp", "ESP", fat=True)
    root = Slice(8 * MB, tmp_path / "root", "type=0fc63daf-8483-4772-8e79-3d69d8477de4, name=root", "root")
    write_disk(disk, "label: gpt", (boot, root), MB, tail=MB)
    table = json.loads(run(["sfdisk", "--json", str(disk)]))["partitiontable"]["partitions"]
    assert [(one["name"], one["start"] * 512, one["size"] * 512) for one in table] == [
        ("esp", MB, 40 * MB),
        ("root", 41 * MB, 8 * MB),
    ]
    assert run(["mtype", "-i", f"{disk}@@{MB}", "::loader/loader.conf"]) == "timeout 0\n"
    assert run(["debugfs", "-R", "cat /etc/hostname", f"{disk}?offset={41 * MB}"]) == "drone1\n"


def test_a_disk_that_is_too_small_for_its_files_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/large").write_bytes(os.urandom(9 * MB))
    with pytest.raises(DeviceError, match=r"mkfs\.ext4 .* fails"):
        write_disk(tmp_path / "disk.img", "label: gpt", (Slice(8 * MB, tmp_path / "root", "type=L", "root"),), MB, MB)


@pytest.mark.parametrize(
    ("toml", "root", "code", "words"),
    [
        (GOOD + "uart = true\n", True, 2, "card.uart is for make card"),
        (GOOD.replace("hostname", "hostnam"), True, 78, "card.hostnam: unknown key; did you mean hostname?"),
        (GOOD, False, 2, "make image needs root"),
    ],
)
def test_what_cannot_be_made_is_told_in_one_sentence(toml, root, code, words, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    (tmp_path / "card.toml").write_text(toml, encoding="utf-8")
    told = debian.main([str(tmp_path / "out.img"), "--config", str(tmp_path / "card.toml"), "--deb", "none.deb"])
    said = capsys.readouterr().err
    assert (told, said.count("\n")) == (code, 1), said
    assert words in said
    assert not (tmp_path / "out.img").exists()


def test_a_package_of_another_board_is_told_before_anything_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(debian, "NEEDED", {})
    (tmp_path / "card.toml").write_text(GOOD, encoding="utf-8")
    deb = raspios.make_deb(tmp_path, architecture="amd64")
    code = debian.main([str(tmp_path / "out.img"), "--config", str(tmp_path / "card.toml"), "--deb", str(deb)])
    assert code == 2
    said = capsys.readouterr().err
    assert "is for amd64 and the image for arm64; make deb BOARD=arm64-python3.13" in said
