"""The metrics face: ``/metrics``, in the text formats of Prometheus and OpenMetrics.

Numbers tell a stranger how busy we are, so by default only those are answered who ask directly and
from this machine or a private network. A request that says that a proxy passed it on came from
anywhere, whatever its last hop is.
"""

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Annotated, Literal

from msgspec import Meta
from starlette.types import Receive, Scope, Send

from proxy.api.http.api_keys import Key, Keys, bearer
from proxy.api.http.problems import Headers
from proxy.cache.store import Kind, Shelved
from proxy.telemetry.metrics import Telemetry
from proxy.validation import Discreet


class MetricsConfig(Discreet, frozen=True, forbid_unknown_fields=True):
    """Who may read `/metrics`."""

    access: Literal["private", "keys", "open", "off"] = "private"
    """Private: who asks directly, from this machine or a private network, or has a key. Keys: who
    has one. Open: everybody. Off: nobody."""

    keys: Annotated[tuple[Key, ...], Meta(extra_json_schema={"writeOnly": True})] = ()
    """Keys of visible ASCII without commas, shown as `Authorization: Bearer KEY`."""


_PASSED_ON = frozenset(
    (b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip", b"cf-connecting-ip")
)

_REFUSED: Headers = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


class Metrics:
    def __init__(
        self,
        telemetry: Telemetry,
        stats: Callable[[], Awaitable[Mapping[Kind, Shelved]]],
        settings: MetricsConfig,
    ) -> None:
        """``stats`` says what the cache holds."""
        self._telemetry = telemetry
        self._stats = stats
        self._access = settings.access
        self._keys = Keys(settings.keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            status, headers, body = 405, [*_REFUSED, (b"allow", b"GET, HEAD")], b""
        elif self._admits(scope):
            status, (headers, body) = 200, await self._told(dict(scope["headers"]))
        else:
            status, headers, body = 403, [*_REFUSED], b"metrics are not for you\n"
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )

    def _admits(self, scope: Scope) -> bool:
        asked = dict(scope["headers"])
        if self._access in ("open", "off"):
            return self._access == "open"
        if self._keys.admit(bearer(asked.get(b"authorization", b"").decode("latin-1"))):
            return True
        return self._access == "private" and _is_near(scope) and not _PASSED_ON & asked.keys()

    async def _told(self, asked: Mapping[bytes, bytes]) -> tuple[Headers, bytes]:
        # Not at the top: a start would wait for it, and many servers are never scraped.
        from proxy.api.prometheus import exposed  # noqa: PLC0415

        accept = asked.get(b"accept", b"").decode("latin-1")
        media_type, body = exposed(self._telemetry.read(), await self._stats(), accept)
        return [
            (b"content-type", media_type.encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ], body


def _is_near(scope: Scope) -> bool:
    """Whether the peer is this machine or on a private network; a Unix socket has no peer."""
    client = scope.get("client")
    try:
        address = ip_address(client[0].partition("%")[0]) if client else None
    except ValueError:
        return False
    if address is None:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_private)
