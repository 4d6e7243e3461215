"""Whatever happens in whatever order, nothing recorded is lost: a state machine."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edge.outbox import LetterState
from tests.delivery.world import SECOND_NS, World


class NothingIsLost(RuleBasedStateMachine):
    """Connections, refusals, lost answers, a failing disk, restarts, in any order; at the end all is well again."""

    @initialize(window=st.integers(1, 6), narrow=st.integers(1, 6))
    def begin(self, window, narrow):
        self.world = World(window, narrow)
        self.put_ids = []

    @rule(count=st.integers(1, 4), bad=st.booleans())
    def put(self, count, bad):
        new = [f"{'bad' if bad else 'ok'}-{len(self.put_ids) + n}" for n in range(count)]
        self.world.put(*new)
        self.put_ids += new

    @rule()
    def step(self):
        self.world.delivery.step()

    @rule(count=st.integers(1, 5), acknowledge=st.booleans())
    def deliver(self, count, acknowledge):
        self.world.publisher.deliver(count, acknowledge=acknowledge)

    @rule()
    def come_up(self):
        if not self.world.publisher.connected:
            self.world.publisher.come_up()

    @rule()
    def go_down(self):
        self.world.publisher.go_down()

    @rule(seconds=st.sampled_from([6, 30]))
    def time_passes(self, seconds):
        self.world.clock.advance(seconds * SECOND_NS)

    @rule(failing=st.booleans())
    def disk(self, failing):
        self.world.outbox.failing = failing

    @rule()
    def restart(self):
        self.world.restart()

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def every_letter_is_still_there(self):
        states = self.world.states()
        assert list(states) == self.put_ids
        arrived = {payload.removeprefix("late:") for payload in self.world.arrived()}
        assert {id for id, state in states.items() if state is LetterState.CONFIRMED} <= arrived
        assert not any("bad" in payload for payload in arrived)

    def teardown(self):
        if not hasattr(self, "world"):
            return
        self.world.drain()
        states, arrived = self.world.states(), {payload.removeprefix("late:") for payload in self.world.arrived()}
        for id in self.put_ids:
            if "bad" in id:
                assert states[id] is LetterState.PARKED
            elif states[id] is LetterState.PARKED:
                [stored] = [s for s in self.world.outbox.list(10**6) if s.letter.id == id]
                assert "closed the connection" in stored.reason
            else:
                assert states[id] is LetterState.CONFIRMED
                assert id in arrived


def test_nothing_is_lost_whatever_happens():
    short = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(NothingIsLost, settings=short)
