"""The operator's face: purge the cache, and look at it. Every request needs an admin key."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.api.http import request_body
from proxy.api.http.api_keys import Key, Keys, bearer
from proxy.api.http.problems import Problem, problem
from proxy.api.http.request_id import request_id
from proxy.cache.purge import Purged, Purging
from proxy.cache.store import Everything, Labelled, Prefixed, Selector, Store
from proxy.errors import InvalidPurge, ProxyError
from proxy.telemetry import metrics
from proxy.validation import Discreet

_log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000

_Words = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=8192)], ...], Meta(max_length=1000)
]


class AdminConfig(Discreet, frozen=True, forbid_unknown_fields=True):
    """Who may purge and look into the cache."""

    keys: Annotated[tuple[Key, ...], Meta(extra_json_schema={"writeOnly": True})] = ()
    """Keys of visible ASCII without commas, 256 at most; without one /admin/… is shut."""


class Wish(Struct, frozen=True, forbid_unknown_fields=True):
    """What to purge; all that any of the lists selects."""

    sources: _Words = ()
    prefixes: _Words = ()
    tags: _Words = ()
    presets: _Words = ()
    everything: bool = False
    soft: bool = False

    def selectors(self) -> list[Selector]:
        if self.everything:
            return [Everything()]
        return [
            *(Labelled(f"source:{text}") for text in self.sources),
            *(Prefixed(f"source:{text}") for text in self.prefixes),
            *(Labelled(f"tag:{text}") for text in self.tags),
            *(Labelled(f"preset:{text}") for text in self.presets),
        ]


Endpoint = Callable[[Request], Awaitable[Response]]


def app(purging: Purging, store: Store, keys: Keys) -> Starlette:
    """``POST /admin/purge`` and ``GET /admin/cache``."""

    async def purge(request: Request) -> Response:
        wish = request_body.json(await request_body.read(request, MOST_BYTES), Wish, InvalidPurge)
        selectors = wish.selectors()
        if not selectors:
            raise InvalidPurge(
                "nothing is selected: name sources, prefixes, tags or presets, or everything"
            )
        purged = await purging.purge(selectors, soft=wish.soft)
        status = HTTPStatus.OK if purged.complete else HTTPStatus.BAD_GATEWAY
        return _json(status, told(purged))

    async def cache(_: Request) -> Response:
        return _json(HTTPStatus.OK, await store.stats())

    return Starlette(
        routes=[
            Route("/admin/purge", _guarded(keys, purge), methods=["POST"]),
            Route("/admin/cache", _guarded(keys, cache), methods=["GET"]),
        ]
    )


def told(purged: Purged) -> dict[str, object]:
    """What is said of a purge: the entries it hit, in all and by kind, and what CDNs answered."""
    return {
        "purged": sum(purged.entries.values()),
        "entries": purged.entries,
        "cdns": {name: failure or "ok" for name, failure in purged.told.items()},
    }


def _guarded(keys: Keys, endpoint: Endpoint) -> Endpoint:
    """The endpoint for who has a key, and its failures as problems."""

    async def guarded(request: Request) -> Response:
        try:
            _require_key(keys, request)
            return await endpoint(request)
        except Exception as error:  # noqa: BLE001 - the border: whatever happened gets an answer
            name = request_id(dict(request.scope["headers"]))
            metrics.named(name)
            metrics.failed(error)
            if not isinstance(error, ProxyError | Problem):
                _log.error("%s: unforeseen", name, exc_info=error)
            status, headers, body = problem(error, name)
            texts = {name.decode(): value.decode() for name, value in headers}
            return Response(body, status, texts)

    return guarded


def _require_key(keys: Keys, request: Request) -> None:
    if not keys.admit(bearer(request.headers.get("authorization"))):
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "an admin key is needed: Authorization: Bearer KEY",
            [(b"www-authenticate", b"Bearer")],
        )


def _json(status: HTTPStatus, value: object) -> Response:
    return Response(
        msgspec.json.encode(value),
        status,
        {"content-type": "application/json", "cache-control": "no-store"},
    )
