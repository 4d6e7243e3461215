"""The documents that say what the service offers: landing page, conformance, collections, OpenAPI.

OGC API Features, Part 1: Core (OGC 17-069r4), requirement classes core, geojson and oas30. ``base`` is the address of
the service as the asker wrote it, without a slash at its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge import __version__
from edge.ground import Box
from edge.ground.web import columns
from edge.ground.web.asking import CRS84, LIMIT, MOST

Document = dict[str, Any]
GEOJSON, JSON = "application/geo+json", "application/json"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
_CLASSES = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/"


@dataclass(frozen=True, slots=True)
class Collection:
    """One layer."""

    id: str
    title: str
    description: str
    fields: Mapping[str, str]


COLLECTIONS = {
    one.id: one
    for one in (
        Collection(
            "cracks",
            "Cracks",
            "Each crack of each flight once, in its last revision, as a line on the surface; without a geometry where "
            "its place is not known.",
            columns.CRACK,
        ),
        Collection(
            "detections",
            "Detections",
            "Every view of damage in a frame, as a point; many of them belong to one crack.",
            columns.DETECTION,
        ),
        Collection(
            "coverage",
            "Coverage",
            "What each flight has seen, by the narrowest crack that would have been found there, and what it has not.",
            columns.COVERAGE,
        ),
    )
}


def landing(base: str) -> Document:
    """``/``"""
    return {
        "title": "spanhawk ground",
        "description": "What the drones have found: cracks, detections, coverage.",
        "links": [
            link(f"{base}/", "self", JSON, "this document"),
            link(f"{base}/api", "service-desc", OPENAPI, "the definition of the service"),
            link(f"{base}/conformance", "conformance", JSON, "what the service conforms to"),
            link(f"{base}/collections", "data", JSON, "the layers"),
            link(f"{base}/", "alternate", "text/html", "the live page"),
        ],
    }


def conformance() -> Document:
    """``/conformance``"""
    return {"conformsTo": [_CLASSES + one for one in ("core", "geojson", "oas30")]}


def collections(base: str, extents: Mapping[str, Box]) -> Document:
    """``/collections``"""
    return {
        "links": [link(f"{base}/collections", "self", JSON, "the layers")],
        "collections": [collection(base, one, extents[one.id]) for one in COLLECTIONS.values()],
    }


def collection(base: str, one: Collection, extent: Box) -> Document:
    """``/collections/ID``"""
    return {
        "id": one.id,
        "title": one.title,
        "description": one.description,
        "itemType": "feature",
        "extent": {"spatial": {"bbox": [list(extent)], "crs": CRS84}},
        "crs": [CRS84],
        "links": [
            link(f"{base}/collections/{one.id}", "self", JSON, one.title),
            link(f"{base}/collections/{one.id}/items", "items", GEOJSON, f"{one.title}: features"),
        ],
    }


def items(features: list[columns.Feature], links: list[Document], matched: int | None, at: str) -> Document:
    """``/collections/ID/items``; ``matched`` None: not counted on this page."""
    document = {
        "type": "FeatureCollection",
        "features": features,
        "numberReturned": len(features),
        "timeStamp": at,
        "links": links,
    }
    return document if matched is None else document | {"numberMatched": matched}


def item(base: str, collection_id: str, feature: columns.Feature) -> Document:
    """``/collections/ID/items/FEATURE``"""
    of = f"{base}/collections/{collection_id}"
    links = [link(f"{of}/items/{feature['id']}", "self", GEOJSON, "this feature")]
    if collection_id != "coverage":
        links.append(link(f"{base}/messages/{feature['id']}", "alternate", GEOJSON, "the message as the drone sent it"))
    return feature | {"links": [*links, link(of, "collection", JSON, "its layer")]}


def link(href: str, rel: str, kind: str, title: str) -> Document:
    """A link as every document of the service has it."""
    return {"href": href, "rel": rel, "type": kind, "title": title}


def openapi(base: str) -> Document:
    """``/api``: OpenAPI 3.0."""
    parameters = {
        "bbox": _parameter(
            "bbox", {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6}, explode=False
        ),
        "datetime": _parameter("datetime", {"type": "string"}, explode=False),
        "limit": _parameter(
            "limit", {"type": "integer", "minimum": 1, "maximum": MOST, "default": LIMIT}, explode=False
        ),
        "after": _parameter("after", {"type": "integer", "minimum": 0}),
        "vehicle": _parameter("vehicle", {"type": "string"}),
        "flight_id": _parameter("flight_id", {"type": "string"}),
        "kind": _parameter("kind", {"type": "string"}),
    }
    paths = {
        "/": _get("landing page", JSON),
        "/conformance": _get("conformance classes", JSON),
        "/collections": _get("the layers", JSON),
        "/metrics": _get("numbers of the service, Prometheus text format", "text/plain"),
        "/messages/{id}": _get("a message as the drone sent it", GEOJSON, [_in_path("id")]),
        "/pictures/{sha256}": _get("a picture by the SHA-256 of its bytes", "image/jpeg", [_in_path("sha256")]),
    }
    for one in COLLECTIONS.values():
        of = f"/collections/{one.id}"
        known = [name for name in parameters if name != "kind" or "kind" in one.fields]
        paths[of] = _get(one.title, JSON)
        paths[f"{of}/items"] = _get(
            one.description, GEOJSON, [{"$ref": f"#/components/parameters/{name}"} for name in known]
        )
        paths[f"{of}/items/{{featureId}}"] = _get("one feature", GEOJSON, [_in_path("featureId")])
    return {
        "openapi": "3.0.3",
        "info": {"title": "spanhawk ground", "version": __version__},
        "servers": [{"url": base}],
        "paths": paths,
        "components": {"parameters": parameters},
    }


def _parameter(name: str, schema: Document, *, explode: bool | None = None) -> Document:
    return {"name": name, "in": "query", "required": False, "schema": schema, "style": "form"} | (
        {} if explode is None else {"explode": explode}
    )


def _in_path(name: str) -> Document:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _get(what: str, kind: str, parameters: list[Document] | None = None) -> Document:
    answer = {
        "description": what,
        "content": {kind: {"schema": {"type": "string" if kind == "text/plain" else "object"}}},
    }
    if kind.startswith("image/"):
        answer["content"] = {kind: {"schema": {"type": "string", "format": "binary"}}}
    return {"get": {"summary": what, "parameters": parameters or [], "responses": {"200": answer, "default": _ERROR}}}


_ERROR: Document = {
    "description": "what was wrong",
    "content": {
        JSON: {
            "schema": {
                "type": "object",
                "required": ["code"],
                "properties": {"code": {"type": "string"}, "description": {"type": "string"}},
            }
        }
    },
}
