"""The server: an aiohttp application in a thread of its own, and who may ask it. Its answers are in ``routes``."""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from types import TracebackType
from urllib.parse import unquote

from aiohttp import web

from edge.ground.web import files
from edge.ground.web.access import ASK, HEADERS
from edge.ground.web.asking import AskedWronglyError, NotHereError
from edge.ground.web.events import Events
from edge.ground.web.reviews import MOST_BYTES
from edge.ground.web.routes import Handler, Routes, Shown, refused
from edge.support.access import Door, Guesses, Listen
from edge.support.errors import ConfigError, TryAgainError

# Of a refusal: what an asker needs to ask rightly (RFC 9110, 15.5.6 and 10.2.3).
_KEPT_HEADERS = ("Allow", "Retry-After")
# A connection without a request is held so long: aiohttp's own hour would keep those of askers that are gone.
_KEPT_OPEN_S = 75.0

log = logging.getLogger(__name__)

_STARTS_WITHIN_S = 15.0
_STOPS_WITHIN_S = 5.0


class Site:
    """Serves from entering ``with`` to leaving it.

    Entering raises ConfigError or TryAgainError where the address cannot be listened to.
    """

    def __init__(
        self, listen: Listen, door: Door, guesses: Guesses, context: ssl.SSLContext | None, shown: Shown
    ) -> None:
        self._listen = listen
        self._door = door
        self._guesses = guesses
        self._context = context
        self._shown = shown
        self._files = files.load()
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._started = threading.Event()
        self._failed: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.port = 0
        """Where it listens, once entered."""

    @property
    def url(self) -> str:
        """Its address, once entered."""
        host = f"[{self._listen.host}]" if ":" in self._listen.host else self._listen.host
        return f"{'http' if self._context is None else 'https'}://{host}:{self.port}/"

    def __enter__(self) -> Site:
        self._thread.start()
        if not self._started.wait(_STARTS_WITHIN_S) and self._failed is None:
            raise TryAgainError(f"ground.http: the page did not start within {_STARTS_WITHIN_S:.0f} s")
        if self._failed is not None:
            raise self._failed
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOPS_WITHIN_S)
        if self._thread.is_alive():
            log.error("the page's thread did not end within %.0f s", _STOPS_WITHIN_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._failed = self._refusal(error)
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            shutdown_timeout=1.0,
            handle_signals=False,
            keepalive_timeout=_KEPT_OPEN_S,
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._listen.host, self._listen.port, ssl_context=self._context)
            await site.start()
            self.port = runner.addresses[0][1]
            self._started.set()
            await self._stop.wait()
        finally:
            await runner.cleanup()

    def _refusal(self, error: OSError) -> Exception:
        at = f"ground.http: cannot listen at {self._listen.host}:{self._listen.port} ({error.strerror or error})"
        if isinstance(error, PermissionError):
            return ConfigError(f"{at}; name a port above 1023")
        return TryAgainError(f"{at}; name another port, or stop what listens there")

    def _application(self) -> web.Application:
        events = Events(self._shown.heads)
        application = web.Application(middlewares=[self._guard], client_max_size=MOST_BYTES)
        routes = Routes(self._shown, self._files)
        for path, handler in routes.table().items():
            application.router.add_get(path, handler)
        application.router.add_put("/reviews/{id}", routes.review)
        application.router.add_get("/live/events", events.serve)

        async def stop(_: web.Application) -> None:
            await events.stop()

        application.on_shutdown.append(stop)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await self._answer(request, handler)
        if not response.prepared:
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._door.answers_to(request.host):
            return refused(403, "the page is reached as localhost or 127.0.0.1 only; a token opens it to others")
        turned_away = await self._ask(request.headers.get("Authorization"), request.remote or "")
        if turned_away is not None:
            return turned_away
        if "%00" in request.rel_url.raw_path:  # PostgreSQL has no word for it, so nothing is called so
            return refused(404, "nothing has a name with the character 0 in it")
        try:
            return await handler(request)
        except AskedWronglyError as error:
            return refused(400, str(error))
        except NotHereError as error:
            return refused(404, str(error))
        except TryAgainError as error:
            answer = refused(503, str(error))
            answer.headers["Retry-After"] = "5"
            return answer
        except web.HTTPException as error:
            if error.status < 400:
                raise
            answer = refused(error.status, _sentence(error, request))
            answer.headers.update({name: error.headers[name] for name in _KEPT_HEADERS if name in error.headers})
            return answer
        except ConnectionError:
            raise
        except Exception:  # one question that cannot be answered must not end the others
            log.exception("cannot answer %s", request.path)
            return refused(500, "this could not be answered; the log of the ground says why")

    async def _ask(self, authorization: str | None, address: str) -> web.StreamResponse | None:
        """The answer to somebody who may not look; None for those who may."""
        if authorization is not None and self._door.asks:
            wait_s = self._guesses.wait_s(address)
            if wait_s is None:
                answer = refused(429, "too many wrong tokens came from your address; ask again in some seconds")
                answer.headers["Retry-After"] = "5"
                return answer
            await asyncio.sleep(wait_s)
        # In a thread: a hashed password takes a tenth of a second, and the page's other answers go on meanwhile.
        admitted = await asyncio.to_thread(self._door.admits, authorization)
        if authorization is not None and self._door.asks:  # a browser's first request brings none, and guesses nothing
            self._guesses.told(address, right=admitted)
        if admitted:
            return None
        answer = refused(401, "a token is asked for here: as the password of any user, or as a bearer token")
        answer.headers.update(ASK)
        return answer


def _sentence(error: web.HTTPException, request: web.Request) -> str:
    if error.status == 404:
        return f"there is nothing at {unquote(request.path)[:100]!r}"
    if error.status == 405:
        return f"{request.method} is not answered at this address"
    return error.text or error.reason
