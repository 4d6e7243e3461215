"""What every outbox promises; a new module of the room is tested here as soon as it exists."""

import contextlib
import importlib
import inspect
import os
from datetime import datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from edge.outbox import Letter, LetterState
from edge.support import backends
from edge.support.clock import UTC, ManualClock
from edge.support.errors import TryAgainError
from tests.outbox.excused import unexcused

NAMES = backends.names("edge.outbox", "open_outbox")
EMPTY = dict.fromkeys(LetterState, 0)


def letter(id, payload=b"{}"):
    return Letter(str(id), "spanhawk/drone/detections", payload, None)


def letters(*ids):
    return [letter(id) for id in ids]


def clock_at(seconds=1):
    return ManualClock(datetime(2026, 5, 1, tzinfo=UTC), seconds * 10**9)


def open_box(name, folder, clock=None):
    module = importlib.import_module(f"edge.outbox.{name}")
    given = {"path": folder / "outbox.db", "ballast_bytes": 0, "min_free_bytes": 0}
    known = inspect.signature(module.Options).parameters
    options = module.Options(**{key: value for key, value in given.items() if key in known})
    return module.open_outbox(options, clock or clock_at())


@pytest.fixture(params=NAMES)
def box(request, tmp_path):
    with open_box(request.param, tmp_path) as outbox:
        yield outbox


def ids(taken):
    return [one.id for one in taken]


def test_the_room_has_a_real_outbox_and_a_fake():
    assert {"sqlite", "memory"} <= set(NAMES)


def test_an_empty_box(box):
    assert box.take(5) == []
    assert box.list(5) == []
    assert box.counts() == EMPTY
    assert (box.release(), box.retry(), box.purge()) == (0, 0, 0)
    assert box.health() is None


def test_letters_come_back_whole_and_in_order(box):
    put = [Letter(f"id-{n}", f"spanhawk/d/{n}", bytes(range(n, 256)), None) for n in (3, 1, 2)]
    box.put(put)
    taken = box.take(10)
    assert [(one.id, one.topic, one.payload) for one in taken] == [(one.id, one.topic, one.payload) for one in put]
    assert [one.put_ns for one in taken] == [10**9] * 3


def test_unusual_letters_are_kept_as_they_are(box):
    odd = [letter("é/☂ '\";--", b""), letter("", b"\x00" * 300_000), letter("a" * 5000, b"\xff")]
    box.put(odd)
    assert [(one.id, one.payload) for one in box.take(3)] == [(one.id, one.payload) for one in odd]


@pytest.mark.parametrize("name", NAMES)
def test_a_put_waits_for_its_disk_where_the_watchdog_sees_it(name, tmp_path):
    """Half a minute of a slow card must not end the daemon."""
    with open_box(name, tmp_path) as box:
        assert unexcused(tmp_path, lambda: box.put(letters("a", "b"))) == set()
        assert unexcused(tmp_path, lambda: box.put([letter("c", os.urandom(300_000))])) == set()


def test_an_outbox_that_does_not_say_that_it_waits_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.outbox.store.waiting", contextlib.nullcontext)
    with open_box("sqlite", tmp_path) as box:
        assert "outbox.db-wal" in unexcused(tmp_path, lambda: box.put(letters("a")))


def test_putting_an_id_again_keeps_the_first(box):
    box.put([letter("a", b"first"), letter("a", b"twin")])
    box.put([letter("a", b"late"), letter("b", b"other")])
    assert [one.payload for one in box.take(9)] == [b"first", b"other"]
    box.done(["a"])
    box.put([letter("a", b"again")])
    assert box.counts()[LetterState.CONFIRMED] == 1
    assert box.counts()[LetterState.PENDING] == 0


def test_a_letter_is_taken_once_until_released(box):
    box.put(letters("a", "b"))
    assert ids(box.take(9)) == ["a", "b"]
    assert box.take(9) == []
    assert box.release() == 2
    assert ids(box.take(9)) == ["a", "b"]
    assert [stored.attempts for stored in box.list(9)] == [2, 2]


def test_confirmed_letters_are_not_taken_again(box):
    box.put(letters("a", "b"))
    box.take(9)
    box.done(["a", "nobody", "a"])
    box.release()
    assert ids(box.take(9)) == ["b"]
    assert box.counts() == EMPTY | {LetterState.CONFIRMED: 1, LetterState.SENT: 1}


def test_a_letter_released_meanwhile_can_still_be_confirmed(box):
    box.put(letters("a"))
    box.take(1)
    box.release()
    box.done(["a"])
    assert box.counts()[LetterState.CONFIRMED] == 1


def test_parked_letters_wait_with_their_reason(box):
    box.put(letters("a", "b"))
    box.take(9)
    box.park("a", "Not authorized")
    box.park("nobody", "?")
    box.release()
    assert ids(box.take(9)) == ["b"]
    assert [(s.letter.id, s.state, s.reason) for s in box.list(9)] == [
        ("a", LetterState.PARKED, "Not authorized"),
        ("b", LetterState.SENT, None),
    ]
    assert box.retry() == 1
    assert ids(box.take(9)) == ["a"]
    assert box.list(1)[0].reason is None


def test_everything_can_be_sent_again_on_request(box):
    box.put(letters("a", "b", "c"))
    box.done(["a"])
    box.park("b", "no")
    assert box.retry(confirmed=True) == 2
    assert ids(box.take(9)) == ["a", "b", "c"]


def test_what_was_confirmed_cannot_be_parked(box):
    box.put(letters("a"))
    box.done(["a"])
    box.park("a", "late refusal")
    assert box.counts()[LetterState.CONFIRMED] == 1


def test_purge_deletes_confirmed_letters_only(box):
    box.put(letters("a", "b", "c"))
    box.done(["b"])
    assert box.purge() == 1
    assert [s.letter.id for s in box.list(9)] == ["a", "c"]
    assert box.purge(everything=True) == 2
    assert box.counts() == EMPTY


def test_list_is_limited_and_oldest_first(box):
    box.put(letters(*range(5)))
    assert [s.letter.id for s in box.list(3)] == ["0", "1", "2"]


@pytest.mark.parametrize("count", [0, -1])
def test_taking_nothing(box, count):
    box.put(letters("a"))
    assert box.take(count) == []


@pytest.mark.parametrize("window", [1, 2, 3, 8])
def test_a_backlog_does_not_starve_what_was_just_put(box, window):
    box.put(letters(*range(500)))
    box.put(letters("fresh"))
    taken = [*box.take(window), *box.take(window)]
    assert "fresh" in ids(taken)
    assert "0" in ids(taken)


@pytest.mark.parametrize("window", [1, 2, 3, 8])
def test_new_letters_do_not_starve_the_backlog(box, window):
    backlog = [f"old-{n}" for n in range(20)]
    box.put(letters(*backlog))
    for turn in range(60):
        box.put(letters(*(f"new-{turn}-{n}" for n in range(window))))
        box.done(ids(box.take(window)))
    left = [s.letter.id for s in box.list(1000) if s.state is LetterState.PENDING and s.letter.id in backlog]
    assert left == []


def full_box(name, folder, confirmed):
    """An outbox with room for little, given more than fits; returns it and what it took."""
    module = importlib.import_module(f"edge.outbox.{name}")
    known = inspect.signature(module.Options).parameters
    given = {"path": folder / "outbox.db", "max_bytes": 1 << 20, "capacity": 200, "ballast_bytes": 0}
    options = module.Options(**{key: value for key, value in (given | {"min_free_bytes": 0}).items() if key in known})
    box = module.open_outbox(options, clock_at())
    taken = []
    try:
        for n in range(450):
            box.put([letter(n, os.urandom(4000))])
            taken.append(str(n))
            if confirmed:
                box.done([str(n)])
    except TryAgainError as error:
        assert "storage is full" in str(error)
        assert not confirmed, "confirmed letters must make room"
    else:
        assert confirmed, "it cannot have had room for all"
    return box, taken


@pytest.mark.parametrize("name", NAMES)
def test_full_of_unconfirmed_letters_it_refuses_and_loses_none(name, tmp_path):
    box, put = full_box(name, tmp_path, confirmed=False)
    with box:
        assert box.health().startswith("storage is full")
        with pytest.raises(TryAgainError, match="storage is full"):
            box.put([letter("x", os.urandom(4000)), letter("y", os.urandom(4000))])
        assert box.counts() == EMPTY | {LetterState.PENDING: len(put)}
        assert sorted(ids(box.take(len(put)))) == sorted(put)
        box.done(put[:10])
        box.put([letter("x", os.urandom(4000))])
        assert box.health() is None
        assert box.counts()[LetterState.SENT] == len(put) - 10
        assert ids(box.take(9)) == ["x"]


@pytest.mark.parametrize("name", NAMES)
def test_confirmed_letters_make_room_oldest_first(name, tmp_path):
    box, put = full_box(name, tmp_path, confirmed=True)
    with box:
        kept = [s.letter.id for s in box.list(10_000)]
        assert kept == put[-len(kept) :]
        assert 50 < len(kept) < 450
        assert box.health() is None


class AgainstAModel(RuleBasedStateMachine):
    """Any order of calls gives the states a plain dictionary gives."""

    name = ""

    @initialize()
    def begin(self):
        self.box, self.model, self.made = self.open(), {}, 0

    @rule(count=st.integers(1, 4))
    def put(self, count):
        new = [str(self.made + n) for n in range(count)]
        self.made += count
        self.box.put(letters(*new))
        self.model |= dict.fromkeys(new, LetterState.PENDING)

    @rule(count=st.integers(1, 6))
    def take(self, count):
        waiting = [id for id, state in self.model.items() if state is LetterState.PENDING]
        taken = ids(self.box.take(count))
        assert len(taken) == min(count, len(waiting))
        assert taken == [id for id in waiting if id in taken]
        assert len(taken) < 2 or {waiting[0], waiting[-1]} <= set(taken)
        self.model |= dict.fromkeys(taken, LetterState.SENT)

    @rule(data=st.data())
    def done(self, data):
        chosen = data.draw(st.lists(st.sampled_from([*self.model, "nobody"]), max_size=4))
        self.box.done(chosen)
        self.model |= {id: LetterState.CONFIRMED for id in chosen if id in self.model}

    @rule(data=st.data())
    def park(self, data):
        chosen = data.draw(st.sampled_from([*self.model, "nobody"]))
        self.box.park(chosen, "no")
        if self.model.get(chosen, LetterState.CONFIRMED) is not LetterState.CONFIRMED:
            self.model[chosen] = LetterState.PARKED

    @rule()
    def release(self):
        assert self.box.release() == self._turn(LetterState.SENT)

    @rule()
    def retry(self):
        assert self.box.retry() == self._turn(LetterState.PARKED)

    @rule()
    def purge(self):
        gone = [id for id, state in self.model.items() if state is LetterState.CONFIRMED]
        assert self.box.purge() == len(gone)
        for id in gone:
            del self.model[id]

    @invariant()
    def the_same_standings(self):
        if hasattr(self, "box"):
            stored = self.box.list(10_000)
            assert {s.letter.id: s.state for s in stored} == self.model
            assert all((s.reason is not None) is (s.state is LetterState.PARKED) for s in stored)
            assert self.box.counts() == {state: list(self.model.values()).count(state) for state in LetterState}

    def teardown(self):
        if hasattr(self, "box"):
            self.box.__exit__(None, None, None)

    def _turn(self, state):
        turned = [id for id, now in self.model.items() if now is state]
        self.model |= dict.fromkeys(turned, LetterState.PENDING)
        return len(turned)


@pytest.mark.parametrize("name", NAMES)
def test_any_order_of_calls(name, tmp_path_factory):
    class Machine(AgainstAModel):
        def open(self):
            return open_box(name, tmp_path_factory.mktemp("box"))

    short = settings(max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Machine, settings=short)


def test_a_receipt_confirms_only_what_was_handed_over_and_says_of_how_many_it_was_news(box):
    box.put(letters("a", "b", "c"))
    assert ids(box.take(2)) == ["a", "c"]
    assert box.done(["a", "b", "nobody"], handed_over=True) == 1
    assert box.done(["a", "b"]) == 1
    assert box.counts() == EMPTY | {LetterState.CONFIRMED: 2, LetterState.SENT: 1}


def test_named_letters_are_made_pending_again_in_whatever_state(box):
    box.put(letters("a", "b", "c", "d"))
    box.take(3)
    box.done(["a"])
    box.park("b", "no")
    assert box.again(["a", "b", "nobody"]) == 2
    assert {one.letter.id: (one.state, one.reason) for one in box.list(9)}["b"] == (LetterState.PENDING, None)
    assert set(ids(box.take(9))) >= {"a", "b"}
    assert box.again([]) == 0
