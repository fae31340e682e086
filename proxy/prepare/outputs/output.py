"""What an output is, and how one is opened."""

from collections.abc import Collection
from typing import Protocol

from proxy.errors import ConfigError, NamedError
from proxy.prepare.job import Job, Wanted
from proxy.prepare.manifest import ManifestRow
from proxy.service import ImageResult


class NotStorable(NamedError):
    """The source forbids to keep what is made of it (`private`, `no-store`)."""

    problem_type = "not-storable"


class Output(Protocol):
    async def store(
        self, row: ManifestRow, wanted: Wanted, result: ImageResult, names: Collection[str]
    ) -> str:
        """Make the rendition last; return the name of its file, if it is one.

        ``names`` are those that earlier renditions of the row have.
        Raises NotStorable, InvalidSource or StoreUnavailable.
        """
        ...


def is_template(to: str) -> bool:
    return to not in ("cache", "shared")


def check_storable(result: ImageResult) -> None:
    """Raise NotStorable."""
    if not result.directives.allows_storing:
        raise NotStorable("the Cache-Control of the source does not allow to keep its images")


def check_destination(job: Job, bucket: str) -> None:
    """Raise ConfigError where ``shared`` has no bucket, ``bucket`` being its URL."""
    if job.to == "shared" and not bucket:
        raise ConfigError(
            "--to shared: no bucket is set; set FRAMEKEEP_SHARED_CACHE_URL and "
            "FRAMEKEEP_SHARED_CACHE_KEYS, or prepare the cache of this machine with --to cache"
        )
