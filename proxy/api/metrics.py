"""Serve ``/metrics`` in the text formats of Prometheus and OpenMetrics.

Metrics show how busy the server is, so by default only direct requests from this machine or a
private network are answered, and no other unauthenticated client. A request with the headers of a
proxy may come from anywhere, whatever address its connection has.

`proxy.telemetry.metrics` counts, `proxy.api.prometheus` renders the text.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Annotated, Literal

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.api.context import ApiContext
from proxy.api.http.api_keys import ApiKey, ApiKeys, bearer_token
from proxy.api.http.headers import list_header
from proxy.api.prometheus import render_prometheus
from proxy.cache.store import CacheStats, Kind
from proxy.telemetry.metrics import Metrics
from proxy.validation import HidesSecrets


class MetricsConfig(HidesSecrets, frozen=True, forbid_unknown_fields=True):
    """Access to `/metrics`."""

    access: Annotated[
        Literal["private", "keys", "open", "off"],
        Meta(
            description=(
                "Who may read `/metrics`. `private`: requests that come directly from this machine "
                "or a private network, or have a key. `keys`: requests with a key. `open`: "
                "everybody. `off`: nobody."
            )
        ),
    ] = "private"

    keys: Annotated[
        tuple[ApiKey, ...],
        Meta(
            extra_json_schema={"writeOnly": True},
            description=(
                "Keys for `/metrics`, 1 to 256 visible ASCII characters each, without commas. A "
                "request has one as `Authorization: Bearer KEY`."
            ),
        ),
    ] = ()


PATH = b"/metrics"
_NOT_FOUND = "not found: metrics are at /metrics\n"

_PROXY_HEADERS = ("forwarded", "via", "x-forwarded-for", "x-real-ip", "cf-connecting-ip")
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def create_api(context: ApiContext) -> ASGIApp:
    config = context.section(MetricsConfig)
    return MetricsEndpoint(context.metrics, context.cache.stats, config)


class MetricsEndpoint:
    def __init__(
        self,
        metrics: Metrics,
        cache_stats: Callable[[], Awaitable[Mapping[Kind, CacheStats]]],
        config: MetricsConfig,
    ) -> None:
        self._metrics = metrics
        self._cache_stats = cache_stats
        self._access = config.access
        self._keys = ApiKeys(config.keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        # A proxy in front blocks `/metrics`: no other spelling may lead here.
        if scope["raw_path"] != PATH:
            response: Response = PlainTextResponse(_NOT_FOUND, 404, _HEADERS)
        elif request.method not in ("GET", "HEAD"):
            response = PlainTextResponse("", 405, {**_HEADERS, "allow": "GET, HEAD"})
        elif self._is_allowed(request):
            response = await self._render(request)
        else:
            response = PlainTextResponse("access to metrics denied\n", 403, _HEADERS)
        if request.method == "HEAD":
            response.body = b""
        await response(scope, receive, send)

    def _is_allowed(self, request: Request) -> bool:
        if self._access in ("open", "off"):
            return self._access == "open"
        if self._keys.verify(bearer_token(request.headers.get("authorization"))):
            return True
        is_proxied = any(name in request.headers for name in _PROXY_HEADERS)
        return self._access == "private" and not is_proxied and _is_private(request)

    async def _render(self, request: Request) -> Response:
        self._metrics.flush()
        cache_stats = await self._cache_stats()
        accept = list_header(request, "accept")
        # In a thread: it reads and adds up the files of all workers.
        media_type, body = await asyncio.to_thread(
            render_prometheus, self._metrics, cache_stats, accept
        )
        return Response(body, headers={**_HEADERS, "content-type": media_type})


def _is_private(request: Request) -> bool:
    """Whether the client is this machine or on a private network; False for a Unix socket."""
    try:
        address = ip_address(request.client.host.partition("%")[0]) if request.client else None
    except ValueError:
        return False
    if address is None:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_private)
