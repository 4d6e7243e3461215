"""Server-sent events: one watcher asks the store how far it has come, and wakes every page when that has changed.

A page that cannot keep up misses nothing: an event says how far the store is, not what is new.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web

from edge.support.errors import TryAgainError

log = logging.getLogger(__name__)

EVERY_S = 1.0
_BREATH_S = 15.0
"""A line is sent at least so often: proxies close what is silent, and a page that is gone is noticed."""
MOST_PAGES = 200
_UNREAD = json.dumps({"trouble": "the store could not be read; the log of the ground says why"})


class Events:
    """Lives in one event loop, from ``start`` to ``stop``."""

    def __init__(self, heads: Callable[[], list[Any]]) -> None:
        """``heads`` is called in a worker thread, and only while somebody listens."""
        self._heads = heads
        self._now: str | None = None
        self._changed = asyncio.Condition()
        self._watcher: asyncio.Task[None] | None = None
        self._over = False
        self._pages = 0

    @property
    def pages(self) -> int:
        """How many are listening."""
        return self._pages

    async def stop(self) -> None:
        """End every stream."""
        self._over = True
        async with self._changed:
            self._changed.notify_all()
        if self._watcher is not None:
            self._watcher.cancel()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """``/live/events``: until the page goes away."""
        if self._pages >= MOST_PAGES:
            raise web.HTTPServiceUnavailable(text=f"{MOST_PAGES} pages are open already", headers={"Retry-After": "10"})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        self._pages += 1
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._watch())
        try:
            await response.write(b"retry: 2000\n\n")
            told: str | None = None
            while not self._over:
                if self._now is not None and self._now != told:
                    told = self._now
                    await response.write(f"event: heads\ndata: {told}\n\n".encode())
                elif not await self._wait(told):
                    await response.write(b": still here\n\n")
        except (ConnectionError, asyncio.CancelledError):
            pass  # the page was closed
        finally:
            self._pages -= 1
        return response

    async def _wait(self, told: str | None) -> bool:
        """True when there is something else to tell, or it is over; False after some seconds without."""
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: self._over or self._now not in (None, told)), _BREATH_S
                )
            except asyncio.TimeoutError:
                return False
        return True

    async def _watch(self) -> None:
        while self._pages and not self._over:
            try:
                now = json.dumps(await asyncio.to_thread(self._heads))
            except TryAgainError as error:
                now = json.dumps({"trouble": str(error)})
            except Exception:  # else the pages would wait indefinitely for a watcher that ended
                if self._now != _UNREAD:
                    log.exception("cannot say how far the store is")
                now = _UNREAD
            if now != self._now:
                async with self._changed:
                    self._now = now
                    self._changed.notify_all()
            await asyncio.sleep(EVERY_S)
        self._now = None
