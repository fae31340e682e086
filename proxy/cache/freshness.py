"""Decide whether a cached rendition may be served: fresh, stale, expired or negative.

An *origin record* is what a source last returned about one original. It holds for all renditions of
the original: a rendition is fresh as long as the record is, provided that it was made of the
original that the record names. So one conditional request renews all sizes (RFC 9111: validation).

All times are in Unix seconds, all durations in seconds. Nothing here does I/O.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from proxy.originals import CacheDirectives, OriginMetadata, Validators

Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]

_CLOCK_SKEW = 5.0  # a clock may be set back by this without making records look future-dated
_MAX_BACKOFF = 60.0
_MAX_RETRY_AFTER = 86_400.0


class FreshnessConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a cached result may be served, with and without a new request to the source."""

    ttl_default: Annotated[
        Seconds,
        Meta(
            description=(
                "Time to live in seconds of an original whose source sends no `Cache-Control` or "
                "`Expires`."
            )
        ),
    ] = 86_400.0

    ttl_min: Annotated[
        Seconds,
        Meta(
            description=(
                "Shortest time to live in seconds. Shorter values of a source are raised to it, "
                "unless it sends `no-cache`."
            )
        ),
    ] = 0.0

    ttl_max: Annotated[
        Seconds,
        Meta(
            description=(
                "Longest time to live in seconds. Longer values of a source are lowered to it."
            )
        ),
    ] = 31_536_000.0

    ttl_jitter: Annotated[
        float,
        Meta(
            ge=0,
            le=0.5,
            description=(
                "Largest share of the time to live by which an entry expires early, so that "
                "not all entries expire at the same time."
            ),
        ),
    ] = 0.1

    stale_while_revalidate: Annotated[
        Seconds,
        Meta(
            description=(
                "Time in seconds after the expiry in which a stale result is served immediately "
                "and refreshed in the background, unless the source says otherwise."
            )
        ),
    ] = 86_400.0

    stale_if_error: Annotated[
        Seconds,
        Meta(
            description=(
                "Time in seconds after the expiry in which a stale result is served when the "
                "source cannot be reached, unless the source says otherwise."
            )
        ),
    ] = 86_400.0

    negative_ttl: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description=(
                "Time in seconds for which a failure is cached: the source has no such "
                "original, or the original cannot be rendered."
            ),
        ),
    ] = 10.0

    error_backoff_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description=(
                "Time in seconds without a new attempt after a source failed. It doubles with each "
                "failure, up to 60 seconds."
            ),
        ),
    ] = 5.0

    def clamp_ttl(self, metadata: OriginMetadata) -> float:
        """Return the TTL of an original within the bounds; 0 if each use must be validated."""
        if metadata.directives.no_cache or not metadata.directives.allows_storing:
            return 0.0
        ttl = self.ttl_default if metadata.ttl is None else metadata.ttl
        return max(self.ttl_min, min(ttl, self.ttl_max))

    def stale_seconds(self, directives: CacheDirectives) -> tuple[float, float]:
        """Return for how long a result is served after its TTL: while it is refreshed, on errors.

        What the source says goes first. What it says only of one time is 0 for the other where it
        forbids the use of stale results otherwise.
        """
        while_revalidate, if_error = directives.stale_while_revalidate, directives.stale_if_error
        forbidden = directives.s_maxage
        if while_revalidate is None:
            while_revalidate = 0.0 if forbidden else self.stale_while_revalidate
        if if_error is None:
            if_error = 0.0 if forbidden else self.stale_if_error
        return while_revalidate, if_error


class CachedError(Struct, frozen=True):
    """A failed request to a source: the name of the error class, and the message.

    ``retry_at`` is when the source may be requested again, as it said itself; 0 if it did not.
    """

    error_type: str
    message: str
    retry_at: float = 0.0


class OriginRecord(Struct, frozen=True):
    """What is known of the original at a source.

    The original has had this ``digest`` since ``changed_at``, and the source confirmed it at
    ``validated_at``. The digest is empty if the source has no such original, or never answered.
    ``failures`` counts the failed requests since the last answer; the latest one was at
    ``last_attempt_at``. ``error`` is the result of the last request, None if it succeeded.
    """

    digest: str
    metadata: OriginMetadata
    validated_at: float
    ttl: float
    changed_at: float = 0.0
    failures: int = 0
    last_attempt_at: float = 0.0
    error: CachedError | None = None

    def is_validated_since(self, time: float) -> bool:
        """Whether the last answer of the source came since that time, and was the original."""
        return bool(self.digest) and not self.failures and self.validated_at >= time


def record_fetch(
    before: OriginRecord | None,
    digest: str,
    metadata: OriginMetadata,
    now: float,
    config: FreshnessConfig,
) -> OriginRecord:
    """Return the record after the original was fetched."""
    return OriginRecord(
        digest=digest,
        metadata=metadata,
        validated_at=now,
        ttl=config.clamp_ttl(metadata),
        changed_at=before.changed_at if before and before.digest == digest else now,
    )


def record_not_modified(
    before: OriginRecord, metadata: OriginMetadata, now: float, config: FreshnessConfig
) -> OriginRecord:
    """Return the record after a 304; headers that it lacks keep their values (RFC 9111, 4.3.4)."""
    known = before.metadata
    has_validators = metadata.validators != Validators()
    says_nothing = metadata.is_silent
    updated = OriginMetadata(
        validators=metadata.validators if has_validators else known.validators,
        ttl=known.ttl if says_nothing else metadata.ttl,
        tags=metadata.tags or known.tags,
        directives=known.directives if says_nothing else metadata.directives,
    )
    return record_fetch(before, before.digest, updated, now, config)


def record_negative_answer(error: CachedError, now: float, config: FreshnessConfig) -> OriginRecord:
    """Return the record after the source answered that there is no original."""
    return OriginRecord(
        "",
        OriginMetadata(),
        validated_at=now,
        ttl=config.negative_ttl,
        changed_at=now,
        error=error,
    )


def record_failure(before: OriginRecord | None, error: CachedError, now: float) -> OriginRecord:
    """Return the record after the source did not answer; what was known stays known."""
    known = before or OriginRecord("", OriginMetadata(), validated_at=now, ttl=0.0)
    return replace(known, failures=known.failures + 1, last_attempt_at=now, error=error)


class Fresh(Struct, frozen=True):
    """Serve the cached result."""


class Stale(Struct, frozen=True):
    """Serve the cached result; refresh it in the background if ``revalidate`` is set."""

    revalidate: bool


class Expired(Struct, frozen=True):
    """Request the source first; serve the cached result only if that fails and it is usable."""

    usable_on_error: bool


class NegativeHit(Struct, frozen=True):
    """Answer with the error of the last request to the source."""

    error: CachedError


Freshness = Fresh | Stale | Expired | NegativeHit


def evaluate(
    record: OriginRecord | None,
    *,
    key: str,
    original_digest: str | None,
    soft_purged_at: float,
    now: float,
    config: FreshnessConfig,
) -> Freshness:
    """Return what may be done with a cached result of a source.

    ``key`` is that of the source, in hexadecimal. ``original_digest`` is that of the original which
    the result was made of, None if no result is cached. ``soft_purged_at`` is when the result or
    the record was soft-purged, 0 if neither was.
    """
    if record is None or record.validated_at > now + _CLOCK_SKEW:
        return Expired(usable_on_error=False)
    soft_purged_at = min(soft_purged_at, now)
    # An attempt from the future, when the clock was ahead, must not delay the next one until then.
    is_plausible = record.last_attempt_at <= now + _CLOCK_SKEW
    last_attempt_at = record.last_attempt_at if is_plausible else 0.0
    retry_at = last_attempt_at + backoff(record.failures, config)
    if record.failures and record.error is not None:
        retry_at = max(retry_at, min(record.error.retry_at, last_attempt_at + _MAX_RETRY_AFTER))
    may_request = soft_purged_at > last_attempt_at or now >= retry_at
    if record.digest:
        digest = original_digest or record.digest
        age = now - _expires_at(record, key, digest, soft_purged_at, config)
        freshness = _evaluate_age(age, record, config, may_request=may_request)
        if freshness is not None:
            # Without a result one can still be made, perhaps of an original that is cached.
            return Expired(usable_on_error=False) if original_digest is None else freshness
    if record.error is not None:
        answered = not record.failures and now < record.validated_at + record.ttl
        if (answered and soft_purged_at < record.validated_at) or not may_request:
            return NegativeHit(record.error)
    return Expired(usable_on_error=False)


def _evaluate_age(
    age: float, record: OriginRecord, config: FreshnessConfig, *, may_request: bool
) -> Freshness | None:
    """Evaluate a result whose TTL ended ``age`` seconds ago; None if it may not be served."""
    if age < 0:
        return Fresh()
    directives = record.metadata.directives
    if not directives.allows_stale:
        return None
    stale_while_revalidate, stale_if_error = config.stale_seconds(directives)
    usable_on_error = age <= stale_if_error
    if age <= stale_while_revalidate and (usable_on_error or not record.failures):
        return Stale(revalidate=may_request)
    if usable_on_error:
        return Expired(usable_on_error=True) if may_request else Stale(revalidate=False)
    return None


def combine(parts: Iterable[Freshness]) -> Freshness:
    """Return what may be done with a result that is made of several originals."""
    found = list(parts)
    if len(found) == 1:
        return found[0]
    for part in found:
        if isinstance(part, NegativeHit):
            return part
    expired = [part for part in found if isinstance(part, Expired)]
    if expired:
        return Expired(usable_on_error=all(part.usable_on_error for part in expired))
    stale = [part for part in found if isinstance(part, Stale)]
    return Stale(revalidate=any(part.revalidate for part in stale)) if stale else Fresh()


def backoff(failures: int, config: FreshnessConfig) -> float:
    """Return the seconds from the last of ``failures`` failures in a row to the next request."""
    if not failures:
        return 0.0
    return min(config.error_backoff_seconds * 2.0 ** min(failures - 1, 10), _MAX_BACKOFF)


def _expires_at(
    record: OriginRecord,
    key: str,
    original_digest: str,
    soft_purged_at: float,
    config: FreshnessConfig,
) -> float:
    spread = int(key[:8], 16) / 2**32  # the same for all sizes, and in every process
    expires_at = record.validated_at + record.ttl * (1 - config.ttl_jitter * spread)
    if soft_purged_at >= record.validated_at:
        expires_at = min(expires_at, soft_purged_at)
    if original_digest != record.digest:
        expires_at = min(expires_at, record.changed_at)
    return expires_at
