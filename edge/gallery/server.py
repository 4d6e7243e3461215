"""Hands out pictures: a few connections at a time, each with a limit on its time, all together with one on their rate.

It may never hold up the frames: its threads run below the daemon's where the system lets them, send in small pieces,
and what goes wrong here is told on status and ends nothing else. Sockets of the standard library and no web framework,
because the drone has none; requests are read as strictly as the few that are answered allow.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import logging
import os
import re
import socket
import ssl
import stat
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from edge.gallery import Options
from edge.gallery.shelf import Shelf
from edge.support.access import Guesses, listen
from edge.support.clock import Clock
from edge.support.complaints import Complaints
from edge.support.errors import ConfigError
from edge.support.pace import Pace
from edge.support.retry import Backoff, Worker

log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 4
_MOST_HEAD_BYTES = 8192
_PIECE_BYTES = 32 << 10
# From the connection to a whole request, and from there to the end of the answer.
_ASK_WITHIN_S, _ANSWER_WITHIN_S = 10.0, 600.0
_TURN_S = 0.5
_STOPS_WITHIN_S = 3.0
_NICENESS = 15
_REQUEST = re.compile(rb"([A-Z]{1,10}) (/[!-~]*) HTTP/1\.[01]\r?\n")
_PICTURE = re.compile(r"/pictures/([0-9a-f]{64})")
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})", re.ASCII)


@dataclass(eq=False)
class _Caller:
    """One connection."""

    socket: socket.socket
    address: str
    until_ns: int
    thread: threading.Thread | None = field(default=None)


class _AnswerError(Exception):
    """A request that ends with this status and one sentence."""

    def __init__(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.headers = dict(headers or {})


class Gallery:
    """Serves from entering ``with`` to leaving it. Raises ConfigError for a token or certificate that cannot be."""

    def __init__(self, options: Options, shelf: Shelf, clock: Clock, *, flying: Callable[[], bool]) -> None:
        """``flying``: whether cracks are looked for now."""
        if options.listen is None:
            raise ConfigError("pictures.listen: nothing is given, needs HOST:PORT")
        self._listen = listen(options.listen, "pictures.listen")
        self._door, self._context = options.guard.door(), options.guard.context()
        self._options = options
        self._shelf = shelf
        self._clock = clock
        self._flying = flying
        self._guesses = Guesses(clock)
        self._pace = Pace(options.rate_kb_s * 1000, clock)
        self._complaints = Complaints(log, clock)
        self._stop = threading.Event()
        self._listening = threading.Event()
        self._trouble: str | None = None
        self._callers: set[_Caller] = set()
        self._worker: Worker | None = None
        self.port = 0
        """Where it listens, once it does."""

    def health(self) -> str | None:
        """One sentence on why the ground cannot fetch pictures; None when it can."""
        return self._trouble or (None if self._worker is None else self._worker.trouble)

    def wait_until_listening(self, timeout_s: float) -> bool:
        """True once it listens; False after ``timeout_s`` seconds without."""
        return self._listening.wait(timeout_s)

    def __enter__(self) -> Gallery:
        self._worker = Worker("pictures", self._serve, self._stop, self._clock)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._worker is not None and not self._worker.join(_STOPS_WITHIN_S):
            log.error("the thread of the pictures did not end within %.0f s", _STOPS_WITHIN_S)

    def _serve(self) -> None:
        _step_back()
        backoff = Backoff(1.0, 30.0, least_s=0.5)
        while not self._stop.is_set():
            try:
                server = self._bind()
            except OSError as error:  # the network may come later than we do
                self._trouble = (
                    f"pictures.listen: cannot listen at {self._options.listen} ({error.strerror or error}): the ground "
                    "cannot fetch pictures"
                )
                self._complaints.warn("listen", self._trouble)
                self._clock.wait(self._stop, backoff.pause_s())
                continue
            with server:
                self.port, self._trouble = server.getsockname()[1], None
                self._listening.set()
                log.info("pictures are served at %s:%d", self._listen.host, self.port)
                try:
                    self._accept(server)
                finally:
                    for caller in list(self._callers):
                        _cut(caller.socket)

    def _bind(self) -> socket.socket:
        family, *_, address = socket.getaddrinfo(
            self._listen.host, self._listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        server = socket.create_server(address[:2], family=family, backlog=_MOST_CONNECTIONS)
        server.settimeout(_TURN_S)
        return server

    def _accept(self, server: socket.socket) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                try:
                    caller, address = server.accept()
                except ConnectionError:  # gone before it was taken
                    continue
                self._take(caller, str(address[0]))
            now_ns = self._clock.monotonic_ns()
            for one in list(self._callers):
                if now_ns > one.until_ns:
                    _cut(one.socket)  # whatever its thread waits for, it ends now

    def _take(self, accepted: socket.socket, address: str) -> None:
        if len(self._callers) >= _MOST_CONNECTIONS:
            accepted.close()
            return
        accepted.settimeout(_ASK_WITHIN_S)
        caller = _Caller(accepted, address, self._clock.monotonic_ns() + round(_ASK_WITHIN_S * 1e9))
        caller.thread = threading.Thread(target=self._answer, args=(caller,), name="picture", daemon=True)
        self._callers.add(caller)
        caller.thread.start()

    def _answer(self, caller: _Caller) -> None:
        _step_back()
        try:
            with caller.socket as plain:
                if self._context is None:
                    self._converse(caller, plain)
                else:
                    # The handshake comes after its socket is known to those who cut what takes too long.
                    with self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False) as secure:
                        caller.socket = secure
                        secure.do_handshake()
                        self._converse(caller, secure)
        except (OSError, ssl.SSLError) as error:  # the other side is gone, slow, or speaks no TLS
            log.debug("%s: %s", caller.address, error)
        except Exception as error:  # noqa: BLE001 - one request that cannot be answered must not end the others
            self._complaints.warn("answer", f"a picture could not be served ({type(error).__name__}: {error})")
        finally:
            self._callers.discard(caller)

    def _converse(self, caller: _Caller, connection: socket.socket) -> None:
        method = "GET"
        try:
            method, target, headers = _read(connection)
            caller.until_ns = self._clock.monotonic_ns() + round(_ANSWER_WITHIN_S * 1e9)
            path = self._found(caller.address, method, target, headers)
            self._hand_out(connection, path, target, headers.get("Range"), body=method == "GET")
        except _AnswerError as error:
            body = json.dumps({"code": str(error.status), "description": str(error)}).encode()
            more = {"Content-Type": "application/json", "Content-Length": str(len(body)), **error.headers}
            connection.sendall(_head(error.status, more) + (b"" if method == "HEAD" else body))
            _let_read(connection)

    def _found(self, address: str, method: str, target: str, headers: http.client.HTTPMessage) -> Path:
        """The file that is asked for, by somebody who may have it. Raises _AnswerError."""
        if not self._door.answers_to(headers.get("Host", "")):
            raise _AnswerError(403, "pictures are served to this machine only; a token opens them to others")
        self._check_token(address, headers.get("Authorization"))
        if method not in ("GET", "HEAD"):
            raise _AnswerError(405, f"{method} is not answered: pictures are only shown", {"Allow": "GET, HEAD"})
        wanted = _PICTURE.fullmatch(target)
        if wanted is None:
            raise _AnswerError(404, "only /pictures/SHA256 is answered")
        if not self._options.while_flying and self._flying():
            why = "not while the drone looks for cracks: send it the command stop, or set [pictures] while_flying"
            raise _AnswerError(503, why, {"Retry-After": "30"})
        path, all_read = self._shelf.find(wanted[1])
        if path is None and not all_read:
            raise _AnswerError(503, "the drone is still reading its pictures", {"Retry-After": "2"})
        if path is None:
            raise _AnswerError(404, f"no flight on this drone has the picture {wanted[1]} (any more)")
        return path

    def _check_token(self, address: str, authorization: str | None) -> None:
        if not self._door.asks:
            return
        if authorization is not None:
            wait_s = self._guesses.wait_s(address)
            if wait_s is None:
                raise _AnswerError(429, "too many wrong tokens came from your address", {"Retry-After": "5"})
            self._clock.wait(self._stop, wait_s)
        admitted = self._door.admits(authorization)
        if authorization is not None:
            self._guesses.told(address, right=admitted)
        if not admitted:
            raise _AnswerError(401, "a token is asked for here, as a bearer token", {"WWW-Authenticate": "Bearer"})

    def _hand_out(self, connection: socket.socket, path: Path, target: str, asked: str | None, *, body: bool) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            raise _AnswerError(404, f"the picture cannot be read ({error.strerror})") from error
        with open(descriptor, "rb", buffering=0) as file:
            told = os.fstat(descriptor)
            if not stat.S_ISREG(told.st_mode):
                raise _AnswerError(404, "the picture is no file any more")
            first, last = _part(asked, told.st_size)
            status = 200 if asked is None or (first, last) == (0, told.st_size - 1) else 206
            headers = {
                "Content-Type": "image/jpeg", "Content-Length": str(last - first + 1), "Accept-Ranges": "bytes",
                "ETag": f'"{target.rpartition("/")[2]}"',
            }  # fmt: skip
            if status == 206:
                headers["Content-Range"] = f"bytes {first}-{last}/{told.st_size}"
            connection.sendall(_head(status, headers))
            file.seek(first)
            left = last - first + 1 if body else 0
            # A file that has become shorter ends early, and the other side finds it out by the length.
            while left > 0 and (piece := file.read(min(_PIECE_BYTES, left))):
                if self._pace.wait(len(piece), self._stop):
                    return
                connection.sendall(piece)
                left -= len(piece)


def _read(connection: socket.socket) -> tuple[str, str, http.client.HTTPMessage]:
    """Method, target and headers of a request. Raises _AnswerError, and OSError where it does not come whole."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionError("closed before its request was whole")
        head += piece
        if len(head) > _MOST_HEAD_BYTES:
            raise _AnswerError(431, f"the request's head is longer than {_MOST_HEAD_BYTES} bytes")
    text = io.BytesIO(head)
    found = _REQUEST.fullmatch(text.readline())
    if found is None:
        raise _AnswerError(400, "this is no HTTP request that is understood here")
    try:
        headers = http.client.parse_headers(text)
    except (http.client.HTTPException, ValueError) as error:
        raise _AnswerError(400, f"the request's headers cannot be read ({str(error)[:80]})") from error
    return found[1].decode(), found[2].decode(), headers


def _part(asked: str | None, size_bytes: int) -> tuple[int, int]:
    """First and last byte that are wanted. A range of another form may be passed over (RFC 9110, 14.2)."""
    found = None if asked is None else _RANGE.fullmatch(asked.strip())
    if found is None or (found[2] and int(found[2]) < int(found[1])):
        return 0, size_bytes - 1
    first, last = int(found[1]), int(found[2]) if found[2] else size_bytes - 1
    if first >= size_bytes:
        why = f"the picture has {size_bytes} bytes; the range begins behind them"
        raise _AnswerError(416, why, {"Content-Range": f"bytes */{size_bytes}"})
    return first, min(last, size_bytes - 1)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, '')}"]
    always = {"Connection": "close", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    lines += [f"{name}: {value}" for name, value in {**headers, **always}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii", "replace")


def _let_read(connection: socket.socket) -> None:
    """Close our side, and take what still comes for a moment: closed at once, TCP may take the answer back."""
    _cut(connection, socket.SHUT_WR)
    connection.settimeout(1.0)
    for _ in range(4):
        if not connection.recv(_MOST_HEAD_BYTES):
            return


def _cut(connection: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, how)  # not SSLSocket's own, which its thread may be using


def _step_back() -> None:
    """This thread runs when the others leave time; Linux knows the niceness of single threads (sched(7))."""
    # Within the service the system call is not allowed; then the limits on rate and number are what holds it back.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
