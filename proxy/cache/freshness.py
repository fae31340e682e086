"""How long what is kept may be served. Decided here, done elsewhere.

A *record* says how things stand at a source, and holds for all renditions of that original: a
rendition is fresh as long as the record is, and names the original that it was made of. So one
question to the source renews every size.

All moments are in Unix seconds, all durations in seconds.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from proxy.originals import OriginMetadata, Validators

Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]

_SLACK = 5.0  # by which clocks may be set back without making what is kept look as from the future
_LONGEST_PAUSE = 60.0  # between two tries at a source that fails


class FreshnessConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a source's word is believed, and what is done afterwards."""

    ttl_default: Seconds = 86_400.0
    """Lifetime of an original whose source does not name one, in seconds."""

    ttl_min: Seconds = 60.0
    """No lifetime is shorter, whatever the source says, in seconds."""

    ttl_max: Seconds = 31_536_000.0
    """No lifetime is longer, whatever the source says, in seconds."""

    ttl_jitter: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    """Share of a lifetime by which ends are spread, so that not all is renewed at once."""

    stale_while_revalidate: Seconds = 86_400.0
    """How long after its end a result is still served at once, and renewed behind, in seconds."""

    stale_if_error: Seconds = 86_400.0
    """How long after its end a result is served when the source cannot be had, in seconds."""

    negative_ttl: Annotated[float, Meta(ge=0, le=3600)] = 10.0
    """How long it is believed that a source has nothing there, and that nothing can be made of what
    it has, in seconds."""

    error_backoff_seconds: Annotated[float, Meta(ge=0, le=60)] = 5.0
    """How long a source that failed is left alone, in seconds; doubled each time, up to 60."""

    def clamp_ttl(self, said: float | None) -> float:
        """How long the source's word holds; ``said`` is its own lifetime, if it said one."""
        return max(self.ttl_min, min(self.ttl_default if said is None else said, self.ttl_max))


class Refusal(Struct, frozen=True):
    """What came of asking a source, where it was no original: the failure's class and sentence."""

    kind: str
    sentence: str


class Record(Struct, frozen=True):
    """How things stand at a source.

    ``digest`` is the original's, since ``changed_at``; the source last said so at ``asked_at``.
    It is empty where the source said that there is none, or was never heard.
    ``failures`` are the tries in a row at which the source could not be had, the last one at
    ``tried_at``; ``refusal`` is what came of the last try, None where it went well.
    """

    digest: str
    facts: OriginMetadata
    asked_at: float
    lifetime: float
    changed_at: float = 0.0
    failures: int = 0
    tried_at: float = 0.0
    refusal: Refusal | None = None


def renewed(
    before: Record | None, digest: str, facts: OriginMetadata, now: float, rules: FreshnessConfig
) -> Record:
    """The record once the source has said what its original is."""
    return Record(
        digest=digest,
        facts=facts,
        asked_at=now,
        lifetime=rules.clamp_ttl(facts.ttl),
        changed_at=before.changed_at if before and before.digest == digest else now,
    )


def confirmed(before: Record, facts: OriginMetadata, now: float, rules: FreshnessConfig) -> Record:
    """The record once the source has said that nothing changed: what it left out still holds."""
    known = before.facts
    said = OriginMetadata(
        validators=facts.validators if facts.validators != Validators() else known.validators,
        ttl=known.ttl if facts.ttl is None else facts.ttl,
        tags=facts.tags or known.tags,
    )
    return renewed(before, before.digest, said, now, rules)


def refused(refusal: Refusal, now: float, rules: FreshnessConfig) -> Record:
    """The record once the source has said that there is nothing to be had."""
    return Record(
        "", OriginMetadata(), asked_at=now, lifetime=rules.negative_ttl, changed_at=now, refusal=refusal
    )


def failed(before: Record | None, refusal: Refusal, now: float) -> Record:
    """The record after the source could not be had: what was known before is still known."""
    known = before or Record("", OriginMetadata(), asked_at=now, lifetime=0.0)
    return replace(known, failures=known.failures + 1, tried_at=now, refusal=refusal)


class Fresh(Struct, frozen=True):
    """Serve what is kept."""


class Stale(Struct, frozen=True):
    """Serve what is kept, and renew it behind, if that is ``due``."""

    due: bool


class Expired(Struct, frozen=True):
    """Ask the source; what is kept may stand in if it cannot be had and that is ``usable``."""

    usable: bool


class Refused(Struct, frozen=True):
    """The source was asked just now, and there is nothing to be had."""

    refusal: Refusal


Verdict = Fresh | Stale | Expired | Refused


def judge(
    record: Record | None,
    *,
    key: str,
    made_of: str | None,
    marked: float,
    now: float,
    rules: FreshnessConfig,
) -> Verdict:
    """What may be done with what is kept of a source.

    ``key`` is the source's, in hexadecimal; ``made_of`` the digest of the original that the kept
    result was made of, None where none is kept; ``marked`` when the one or the other was softly
    purged, else 0.
    """
    if record is None or record.asked_at > now + _SLACK:
        return Expired(usable=False)
    due = marked > record.tried_at or now >= record.tried_at + pause(record.failures, rules)
    aged = None
    if record.digest:
        late = now - _end(record, key, made_of or record.digest, marked, rules)
        aged = _aged(late, record, rules, due=due)
    if aged is not None:
        # Where nothing is kept it can be made, maybe of an original that is.
        return aged if made_of is not None else Expired(usable=False)
    if record.refusal is not None:
        said = not record.failures and now < record.asked_at + record.lifetime
        if (said and marked < record.asked_at) or not due:
            return Refused(record.refusal)
    return Expired(usable=False)


def _aged(late: float, record: Record, rules: FreshnessConfig, *, due: bool) -> Verdict | None:
    """What may be done with a result that is so late; None where nothing may."""
    bearable = late <= rules.stale_if_error
    if late < 0:
        return Fresh()
    if late <= rules.stale_while_revalidate and (bearable or not record.failures):
        return Stale(due)
    if bearable:
        return Expired(usable=True) if due else Stale(due)
    return None


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """What may be done with a result that needs the word of several sources."""
    found = list(verdicts)
    if len(found) == 1:
        return found[0]
    for verdict in found:
        if isinstance(verdict, Refused):
            return verdict
    expired = [verdict for verdict in found if isinstance(verdict, Expired)]
    if expired:
        return Expired(usable=all(verdict.usable for verdict in expired))
    stale = [verdict for verdict in found if isinstance(verdict, Stale)]
    return Stale(due=any(verdict.due for verdict in stale)) if stale else Fresh()


def pause(failures: int, rules: FreshnessConfig) -> float:
    """How long to leave a source alone after so many failures in a row."""
    return min(rules.error_backoff_seconds * 2.0 ** min(failures - 1, 10), _LONGEST_PAUSE) if failures else 0.0


def _end(record: Record, key: str, made_of: str, marked: float, rules: FreshnessConfig) -> float:
    """Until when the result is fresh."""
    spread = int(key[:8], 16) / 2**32  # the same for all sizes, and in every process
    end = record.asked_at + record.lifetime * (1 - rules.ttl_jitter * spread)
    if marked >= record.asked_at:
        end = min(end, marked)
    if made_of != record.digest:
        end = min(end, record.changed_at)
    return end
