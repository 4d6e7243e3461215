"""Other clocks seen from ours: the satellites' UTC, and the time an autopilot counts since its start."""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime, timedelta, timezone

from edge.navigation.track import Samples

UTC = timezone.utc

# GPS counts weeks to 1,024 and begins anew; a receiver that lost count is 19.6 years early (or late). No drone flew
# before this, and it is 1,024 weeks before 2030.
EARLIEST_RECORDED_UTC = datetime(2010, 5, 19, tzinfo=UTC)
LATEST_RECORDED_UTC = datetime(2044, 8, 16, tzinfo=UTC)  # 1,024 weeks after 2025
_REACH_NS = 60_000_000_000
_STEP = timedelta(seconds=1)
_AGREEING = 3
_AGREEING_NS = 2_000_000_000

_WINDOW_NS = 60_000_000_000
_REBOOT_BACK_MS = 2_000
_AHEAD_NS = 1_000_000_000
_MAX_ROUND_TRIP_NS = 500_000_000
_GRAIN_NS = 2_000_000
# No autopilot restarts twice within this.
_AGAIN_NS = 10_000_000_000
_RETURNS = 3
_SAME_COUNT_NS = 2_000_000_000
_DOUBT_NS = 30_000_000_000
_PACE_NS = 5_000_000_000
_GAP_NS = 1_000_000_000


class UtcTrack:
    """UTC as a source gave it, over monotonic time; one thread adds, any thread asks.

    Answers within 60 s of a time that was heard. A time before ``earliest`` is refused; one that steps
    by more than 1 s against those before is withheld until three in a row agree for two seconds. A time that stands
    still, as of a receiver that hangs, steps again and again.
    """

    def __init__(self, *, earliest: datetime = EARLIEST_RECORDED_UTC, keep_s: float | None = 60.0) -> None:
        self._earliest = earliest
        self._lock = threading.Lock()
        self._track: Samples[datetime] = Samples(None if keep_s is None else round(keep_s * 1e9))
        self._anchor: tuple[int, datetime] | None = None  # a time of the last minute, which the next must agree with
        self._wanted = 0

    def hear(self, at_ns: int, utc: datetime) -> None:
        """At monotonic ``at_ns`` the source's UTC was ``utc`` (timezone-aware)."""
        with self._lock:
            if self._earliest <= utc < LATEST_RECORDED_UTC and self._agrees(at_ns, utc):
                self._track.add(at_ns, utc)

    def _agrees(self, at_ns: int, utc: datetime) -> bool:
        anchor = self._anchor or (at_ns, utc)
        if abs(utc - anchor[1] - _elapsed(at_ns - anchor[0])) > _STEP:
            self._wanted, self._anchor = _AGREEING, (at_ns, utc)
            return False
        if self._wanted:
            waited = at_ns - anchor[0] >= _AGREEING_NS
            self._wanted = max(0 if waited else 1, self._wanted - 1)
        elif self._anchor is None or at_ns - anchor[0] > _REACH_NS:  # the two clocks drift apart in the long run
            self._anchor = (at_ns, utc)
        return not self._wanted

    @property
    def known(self) -> bool:
        """True once any time was heard and believed."""
        return len(self._track) > 0

    def at(self, exposed_ns: int) -> datetime | None:
        """UTC of the moment ``exposed_ns`` by the nearest time heard; None when none is near."""
        with self._lock:
            near = [sample for sample in self._track.around(exposed_ns) if sample is not None]
        near = [sample for sample in near if abs(exposed_ns - sample[0]) <= _REACH_NS]
        if not near:
            return None
        at_ns, utc = min(near, key=lambda sample: abs(exposed_ns - sample[0]))
        return None if utc is None else utc + _elapsed(exposed_ns - at_ns)


class BootClock:
    """Maps an autopilot's milliseconds since its start to our monotonic time.

    A message cannot arrive before it was sent, so the smallest difference between arrival and boot time
    within a minute is the offset plus the shortest delay of the link; the jitter of the others does not
    move it. A TIMESYNC answer was written after we asked: the largest difference between our question and their
    answer is the offset less the shortest delay of the way there. The middle between the two is the offset, as far as
    both ways are alike; each bound comes from the one packet of a minute that had luck, so no single exchange has to
    be quick both ways (as it must in NTP, RFC 5905). Drift within the minute is below 6 ms at 100 ppm.

    One jump is a restart. A boot time that jumps again and again, goes to and fro between two counts, or hardly
    moves is not what it claims to be: then the time of arrival is the time of measurement, until it has behaved
    for half a minute.
    """

    def __init__(self, *, believed: bool = True) -> None:
        """``believed`` False: it is known already that the time of arrival has to do."""
        self._believed = believed
        self._least: deque[tuple[int, int]] = deque()  # (arrival, difference), differences rising
        self._newest_ms = 0
        self._most: deque[tuple[int, int]] = deque()  # (arrival, question less answer), differences falling
        self._counts: dict[str, list[tuple[int, int]]] = {}  # per kind, (difference, arrival) of the last two counts
        self._returns: deque[int] = deque()  # when a kind of message came back to an earlier count
        self._jumped_ns: int | None = None
        self._pace: tuple[int, int, int] | None = None  # (boot ms, arrival) where it began, newest arrival
        self._doubted_ns: int | None = None
        self._to_and_fro_ns: int | None = None

    def doubted(self, now_ns: int) -> bool:
        """True while the boot time is not believed, so that the time of arrival is taken."""
        return not self._believed or (self._doubted_ns is not None and now_ns - self._doubted_ns <= _DOUBT_NS)

    def to_and_fro(self, now_ns: int) -> bool:
        """True while two counts alternate: two senders under one address."""
        return self._to_and_fro_ns is not None and now_ns - self._to_and_fro_ns <= _DOUBT_NS

    def restarted(self, boot_ms: int, now_ns: int, kind: str = "") -> bool:
        """True when ``boot_ms`` shows that the autopilot's clock began anew; then the old offset is forgotten.

        ``kind`` is the message's: firmware that counts wrongly may do so in one kind only.
        """
        self._check_alternation(kind, now_ns - boot_ms * 1_000_000, now_ns)
        ahead = bool(self._least) and now_ns - boot_ms * 1_000_000 < self._least[0][1] - _AHEAD_NS
        if boot_ms >= self._newest_ms - _REBOOT_BACK_MS and not ahead:
            self._check_pace(boot_ms, now_ns)
            return False
        self._check_jump(now_ns)
        self._least.clear()
        self._most.clear()
        self._newest_ms, self._pace = 0, None
        return not self.doubted(now_ns)

    def local_ns(self, boot_ms: int, now_ns: int) -> int:
        """Monotonic time of what was measured at ``boot_ms`` and arrived at ``now_ns``; never later than that."""
        self._newest_ms = max(boot_ms, self._newest_ms)
        difference = now_ns - boot_ms * 1_000_000
        while self._least and self._least[-1][1] >= difference:
            self._least.pop()
        self._least.append((now_ns, difference))
        while self._least[0][0] < now_ns - _WINDOW_NS:
            self._least.popleft()
        return now_ns if self.doubted(now_ns) else min(now_ns, boot_ms * 1_000_000 + self._offset(now_ns))

    def hear_sync(self, sent_ns: int, theirs_ns: int, now_ns: int) -> None:
        """The autopilot answered a TIMESYNC sent at ``sent_ns`` with its own clock ``theirs_ns``."""
        trip_ns = now_ns - sent_ns
        if not 0 <= trip_ns <= _MAX_ROUND_TRIP_NS:
            return
        difference = sent_ns - theirs_ns
        while self._most and self._most[-1][1] <= difference:
            self._most.pop()
        self._most.append((now_ns, difference))

    def _offset(self, now_ns: int) -> int:
        least = self._least[0][1]
        while self._most and self._most[0][0] < now_ns - _WINDOW_NS:
            self._most.popleft()
        if not self._most:
            return least
        # Counted milliseconds are up to one early, which is why the bounds may cross by that; more is another clock.
        between_ns = least - self._most[0][1]
        return least - between_ns // 2 if -_GRAIN_NS <= between_ns <= _MAX_ROUND_TRIP_NS else least

    def _check_jump(self, now_ns: int) -> None:
        """A second jump within seconds is no restart."""
        if self._jumped_ns is not None and now_ns - self._jumped_ns <= _AGAIN_NS:
            self._doubted_ns = now_ns
        self._jumped_ns = now_ns

    def _check_alternation(self, kind: str, difference: int, now_ns: int) -> None:
        """One kind of message that comes back to the count of a moment ago has two senders."""
        counts = self._counts.setdefault(kind, [])
        for place, (other, heard_ns) in enumerate(counts):
            if abs(difference - other) <= _SAME_COUNT_NS:
                if place > 0 and now_ns - heard_ns <= _AGAIN_NS:
                    self._returns.append(now_ns)
                del counts[place]
                break
        counts.insert(0, (difference, now_ns))
        del counts[2:]
        while self._returns and now_ns - self._returns[0] > _AGAIN_NS:
            self._returns.popleft()
        if len(self._returns) >= _RETURNS:  # once may be a link that stalled for some seconds
            self._to_and_fro_ns = self._doubted_ns = now_ns

    def _check_pace(self, boot_ms: int, now_ns: int) -> None:
        """A count that advances by less than half of the time in which it keeps arriving counts something else."""
        if self._pace is None or now_ns - self._pace[2] > _GAP_NS:  # after a gap, what was held up comes at once
            self._pace = (boot_ms, now_ns, now_ns)
            return
        first_ms, first_ns, _ = self._pace
        self._pace = (first_ms, first_ns, now_ns)
        if now_ns - first_ns >= _PACE_NS:
            if (boot_ms - first_ms) * 2_000_000 < now_ns - first_ns:
                self._doubted_ns = now_ns
            self._pace = (boot_ms, now_ns, now_ns)


def _elapsed(ns: int) -> timedelta:
    return timedelta(microseconds=ns / 1000)
