"""The live feed: a thread that reads a camera as fast as it delivers and keeps only its newest frame.

Nothing queues. A frame that was not taken before the next one came is a drop, and counted. A camera that fails, or
falls silent, is opened again for as long as the feed runs: first soon, then less often, with jitter. A recording is
played once, at its own pace.
"""

from __future__ import annotations

import dataclasses
import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType

import numpy as np

from edge.frames import RGB, Camera, Frame
from edge.support.clock import Clock
from edge.support.complaints import Complaints
from edge.support.errors import DeviceError
from edge.support.retry import Backoff

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _CAP_S = 0.5, 5.0
_MINUTE_NS = 60_000_000_000
_JOIN_S = 3.0
OPEN_S = 15.0
"""How long a camera may take to open."""
_SILENT_NS = 2_000_000_000
_GRACE_NS = 500_000_000
_MAX_STUCK = 2  # threads left behind in a driver before another attempt is pointless
_FROZEN_FRAMES = 10
_OFTEN = 3  # failures within a minute that are no accident
_SAMPLES = 32  # rows and columns compared to tell a frozen picture: sensor noise changes some of them


def opening_s(options: object) -> float:
    """How long the camera with these ``Options`` may take to open: a stream waits for its own ``timeout_s`` first."""
    return OPEN_S + float(getattr(options, "timeout_s", 0.0))


class NewestFrame:
    """The newest frame of a camera, for one consumer; use it in a ``with`` block, which starts and stops its thread.

    ``open_camera`` opens the camera anew each time it is called. A live camera that is silent for longer than its own
    ``timeout_s``, or takes longer than ``open_s`` seconds to open, is given up and opened again.
    """

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        clock: Clock,
        *,
        open_s: float = OPEN_S,
        rng: random.Random | None = None,
    ) -> None:
        self._open_camera = open_camera
        self._clock = clock
        self._timeout_ns: int | None = None  # the camera's own; None: a recording, or not opened yet
        self._open_ns = round(open_s * 1e9)
        self._complaints = Complaints(log, clock)
        self._backoff = Backoff(_FIRST_PAUSE_S, _CAP_S, chance=rng)
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._stuck: list[threading.Thread] = []
        self._slot: Frame | None = None
        self._begun_ns = clock.monotonic_ns()
        self._deadline_ns: int | None = None  # the camera is given up when this passes; None between attempts
        self._raised: BaseException | None = None
        self._ended = False
        self._frames = self._dropped = self._reopened = 0
        self._last_seq = -1
        self._last_frame_ns: int | None = None
        self._gap_ns: int | None = None  # between the last two frames of one opening
        self._first_of_opening = True
        self._sample: RGB | None = None
        self._same = 0
        self._trouble: str | None = None
        self._failed_ns: deque[int] = deque(maxlen=100)
        self._attempts = 0

    def take(self, timeout_s: float) -> Frame | None:
        """The newest frame not taken yet, waiting for one up to ``timeout_s`` seconds; None when none came.

        Raises whatever made the camera's thread end, other than a DeviceError, which is met by opening it again.
        """
        self._give_up_a_silent_camera()
        self._clock.wait(self._arrived, timeout_s)
        with self._lock:
            if self._raised is not None:
                raise self._raised
            frame, self._slot = self._slot, None
            if not self._ended:
                self._arrived.clear()
            return frame

    @property
    def frames(self) -> int:
        """Frames the camera delivered, the dropped ones among them."""
        return self._frames

    @property
    def dropped(self) -> int:
        """Frames that were not looked at: gaps the camera reported and frames overtaken by a newer one.

        What a camera would have seen while it was gone is not in it.
        """
        return self._dropped

    @property
    def reopened(self) -> int:
        """How often the camera was opened after the first time."""
        return self._reopened

    @property
    def failures(self) -> int:
        """How often the camera did not open, stopped or was given up, in a row: 0 while it delivers."""
        return self._attempts

    @property
    def last_frame_ns(self) -> int | None:
        """When the last frame arrived, monotonic ns; None before the first."""
        return self._last_frame_ns

    @property
    def timeout_s(self) -> float:
        """How long the camera may be silent, as it says itself; 2 s before it is open, and for a recording."""
        timeout_ns = self._timeout_ns
        return (_SILENT_NS if timeout_ns is None else timeout_ns) / 1e9

    @property
    def ended(self) -> bool:
        """True when a recording has come to its end and its last frame was taken."""
        with self._lock:
            return self._ended and self._slot is None

    def health(self) -> str | None:
        """One sentence on what is wrong with the camera; None when frames arrive as expected."""
        with self._lock:
            if self._raised is not None:
                return f"the camera's thread failed: {self._raised}"
            if self._trouble is not None:
                return self._trouble
            if self._same >= _FROZEN_FRAMES:
                return f"the camera repeats the same picture ({self._same} times): frozen, covered or overexposed"
            now_ns = self._clock.monotonic_ns()
            often = [at_ns for at_ns in self._failed_ns if now_ns - at_ns < _MINUTE_NS]
            if len(often) >= _OFTEN:
                return f"the camera failed {len(often)} times in the last minute; check its cable and power"
            since_ns = self._begun_ns if self._last_frame_ns is None else self._last_frame_ns
            silent_ns = now_ns - since_ns
            if silent_ns > self._notice_ns() and not self._ended:
                return f"no frame from the camera for {silent_ns / 1e9:.1f} s"
            return None

    def __enter__(self) -> NewestFrame:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
            if self._thread.is_alive():
                log.warning("the camera's driver does not return; its thread is abandoned")

    def _start(self) -> None:
        self._stop = threading.Event()
        self._deadline_ns = self._clock.monotonic_ns() + self._open_ns
        self._thread = threading.Thread(target=self._run, args=(self._stop,), name="camera", daemon=True)
        self._thread.start()

    def _give_up_a_silent_camera(self) -> None:
        """Leave a thread that hangs in the driver to itself (it releases the camera if it ever returns)."""
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            if self._deadline_ns is None or now_ns < self._deadline_ns or self._ended or self._thread is None:
                return
            self._stuck = [thread for thread in self._stuck if thread.is_alive()]
            if len(self._stuck) >= _MAX_STUCK:
                self._trouble = "the camera's driver hangs; restart the service, or the machine"
                return
            self._stop.set()
            self._stuck.append(self._thread)
            self._fail("the camera is silent; it is opened again")
            self._reopened += 1
            self._start()

    def _run(self, stop: threading.Event) -> None:
        """The thread: read the camera until it is stopped, opening it again whenever it fails."""
        try:
            while not stop.is_set() and not self._read_to_the_end(stop):
                self._clock.wait(stop, self._backoff.pause_s())
                with self._lock:
                    if not stop.is_set():
                        self._reopened += 1
        except BaseException as error:  # noqa: BLE001 - carried to the consumer, who raises it from take()
            with self._lock:
                if stop.is_set():
                    log.warning("the camera failed after it was given up or stopped: %s", error)
                    return
                self._raised = error
                self._arrived.set()

    def _read_to_the_end(self, stop: threading.Event) -> bool:
        """Open and read the camera once; True when a recording has ended, False when the camera failed."""
        self._expect(stop, self._open_ns)
        try:
            with self._open_camera() as camera:
                base = self._last_seq + 1
                # A recording may take its time: given up, it would begin again.
                if not self._opened(camera, stop):
                    return True
                for frame in camera.frames() if camera.live else self._played(camera, stop):
                    if not self._put(frame, base, camera.live, stop):
                        return True
                if camera.live:
                    raise DeviceError("the camera stopped delivering")
        except DeviceError as error:
            with self._lock:
                if not stop.is_set():
                    self._deadline_ns = None
                    self._fail(str(error))
            return False
        with self._lock:
            self._ended = not stop.is_set()
            self._arrived.set()
        return True

    def _played(self, camera: Camera, stop: threading.Event) -> Iterator[Frame]:
        """A recording at its own pace, as if its first frame were exposed now: then times mean what they say."""
        shift_ns: int | None = None
        for frame in camera.frames():
            now_ns = self._clock.monotonic_ns()
            shift_ns = now_ns - frame.exposed_ns if shift_ns is None else shift_ns
            due_ns = frame.exposed_ns + shift_ns
            self._clock.wait(stop, max(0, due_ns - now_ns) / 1e9)
            yield dataclasses.replace(frame, exposed_ns=due_ns)

    def _expect(self, stop: threading.Event, within_ns: int | None) -> bool:
        """Set the deadline (None: there is none); False when this thread is not wanted any more."""
        with self._lock:
            if stop.is_set():
                return False
            self._deadline_ns = None if within_ns is None else self._clock.monotonic_ns() + within_ns
            return True

    def _opened(self, camera: Camera, stop: threading.Event) -> bool:
        """From now on it may be silent for as long as it says; False when this thread is not wanted any more."""
        timeout_s = camera.timeout_s
        with self._lock:
            if not stop.is_set():
                self._timeout_ns = None if timeout_s is None else round(timeout_s * 1e9)
                self._first_of_opening = True
        return self._expect(stop, self._patience_ns())

    def _patience_ns(self) -> int | None:
        """Silence after which it is given up; None: never. The camera's own error, a moment before, says more."""
        return None if self._timeout_ns is None else self._timeout_ns + _GRACE_NS

    def _notice_ns(self) -> int:
        """Silence that is reported: a few frames, but not before two seconds and not after the camera's own limit."""
        if self._timeout_ns is None:
            return _SILENT_NS
        return self._timeout_ns if self._gap_ns is None else min(self._timeout_ns, max(_SILENT_NS, 3 * self._gap_ns))

    def _put(self, frame: Frame, base: int, live: bool, stop: threading.Event) -> bool:
        """Put the frame in the slot; False when this thread is not wanted any more."""
        with self._lock:
            if stop.is_set():
                return False
            seq = base + frame.seq
            self._dropped += seq - self._last_seq - 1 + (self._slot is not None)
            self._frames += 1
            self._last_seq = seq
            before_ns, now_ns = self._last_frame_ns, self._clock.monotonic_ns()
            self._gap_ns = None if self._first_of_opening or before_ns is None else now_ns - before_ns
            self._last_frame_ns, self._first_of_opening = now_ns, False
            patience_ns = self._patience_ns()
            self._deadline_ns = None if patience_ns is None else now_ns + patience_ns
            self._slot = frame if base == 0 else dataclasses.replace(frame, seq=seq)
            self._arrived.set()
            self._watch_for_change(frame.rgb, live)
            self._recover()
            return True

    def _watch_for_change(self, rgb: RGB, live: bool) -> None:
        sample = rgb[:: max(1, rgb.shape[0] // _SAMPLES), :: max(1, rgb.shape[1] // _SAMPLES)].copy()
        same = live and self._sample is not None and np.array_equal(sample, self._sample)
        self._same = self._same + 1 if same else 0
        self._sample = sample

    def _fail(self, reason: str) -> None:
        """Note a failure; log the first one, then one line a minute. The lock is held."""
        self._trouble = reason
        self._failed_ns.append(self._clock.monotonic_ns())
        self._attempts += 1
        self._complaints.warn("camera", reason)

    def _recover(self) -> None:
        """A frame came: the camera is well again. The lock is held."""
        if self._trouble is not None:
            log.info("the camera delivers again (attempt %d)", self._attempts)
            self._trouble, self._attempts = None, 0
            self._backoff.reset()
