"""What is answered at each address: a handler for each, over what the ground shows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from edge.detections.wire import to_bytes
from edge.ground import Reader
from edge.ground.pictures import Pictures
from edge.ground.web import documents, files
from edge.ground.web.access import HEADERS
from edge.ground.web.asking import NotHereError, form, single
from edge.ground.web.features import Features
from edge.ground.web.live import Live
from edge.ground.web.metrics import CONTENT_TYPE
from edge.ground.web.reviews import Reviews

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_WORTH_PACKING_BYTES = 1000
_FOR_EVER = "private, max-age=31536000, immutable"
_TILE = re.compile(r"\d{1,2}/\d{1,9}/\d{1,9}\.png", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shown:
    """What is served."""

    reader: Reader
    features: Features
    live: Live
    reviews: Reviews
    pictures: Pictures | None
    tiles: Path | None
    troubles: Callable[[], list[str]]
    """What is wrong with the ground now, one sentence each."""
    heads: Callable[[], list[Any]]
    """How far everything has come: a page asks for what is new when one of these has changed."""
    metrics: Callable[[], str]


class Routes:
    """A handler for each address."""

    def __init__(self, shown: Shown, page: dict[str, files.File]) -> None:
        self._shown = shown
        self._page = page

    def table(self) -> dict[str, Handler]:
        """Address and handler."""
        live, features = self._shown.live, self._shown.features

        def simple(make: Callable[[str], Any]) -> Handler:
            async def answer(request: web.Request) -> web.StreamResponse:
                form(single(_pairs(request), ("f",)))
                return _json(make(_base(request)))

            return answer

        def asked(make: Callable[[web.Request], Any]) -> Handler:
            async def answer(request: web.Request) -> web.StreamResponse:
                return _answer(await asyncio.to_thread(lambda: to_bytes(make(request))))

            return answer

        def by_name(method: Callable[..., Any], *names: str, kind: str = documents.GEOJSON) -> Handler:
            async def answer(request: web.Request) -> web.StreamResponse:
                parts = [request.match_info[name] for name in names]
                base, pairs = _base(request), _pairs(request)
                return _answer(await asyncio.to_thread(lambda: to_bytes(method(base, *parts, pairs))), kind)

            return answer

        return {
            "/": self._root,
            "/api": self._api,
            "/conformance": simple(lambda _: documents.conformance()),
            "/collections": by_name(features.collections, kind=documents.JSON),
            "/collections/{name}": by_name(features.collection, "name", kind=documents.JSON),
            "/collections/{name}/items": by_name(features.items, "name"),
            "/collections/{name}/items/{id}": by_name(features.item, "name", "id"),
            "/messages/{id}": self._message,
            "/pictures/{sha256}": self._picture,
            "/live/legend": asked(lambda _: live.legend() | {"tiles": self._shown.tiles is not None}),
            "/live/fleet": asked(lambda _: live.fleet(self._shown.troubles())),
            "/live/cracks": asked(lambda request: live.cracks(_pairs(request))),
            "/live/coverage": asked(lambda _: live.coverage()),
            "/live/reviews": asked(lambda _: self._shown.reviews.newest()),
            "/reviews": self._reviews,
            "/live/walls": asked(lambda request: live.walls(_pairs(request))),
            "/live/cracks/{id}/picture": self._small,
            "/metrics": self._metrics,
            "/files/{name}": self._file,
            "/tiles/{path:.+}": self._tile,
        }

    async def _root(self, request: web.Request) -> web.StreamResponse:
        given = single(_pairs(request), ("f",))
        form(given, ("json", "html"))
        wanted = given.get("f", "html" if "text/html" in request.headers.get("Accept", "") else "json")
        if wanted == "html":
            return self._of_file(request, files.PAGE)
        answer = _json(documents.landing(_base(request)))
        answer.headers["Vary"] = "Accept"
        return answer

    async def _api(self, request: web.Request) -> web.StreamResponse:
        form(single(_pairs(request), ("f",)))
        return _json(documents.openapi(_base(request)), documents.OPENAPI)

    async def review(self, request: web.Request) -> web.StreamResponse:
        """``PUT /reviews/ID``. A page of another origin cannot send it: browsers ask first, and nothing is answered."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            return refused(403, "a review is taken from this page only, not from one of another address")
        if request.content_type != documents.JSON:
            return refused(415, f"a review is {documents.JSON}")
        body, id = await request.read(), request.match_info["id"]
        return _json(await asyncio.to_thread(self._shown.reviews.put, id, body))

    async def _reviews(self, request: web.Request) -> web.StreamResponse:
        document = await asyncio.to_thread(self._shown.reviews.of_flight, _pairs(request))
        answer = _json(document)
        answer.headers["Content-Disposition"] = 'attachment; filename="review.json"'
        return answer

    async def _message(self, request: web.Request) -> web.StreamResponse:
        payload = await asyncio.to_thread(self._shown.features.message, request.match_info["id"])
        return web.Response(body=payload, content_type=documents.GEOJSON)

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        sha256 = request.match_info["sha256"]
        path = None if self._shown.pictures is None else self._shown.pictures.find(sha256)
        if path is None:
            raise NotHereError(f"no picture {sha256[:64]!r} is kept here")
        return web.FileResponse(path, headers=HEADERS | {"Content-Type": "image/jpeg", "Cache-Control": _FOR_EVER})

    async def _small(self, request: web.Request) -> web.StreamResponse:
        data = await asyncio.to_thread(self._thumbnail, request.match_info["id"])
        if data is None:
            raise NotHereError("the picture of this crack is not kept here (yet)")
        return web.Response(body=data, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=300"})

    def _thumbnail(self, crack_id: str) -> bytes | None:
        row = self._shown.reader.crack(crack_id)
        if row is None or row.best_sha256 is None or self._shown.pictures is None:
            return None
        return self._shown.pictures.small(row.best_sha256)

    async def _metrics(self, _: web.Request) -> web.StreamResponse:
        text = await asyncio.to_thread(self._shown.metrics)
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return self._of_file(request, request.match_info["name"])

    def _of_file(self, request: web.Request, name: str) -> web.StreamResponse:
        file = self._page.get(name)
        if file is None:
            raise NotHereError(f"the page has no file {name[:60]!r}")
        headers = {"ETag": f'"{file.tag}"', "Cache-Control": "private, no-cache"}
        if name == files.PAGE:
            headers["Vary"] = "Accept"
        if request.headers.get("If-None-Match", "").removeprefix("W/") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        charset = "utf-8" if file.kind.startswith("text/") else None
        response = web.Response(body=file.data, content_type=file.kind, charset=charset, headers=headers)
        response.enable_compression()
        return response

    async def _tile(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["path"]
        path = None if self._shown.tiles is None or not _TILE.fullmatch(name) else self._shown.tiles / name
        if path is None or not path.is_file():
            raise NotHereError("there is no such tile")
        return web.FileResponse(path, headers=HEADERS | {"Cache-Control": "private, max-age=3600"})


def refused(status: int, why: str) -> web.Response:
    """An exception as OGC API has it (17-069r4, 7.5.1)."""
    return _json({"code": str(status), "description": why}, status=status)


def _json(document: Any, kind: str = documents.JSON, status: int = 200) -> web.Response:
    return _answer(to_bytes(document), kind, status)


def _answer(body: bytes, kind: str = documents.JSON, status: int = 200) -> web.Response:
    response = web.Response(body=body, status=status, headers={"Content-Type": kind})
    if len(body) > _WORTH_PACKING_BYTES:
        response.enable_compression()
    return response


def _pairs(request: web.Request) -> list[tuple[str, str]]:
    return list(request.query.items())


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"
