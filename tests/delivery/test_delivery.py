"""Nothing is lost between an outbox and a publisher in memory, whatever happens in between."""

import threading
from collections import Counter
from datetime import datetime

import pytest

from edge.delivery import Delivery
from edge.delivery.culprits import STRIKES, STRIKES_KNOWN
from edge.mqtt import memory as mqtt_memory
from edge.outbox import Letter, LetterState
from edge.support.clock import UTC, ManualClock
from tests.delivery.world import SECOND_NS, World, late


def test_letters_go_out_in_order_and_are_confirmed():
    world = World()
    world.put("a", "b", "c")
    world.publisher.come_up()
    world.drain()
    assert world.arrived() == ["a", "b", "c"]
    assert set(world.states().values()) == {LetterState.CONFIRMED}
    assert (world.delivery.delivered, world.delivery.refused, world.delivery.waiting) == (3, 0, 0)
    assert world.delivery.health() is None


def test_the_window_is_not_exceeded():
    world = World(window=3)
    world.put(*"abcdefg")
    world.publisher.come_up()
    for _ in range(4):
        world.delivery.step()
    assert world.outbox.counts()[LetterState.SENT] == 3
    assert world.publisher.deliver(2) == 2
    world.delivery.step()
    assert world.outbox.counts() == {
        LetterState.PENDING: 2, LetterState.SENT: 3, LetterState.CONFIRMED: 2, LetterState.PARKED: 0,
    }  # fmt: skip


@pytest.mark.parametrize("window", [1, 20, 64, 1000])
def test_as_many_letters_are_on_their_way_as_the_publisher_is_configured_for(window):
    """mqtt.window above 20 used to do nothing: the delivery had a default of its own."""
    world = World(window=window, narrow=2000)
    world.put(*map(str, range(1200)))
    world.publisher.come_up()
    world.delivery.step()
    assert world.publisher.deliver(acknowledge=False) == window


def test_a_broker_with_a_smaller_window_gets_the_rest_later():
    world = World(window=6, narrow=2)
    world.put(*"abcdefg")
    world.publisher.come_up()
    world.delivery.step()
    assert world.publisher.deliver() == 2
    world.drain()
    assert sorted(world.arrived()) == list("abcdefg")


def test_while_away_letters_are_pending_and_the_window_is_empty():
    world = World()
    world.publisher.come_up()
    world.put("a", "b")
    world.delivery.step()
    world.publisher.go_down()
    world.delivery.step()
    assert world.outbox.counts()[LetterState.PENDING] == 2
    world.clock.advance(3 * SECOND_NS)
    world.publisher.come_up()
    world.drain()
    assert sorted(set(world.arrived())) == ["a", "b"]


def test_a_connection_that_came_back_unseen_is_noticed():
    world = World()
    world.publisher.come_up()
    world.put("a")
    world.delivery.step()
    world.publisher.go_down()
    world.publisher.come_up()
    world.drain()
    assert world.arrived() == ["a"]


def test_an_acknowledgement_lost_with_the_connection_means_a_repeat():
    world = World()
    world.publisher.come_up()
    world.put("a")
    world.delivery.step()
    world.publisher.deliver(acknowledge=False)
    world.publisher.go_down()
    world.drain()
    assert world.arrived() == ["a", "a"]


def test_a_refused_letter_is_parked_with_the_reason(caplog):
    world = World()
    world.publisher.come_up()
    world.put("a", "bad", "c")
    world.drain()
    assert world.states() == {"a": LetterState.CONFIRMED, "bad": LetterState.PARKED, "c": LetterState.CONFIRMED}
    assert [s.reason for s in world.outbox.list(9) if s.reason] == ["Not authorized"]
    assert world.delivery.refused == 1
    assert "1 letters were refused" in world.delivery.health()
    assert "letter bad is parked: Not authorized" in caplog.text


def test_old_letters_are_marked_late_and_fresh_ones_are_not():
    world = World()
    world.put("old")
    world.clock.advance(11 * SECOND_NS)
    world.put("new")
    world.publisher.come_up()
    world.drain()
    assert world.arrived() == ["late:old", "new"]


def test_letters_of_an_earlier_run_are_late(tmp_path):
    from edge.outbox import sqlite

    clock = ManualClock(datetime(2026, 5, 1, tzinfo=UTC), SECOND_NS)
    options = sqlite.Options(path=tmp_path / "o.db", ballast_bytes=0, min_free_bytes=0)
    with sqlite.open_outbox(options, clock) as box:
        box.put([Letter("old", "t", b"old", None)])
    with sqlite.open_outbox(options, clock) as box:
        box.put([Letter("new", "t", b"new", None)])
        publisher = mqtt_memory.open_publisher(mqtt_memory.Options(), clock, vehicle="d", last_will=b"")
        delivery = Delivery(box, publisher, clock, late=late)
        delivery.step()
        delivery.step()
        assert [p.payload for p in publisher.arrived] == [b"late:old", b"new"]
        assert delivery.waiting == 0


def test_a_repeat_that_has_become_old_says_so():
    world = World()
    world.publisher.come_up()
    world.put("a")
    world.delivery.step()
    world.clock.advance(60 * SECOND_NS)
    world.publisher.go_down()
    world.drain()
    assert world.arrived() == ["late:a"]


def test_a_letter_that_cannot_be_marked_is_parked_and_blocks_nobody():
    def picky(payload):
        raise ValueError("not JSON")

    world = World()
    world.delivery = Delivery(world.outbox, world.publisher, world.clock, late=picky)
    world.put("a")
    world.clock.advance(11 * SECOND_NS)
    world.put("b")
    world.publisher.come_up()
    world.drain()
    assert world.arrived() == ["b"]
    assert world.states()["a"] is LetterState.PARKED


def test_a_failing_disk_pauses_and_loses_no_answer(caplog):
    world = World()
    world.publisher.come_up()
    world.put("a", "bad")
    world.delivery.step()
    world.publisher.deliver()
    world.outbox.failing = True
    assert [world.delivery.step() for _ in range(3)] == [1.0, 1.0, 1.0]
    world.outbox.failing = False
    world.delivery.step()
    assert world.states() == {"a": LetterState.CONFIRMED, "bad": LetterState.PARKED}
    assert (world.delivery.delivered, world.delivery.refused) == (1, 1)
    assert world.arrived() == ["a"]
    assert caplog.text.count("delivery pauses") == 1


@pytest.mark.parametrize("place", [0, 3, 19, 30, 59])
def test_a_letter_at_which_the_broker_hangs_up_is_found_and_parked(place):
    world = World(window=20)
    ids = [f"{n:02d}" for n in range(60)]
    world.put(*ids)
    culprit = ids[place]
    connections = 0
    while world.delivery.waiting and connections < 40:
        if not world.publisher.connected:
            world.publisher.come_up()
            world.publisher.closes_at = lambda published: published.payload.decode() == culprit
            connections += 1
        world.turn()
        if connections < 6:
            world.put(f"new-{connections}-{world.clock.monotonic_ns()}")
    assert world.states()[culprit] is LetterState.PARKED
    assert Counter(world.states().values())[LetterState.PARKED] == 1
    assert connections <= 4 + 2 * STRIKES
    [parked] = [s for s in world.outbox.list(10**6) if s.state is LetterState.PARKED]
    assert parked.reason == "the broker closed the connection each of the 5 times this letter was sent alone"


def close_at(world, refused):
    """Let the broker close the connection at letters that are ``refused`` until nothing waits; counts connections."""
    connections = 0
    while world.delivery.waiting and connections < 60:
        if not world.publisher.connected:
            world.publisher.come_up()
            world.publisher.closes_at = refused
            connections += 1
        world.turn()
    return connections


def parked(world):
    return {id for id, state in world.states().items() if state is LetterState.PARKED}


@pytest.mark.parametrize("resend", [False, True], ids=["flush", "resend"])
def test_a_size_at_which_the_broker_hangs_up_is_learnt_once(resend):
    """Until letters are asked for again: then those of that size are tried anew, not parked unseen."""
    world = World(window=20)
    large = [f"{n:02d}" + "x" * 100 for n in range(0, 60, 2)]
    world.put(*large, *(f"{n:02d}" for n in range(1, 60, 2)))
    connections = close_at(world, lambda published: len(published.payload) > 50)
    assert parked(world) == set(large)
    assert connections <= 4 + 2 * STRIKES
    assert "and the broker closed the connection at a letter of 102" in world.delivery.health()
    world.publisher.closes_at = lambda published: False  # the broker was set up anew
    assert world.delivery.retry(confirmed=resend) == (60 if resend else len(large))
    world.drain()
    assert parked(world) == set()


def test_a_limit_that_is_known_costs_few_connections_for_each_smaller_letter_above_it():
    """Letters above the limit and each smaller than the one before: five tries for each took minutes."""
    world = World(window=20)
    large = [str(n) + "x" * (200 - 10 * n) for n in range(9)]
    world.put(*large, *(f"small {n}" for n in range(9)))
    connections = close_at(world, lambda published: len(published.payload) > 100)
    assert parked(world) == set(large)
    assert connections <= 4 + STRIKES + STRIKES_KNOWN * len(large)


def test_a_size_is_not_blamed_where_others_as_large_arrive():
    world = World(window=20)
    letters = [f"{n:02d}" + "x" * 100 for n in range(40)]
    world.put(*letters)
    close_at(world, lambda published: published.payload.decode().startswith("07"))
    assert parked(world) == {letters[7]}


def test_a_learnt_size_is_tried_again_after_a_while():
    world = World(window=20)
    world.put("a" * 100, "b")
    close_at(world, lambda published: len(published.payload) > 50)
    assert parked(world) == {"a" * 100}
    world.publisher.closes_at = lambda published: False
    world.clock.advance(601 * SECOND_NS)
    world.put("c" * 100)
    world.publisher.come_up()
    world.drain()
    assert parked(world) == {"a" * 100}


def test_a_bad_link_parks_nothing():
    world = World()
    world.put("a", "b")
    for _ in range(40):
        world.publisher.come_up()
        world.delivery.step()
        world.clock.advance(20 * SECOND_NS)  # silence, until the keepalive notices
        world.publisher.go_down()
        world.delivery.step()
    assert world.outbox.counts()[LetterState.PENDING] == 2
    world.drain()
    assert world.delivery.refused == 0


def test_run_follows_the_news_until_told_to_stop():
    world = World(at_once=True)
    world.put(*(f"{n}" for n in range(100)))

    class WhenDone(threading.Event):
        def is_set(self):
            return world.delivery.waiting == 0

    world.delivery.run(WhenDone())
    assert len(world.arrived()) == 100
    assert world.clock.monotonic_ns() < 20 * SECOND_NS


def test_a_closed_outbox_is_not_a_passing_trouble(tmp_path):
    from edge.outbox import sqlite

    clock = ManualClock(datetime(2026, 5, 1, tzinfo=UTC), 0)
    box = sqlite.open_outbox(sqlite.Options(path=tmp_path / "o.db", ballast_bytes=0, min_free_bytes=0), clock)
    publisher = mqtt_memory.open_publisher(mqtt_memory.Options(), clock, vehicle="d", last_will=b"")
    delivery = Delivery(box, publisher, clock, late=late)
    box.__exit__(None, None, None)
    with pytest.raises(RuntimeError, match="closed"):
        delivery.step()
