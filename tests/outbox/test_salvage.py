"""What is taken out of a damaged outbox: whole letters or none, and everything that the damage did not hit."""

import os
import random

import pytest

from edge.cli import main
from edge.outbox import Letter, LetterState
from edge.outbox.reader import open_reader
from tests.outbox.boxes import open_at

PAGE = 512


@pytest.fixture
def put(path):
    """Two hundred letters of 1.2 kB, of which the first fifty are confirmed; by id."""
    dice = random.Random(3)
    made = [Letter(f"id-{n}", f"topic/{n % 3}", dice.randbytes(1200), None) for n in range(200)]
    with open_at(path) as box:
        for first in range(0, 200, 10):
            box.put(made[first : first + 10])
        box.done([letter.id for letter in made[:50]])
    return {letter.id: letter for letter in made}


def recovered(path):
    with open_reader(path) as reader:
        return [one for one in reader.list(10_000) if one.state is LetterState.PENDING]


def test_of_a_sound_file_all_that_nobody_confirmed(path, put, tmp_path, capsys):
    new = tmp_path / "new.db"
    before = path.read_bytes()
    assert main(["outbox", "recover", str(path), "--out", str(new)]) == 0
    assert "150 letters that nobody has confirmed are in" in capsys.readouterr().err
    assert [one.letter for one in recovered(new)] == list(put.values())[50:]
    assert path.read_bytes() == before


@pytest.mark.parametrize("seed", range(6))
def test_pages_of_noise_hide_their_own_letters_and_no_others(path, put, tmp_path, capsys, seed):
    """Three pages of noise: a letter takes three, so that nine letters are the most that they hit directly; a page that
    leads to others may hide some twenty of them."""
    dice = random.Random(seed)
    content = bytearray(path.read_bytes())
    pages = len(content) // PAGE
    # Not the first pages: they say where the tables are (the next test).
    for number in dice.sample(range(pages // 4, pages - 20), 3):
        content[number * PAGE : (number + 1) * PAGE] = dice.randbytes(PAGE)
    path.write_bytes(content)
    new = tmp_path / "new.db"
    assert main(["outbox", "recover", str(path), "--out", str(new)]) == 0
    found = [one.letter for one in recovered(new)]
    assert len({letter.id for letter in found}) == len(found)
    whole = [letter for letter in found if put.get(letter.id) == letter]
    # SQLite has no checksums: a letter whose middle page is noise of the right length is read, with that noise in it.
    assert len(found) - len(whole) <= 3
    assert len(whole) >= 150 - 3 * 25
    assert "letters that nobody has confirmed are in" in capsys.readouterr().err


def test_without_its_first_pages_nothing_can_be_read_and_it_is_said(path, put, tmp_path, capsys):
    path.write_bytes(os.urandom(4096) + path.read_bytes()[4096:])
    new = tmp_path / "new.db"
    assert main(["outbox", "recover", str(path), "--out", str(new)]) == 75
    assert "nothing can be read of it (file is not a database)" in capsys.readouterr().err
    assert not new.exists()


def test_what_is_there_stays_and_what_is_not_is_named(path, put, tmp_path, capsys):
    assert main(["outbox", "recover", str(path), "--out", str(path)]) == 2
    assert "it is there already" in capsys.readouterr().err
    assert main(["outbox", "recover", str(tmp_path / "gone.db"), "--out", str(tmp_path / "new.db")]) == 2
    assert "there is no such file" in capsys.readouterr().err
