"""``make test-system``: the service proven under a real systemd as PID 1; prints what it proved and how long it took.

``python -m tests.system one_command walls`` proves these alone; all but ``as_documented`` need ``one_command`` first.

Ends with 0 when all was proved, 1 when something was not, 69 when this machine allows no such container.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from card.root import debian_root
from tests.system.container import PACKAGES, SUITE, Container, FailedError, NotAllowedError, check_allowed
from tests.system.flight import Flight
from tests.system.payload import Payload
from tests.system.proofs import PROOFS

NOT_ALLOWED = 69


def say(text: str) -> None:
    """One line, at once."""
    print(text, flush=True)


def main() -> int:
    """Make, boot, prove."""
    begun = time.monotonic()
    known = {proof.__name__: proof for proof in PROOFS}
    unknown = [name for name in sys.argv[1:] if name not in known]
    if unknown:
        say(f"no proof {unknown[0]!r}; known: {', '.join(known)}")
        return 2
    proofs = [known[name] for name in sys.argv[1:]] or list(PROOFS)
    try:
        check_allowed()
        root = debian_root(say, SUITE, PACKAGES)
    except NotAllowedError as error:
        say(f"NOT PROVED: this machine cannot run a container with its own systemd: {error}")
        return NOT_ALLOWED
    with tempfile.TemporaryDirectory(prefix="spanhawk-payload-") as folder:
        say("building the wheel, the Debian package and the versions to upgrade to")
        payload = Payload(Path(folder))
        with Container(root) as container:
            try:
                say(f"systemd is up after {container.boot():.1f} s")
                flight = Flight(container, payload)
                flight.prepare()
            except NotAllowedError as error:
                say(f"NOT PROVED: {error}")
                return NOT_ALLOWED
            failed = _prove(flight, proofs)
    took = time.monotonic() - begun
    say(f"{len(proofs) - failed} of {len(proofs)} proved in {took:.0f} s, {took - _spent:.0f} s of it to set up")
    return 1 if failed else 0


_spent = 0.0


def _prove(flight: Flight, proofs: list[Callable[[Flight], str]]) -> int:
    """Run every proof in order; returns how many are missing. Each stands on the last: a failure ends it."""
    global _spent
    for number, proof in enumerate(proofs):
        begun = time.monotonic()
        what = (proof.__doc__ or proof.__name__).splitlines()[0].rstrip(".")
        try:
            detail = proof(flight)
        except (FailedError, AssertionError, subprocess.TimeoutExpired) as error:
            say(f"FAILED  {what}")
            traceback.print_exception(error)
            say(f"the daemon's last words:\n{flight.box.try_run('journalctl -u spanhawk -n 40 --no-pager').stdout}")
            return len(proofs) - number
        took = time.monotonic() - begun
        _spent += took
        say(f"{took:6.1f} s  {what}" + (f": {detail}" if detail else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
