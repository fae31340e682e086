"""Build the ``Cache-Control`` of a response from that of its source (RFC 9111, RFC 5861, RFC 8246).

What the source allows to less than everybody is allowed to no more caches here: `private` stays
private, and a result that must be revalidated is never offered as a stale one.
"""

from collections.abc import Iterator

from msgspec import Struct

from proxy.originals import CacheDirectives

_MAX_TTL = 31_536_000.0  # a year: caches take it as unlimited


class StaleConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How long an old answer may still be served by a CDN, in seconds."""

    while_revalidate: int = 86_400
    """While a new one is fetched behind it."""

    if_error: int = 86_400
    """While there is no new one to be had."""

    ttl_default: int = 86_400
    """How long a browser keeps what the source limits for shared caches only."""


def cache_control(
    directives: CacheDirectives, ttl: float, stale: StaleConfig, expires_in: int | None = None
) -> bytes:
    """Return the header's value for a result with this TTL, whose source sent these directives.

    After ``expires_in`` seconds no cache may serve it, neither fresh nor stale; None: it does not
    expire. All seconds count, as ``Age`` says, from the last validation.
    """
    if directives.no_store:
        return b"no-store"
    scope = "private" if directives.is_private else "public"
    if directives.no_cache:
        return f"{scope}, no-cache".encode()
    left = _MAX_TTL if expires_in is None else float(expires_in)
    shared = min(ttl, _MAX_TTL, left)
    parts = [scope]
    if directives.is_private:
        shared = min(directives.max_age or 0.0, _MAX_TTL, left)
        parts += [f"max-age={int(shared)}"]
    elif directives.s_maxage:
        own = _or_default(directives.max_age, stale.ttl_default)
        parts += [f"max-age={int(min(own, shared))}", f"s-maxage={int(shared)}"]
    else:
        parts += [f"max-age={int(shared)}"]
    if directives.must_revalidate:
        parts += ["must-revalidate"]
    elif directives.proxy_revalidate:
        parts += ["proxy-revalidate"]
    if directives.allows_stale:
        parts += _stale_directives(directives, stale, left - shared)
    if directives.immutable and expires_in is None:
        parts += ["immutable"]
    return ", ".join(parts).encode()


def _stale_directives(
    directives: CacheDirectives, stale: StaleConfig, left: float
) -> Iterator[str]:
    while_revalidate, if_error = directives.stale_while_revalidate, directives.stale_if_error
    if not (directives.is_private or directives.s_maxage):
        while_revalidate = _or_default(while_revalidate, stale.while_revalidate)
        if_error = _or_default(if_error, stale.if_error)
    if while_revalidate is not None:
        yield f"stale-while-revalidate={int(min(while_revalidate, left))}"
    if if_error is not None:
        yield f"stale-if-error={int(min(if_error, left))}"


def _or_default(seconds: float | None, default: float) -> float:
    return default if seconds is None else seconds
