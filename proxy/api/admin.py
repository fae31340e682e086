"""The admin API: purge the cache, and read its statistics. Every request needs an admin key."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial, wraps
from http import HTTPStatus
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy.api.context import ApiContext
from proxy.api.http.api_keys import ApiKey, ApiKeys, bearer_token
from proxy.api.http.error_page import page_or_problem
from proxy.api.http.request_body import decode_json, read_body
from proxy.api.http.routing import api_router
from proxy.cache.peers import MAX_MESSAGE_BYTES, PEER_PURGES_PATH
from proxy.cache.purge import PurgeResult, PurgeService
from proxy.cache.store import All, ByTag, ByTagPrefix, Cache, Kind, ReceivesPurges, Selector
from proxy.errors import InvalidPurge
from proxy.server.config import ServerConfig
from proxy.validation import HidesSecrets

MAX_BODY_BYTES = 1_000_000
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

T = TypeVar("T")

_Texts = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=8192)], ...], Meta(max_length=1000)
]
_Endpoint = Callable[[Request], Awaitable[Response]]


class AdminConfig(HidesSecrets, frozen=True, forbid_unknown_fields=True):
    """The admin API: purge and cache statistics."""

    keys: Annotated[
        tuple[ApiKey, ...],
        Meta(
            extra_json_schema={"writeOnly": True},
            description=(
                "Keys for `/admin/…`, 1 to 256 visible ASCII characters each, without commas. "
                "Without a key, `/admin/…` is closed."
            ),
        ),
    ] = ()


class PurgeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /admin/purge``: an entry that any of the lists selects is purged."""

    sources: _Texts = ()
    prefixes: _Texts = ()
    tags: _Texts = ()
    presets: _Texts = ()
    dialects: _Texts = ()
    everything: bool = False
    soft: bool = False

    def selectors(self) -> list[Selector]:
        if self.everything:
            return [All()]
        return [
            *(ByTag(f"source:{text}") for text in self.sources),
            *(ByTagPrefix(f"source:{text}") for text in self.prefixes),
            *(ByTag(f"tag:{text}") for text in self.tags),
            *(ByTag(f"preset:{text}") for text in self.presets),
            *(ByTag(f"dialect:{text}") for text in self.dialects),
        ]


def create_api(context: ApiContext) -> ASGIApp:
    keys = ApiKeys(context.section(AdminConfig).keys)
    path_prefix = context.section(ServerConfig).path_prefix
    return admin_api(context.purging, context.cache, keys, path_prefix)


def admin_api(purging: PurgeService, cache: Cache, keys: ApiKeys, path_prefix: str = "") -> ASGIApp:
    """Serve ``POST /admin/purge``, ``GET /admin/cache``, and ``PUT /admin/purges/…`` for peers.

    ``path_prefix`` is that of the server, for the links of problems.
    """

    def require_admin(endpoint: _Endpoint) -> _Endpoint:
        @wraps(endpoint)
        async def checked(request: Request) -> Response:
            if not keys.verify(bearer_token(request.headers.get("authorization"))):
                raise HTTPException(
                    HTTPStatus.UNAUTHORIZED,
                    "admin key is missing or wrong: send Authorization: Bearer KEY, with one of "
                    "FRAMEKEEP_ADMIN_KEYS",
                    {"www-authenticate": "Bearer"},
                )
            return await endpoint(request)

        return checked

    @require_admin
    async def purge(request: Request) -> Response:
        body = await read_body(request, MAX_BODY_BYTES)
        purge_request = decode_json(body, PurgeRequest, InvalidPurge)
        selectors = purge_request.selectors()
        if not selectors:
            raise InvalidPurge(
                "nothing is selected: set sources, prefixes, tags, presets, dialects or everything"
            )
        return purge_response(await purging.purge(selectors, soft=purge_request.soft))

    @require_admin
    async def cache_stats(_: Request) -> Response:
        return _json(HTTPStatus.OK, _by_json_name(await cache.stats()))

    async def receive_purges(request: Request) -> Response:
        """Peers have no admin key: their messages are signed."""
        if not isinstance(cache, ReceivesPurges):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        body = await read_body(request, 2 * MAX_MESSAGE_BYTES)
        if not await cache.receive_purges(request.path_params["name"], body):
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                "not a purge of a peer: FRAMEKEEP_SHARED_PEERS is not set here, or it is not "
                "signed with one of FRAMEKEEP_SHARED_CACHE_KEYS",
            )
        return _json(HTTPStatus.OK, {"status": "ok"})

    return api_router(
        [
            Route(f"{PEER_PURGES_PATH}/{{name}}", receive_purges, methods=["PUT"]),
            Route("/admin/purge", purge, methods=["POST"]),
            Route("/admin/cache", cache_stats, methods=["GET"]),
        ],
        partial(_error_response, path_prefix),
        exact_path=True,
    )


def purge_response(result: PurgeResult) -> Response:
    """Report the purged entries, in all and by kind, and the result of each CDN."""
    return _json(
        HTTPStatus.OK if result.complete else HTTPStatus.BAD_GATEWAY,
        {
            "purged": sum(result.entries.values()),
            "entries": _by_json_name(result.entries),
            "cdns": {name: error or "ok" for name, error in result.cdn_errors.items()},
        },
    )


def _by_json_name(by_kind: Mapping[Kind, T]) -> dict[str, T]:
    """Name detections ``focus``, as `info` does."""
    return {"focus" if kind == "detection" else kind: value for kind, value in by_kind.items()}


def _error_response(path_prefix: str, request: Request, error: Exception) -> Response:
    response = page_or_problem(path_prefix, request, error)
    response.headers.update(_HEADERS)
    return response


def _json(status: HTTPStatus, value: object) -> Response:
    return Response(
        msgspec.json.encode(value),
        status,
        {"content-type": "application/json", **_HEADERS},
    )
