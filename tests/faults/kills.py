"""kill -9 of the daemon and of the broker, at random moments, while detections are made and delivered."""

from __future__ import annotations

import random

from tests.faults.row import Measured, Row, Scale
from tests.faults.world import pause, until, world


def run(scale: Scale) -> Measured:
    """Each time one of the two, the daemon first; both come back at once."""
    count, seed = scale.times(300, 3), random.randrange(1 << 32)
    chance, killed = random.Random(seed), {"daemon": 0, "broker": 0}
    with world(scale.folder) as made:
        made.start()
        for number in range(count):
            whose = ("daemon", "broker")[number] if number < 2 else chance.choice(("daemon", "broker"))
            before = made.kept()
            until(lambda before=before: made.kept() > before, "the daemon to write something down")
            pause(chance.uniform(0.0, 1.0 if scale.quick else 3.0))
            killed[whose] += 1
            if whose == "daemon":
                made.end()
                made.start()
            else:
                made.broker.kill()
                made.broker.start()
        forgotten, account = made.settle()
    figures = (
        f"{killed['daemon']} kills of the daemon, {killed['broker']} of the broker (seed {seed}): {account.put} put, "
        f"{account.gaps} gaps in sequence numbers, {account.missing} not received, {account.repeats} received again "
        f"and told by their id; {forgotten} had been acknowledged and lost by the broker and came with `resend`"
    )
    return Measured(figures, not (account.gaps or account.missing or account.unknown or account.parked))


ROW = Row(
    "kills",
    "kill -9 of daemon and broker at random moments under load, 300",
    "0 lost of what was put; repeats recognisable",
    run,
)
