"""Where the ground confirms: a letter is done when a receipt names it, and is sent again when none does."""

import itertools

import pytest

from edge.delivery import Delivery
from edge.detections import receipts
from edge.detections.cracks import crack_id, revision_id
from edge.detections.wire import detection_id
from edge.outbox import Letter, LetterState
from tests.delivery.world import World, late

VEHICLE, FLIGHT = "drone", "f1"


class GroundWorld(World):
    """A world whose letters are detections, and a ground that gives receipts when told."""

    def restart(self):
        super().restart()
        self.delivery = Delivery(self.outbox, self.publisher, self.clock, late=late, receipts=self.read)

    @staticmethod
    def read(payload):
        return receipts.letter_ids(VEHICLE, payload)

    def put_seqs(self, *seqs):
        self.outbox.put([Letter(detection_id(VEHICLE, FLIGHT, seq), "t", b"%d" % seq, None) for seq in seqs])

    def ground_has(self, *ranges, flight=FLIGHT, cracks=None):
        self.publisher.receipt(receipts.receipt(flight, ranges, cracks or {}))

    def count(self, state):
        return self.outbox.counts()[state]


@pytest.fixture
def world():
    one = GroundWorld()
    one.publisher.come_up()
    return one


def test_an_acknowledgement_is_not_enough_and_a_receipt_is(world):
    world.put_seqs(1, 2, 3)
    world.turn()
    world.turn()
    assert world.arrived() == ["1", "2", "3"]
    assert (world.count(LetterState.SENT), world.delivery.delivered, world.delivery.waiting) == (3, 0, 3)
    world.ground_has((1, 2))
    world.turn()
    assert (world.count(LetterState.SENT), world.count(LetterState.CONFIRMED)) == (1, 2)
    assert (world.delivery.delivered, world.delivery.waiting) == (2, 1)


def test_cracks_are_confirmed_by_their_revisions(world):
    name = crack_id(VEHICLE, FLIGHT, 4)
    world.outbox.put([Letter(revision_id(name, n), "t", b"%d" % n, None) for n in (1, 2)])
    world.turn()
    world.ground_has(cracks={name: ((2, 2),)})
    world.turn()
    assert world.states()[revision_id(name, 2)] is LetterState.CONFIRMED
    assert world.states()[revision_id(name, 1)] is LetterState.SENT


def test_without_a_receipt_letters_are_sent_again_ever_more_slowly(world):
    world.put_seqs(1)
    times = []
    for _ in range(400):
        before = len(world.arrived())
        world.turn(1.0)
        if len(world.arrived()) > before:
            times.append(world.clock.monotonic_ns() // 10**9)
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses == sorted(pauses)
    assert 14 <= pauses[0] <= 18
    assert 110 <= pauses[-1] <= 124
    assert "no receipt from the ground" in world.delivery.silence()
    world.ground_has((1, 1))
    world.turn()
    assert world.delivery.silence() is None
    assert world.count(LetterState.CONFIRMED) == 1


def test_after_a_reconnect_they_are_sent_again_at_once(world):
    world.put_seqs(1)
    world.turn()
    world.turn()
    world.publisher.go_down()
    world.turn()
    world.publisher.come_up()
    world.turn()
    assert world.arrived()[0] == "1"
    assert world.arrived()[1] in ("1", "late:1")


def test_a_receipt_that_is_quicker_than_the_broker(world):
    world.put_seqs(1)
    world.delivery.step()
    world.publisher.deliver(acknowledge=False)
    world.ground_has((1, 1))
    world.delivery.step()
    assert world.count(LetterState.CONFIRMED) == 1
    world.publisher._traffic.read(_ended(world))
    for _ in range(300):
        world.turn(1.0)
    assert world.arrived() == ["1"], "what is confirmed is not sent again"
    assert world.delivery.silence() is None


def _ended(world):
    from edge.mqtt.connection import Ended

    (mid,) = world.publisher._traffic._letters
    return Ended(mid, None)


def test_a_ground_that_is_away_costs_little(world):
    world.put_seqs(*range(1, 2501))
    for _ in range(1500):
        world.turn(0.05)
    sent = len(world.arrived())
    for _ in range(960):
        world.turn(0.25)
    assert len(world.arrived()) - sent < 1000, "four minutes"


def test_before_the_first_receipt_only_fifty_letters_are_risked_and_then_ever_more(world):
    """As docs/architecture.md says; a broker that is killed loses what it took."""
    world.put_seqs(*range(1, 1001))
    for _ in range(100):
        world.turn(0.1)
    assert len(world.arrived()) == 50
    for _ in range(8):
        world.ground_has((1, 1000))
        for _ in range(40):
            world.turn(0.0)
    assert world.count(LetterState.CONFIRMED) == 1000


def test_only_letters_that_were_handed_over_can_be_confirmed(world):
    world.put_seqs(*range(1, 100))
    world.delivery.step()  # a window of five
    world.ground_has((1, 100))
    world.delivery.step()
    assert world.count(LetterState.CONFIRMED) == 5


WRONG = {
    b"not json": "not a JSON object",
    b"[" * 60_000: "not a JSON object",
    b"[]": "its schema is not",
    b'{"schema":"spanhawk/receipt/2","flight_id":"f1","ranges":[]}': "its schema is not",
    b'{"schema":"spanhawk/receipt/1","flight_id":7,"ranges":[]}': "flight_id must be a text",
    b'{"schema":"spanhawk/receipt/1","flight_id":"\\udc80","ranges":[]}': "flight_id must be a text",
    b'{"schema":"spanhawk/receipt/1","flight_id":"f1"}': "ranges must be a list",
    b'{"schema":"spanhawk/receipt/1","flight_id":"f1","ranges":[[1,1e9]]}': "ranges must be a list",
    b'{"schema":"spanhawk/receipt/1","flight_id":"f1","ranges":[[1,1000000000]]}': "over 10000 letters",
    b'{"schema":"spanhawk/receipt/1","flight_id":"f1","ranges":[[5,1]]}': "not rising",
    b'{"schema":"spanhawk/receipt/1","flight_id":"f1","ranges":[[true,2]]}': "ranges must be a list",
    b'{"schema":"spanhawk/receipt/1","flight_id":"f1","ranges":[],"cracks":[{"crack_id":"../x"}]}': "cracks must be",
    b"x" * 70_000: "more than the 65536",
}


@pytest.mark.parametrize(("payload", "told"), WRONG.items())
def test_what_is_no_receipt_is_ignored_with_a_sentence(world, caplog, payload, told):
    world.put_seqs(1)
    world.turn()
    world.publisher.receipt(payload)
    world.turn()
    assert world.count(LetterState.CONFIRMED) == 0
    assert [told in record.message for record in caplog.records] == [True]


def test_a_receipt_for_another_flight_is_ignored_with_a_sentence(world, caplog):
    world.put_seqs(1)
    world.turn()
    world.ground_has((1, 5), flight="another")
    world.turn()
    assert world.count(LetterState.CONFIRMED) == 0
    assert "none that waits for one here" in caplog.text
