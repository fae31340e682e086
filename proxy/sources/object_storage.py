"""Originals in a bucket that the operator named: `NAME:path`."""

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from proxy.errors import InvalidSource, SourceFailed, SourceNotFound, SourceTimedOut
from proxy.limits import Limits
from proxy.originals import (
    NotModified,
    Original,
    OriginalRef,
    OriginMetadata,
    SourceRef,
    Validators,
)
from proxy.sources.cache_headers import parse_cache_headers
from proxy.sources.download import DownloadBudget
from proxy.sources.net.object_store import open_bucket
from proxy.sources.net.url import redact_queries
from proxy.sources.paths import split_path

if TYPE_CHECKING:
    from obstore import GetResult

_CHUNK = 256 * 1024


class ObjectStorageSource:
    """Objects below a bucket's prefix. The bucket is the operator's, so no address is checked."""

    def __init__(
        self,
        place: str,
        limits: Limits,
        *,
        connect_seconds: float,
        arrivals: DownloadBudget | None = None,
    ) -> None:
        """``place`` as in `buckets`; raises ValueError where it cannot be opened."""
        self._limits = limits
        self._arrivals = arrivals or DownloadBudget(limits.max_source_bytes)
        self._bucket = open_bucket(
            place, seconds=limits.fetch_timeout_seconds, connect_seconds=connect_seconds
        )

    async def fetch(
        self, reference: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        if not isinstance(reference, SourceRef) or reference.headers:
            raise InvalidSource("an object in a bucket takes no body and no headers")
        key = "/".join(split_path(reference.text.partition(":")[2]))
        seconds = self._limits.fetch_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await self._get(key, validators or Validators())
        except TimeoutError as error:
            raise SourceTimedOut(f"the source took longer than {seconds:g} seconds") from error

    async def _get(self, key: str, known: Validators) -> Original | NotModified:
        import obstore  # noqa: PLC0415 - an extra
        from obstore import exceptions  # noqa: PLC0415 - an extra

        try:
            result = await obstore.get_async(
                self._bucket, key, options={"if_none_match": known.etag} if known.etag else {}
            )
            return await self._take(result)
        except exceptions.NotModifiedError:
            return NotModified(OriginMetadata(known))
        except FileNotFoundError as error:
            raise SourceNotFound("there is no such object", detail=_detail(error)) from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise SourceFailed(
                "the bucket does not let us read it", detail=_detail(error)
            ) from error
        except exceptions.BaseError as error:
            raise SourceFailed("the bucket could not be read", detail=_detail(error)) from error

    async def _take(self, result: "GetResult") -> Original:
        with self._arrivals.start() as arrival:
            arrival.check_size(result.meta["size"])
            async for chunk in result.stream(min_chunk_size=_CHUNK):
                arrival.write(chunk)
            if arrival.size != result.meta["size"]:
                raise SourceFailed(
                    "the bucket broke off in the middle of its answer", transient=True
                )
            return arrival.finish(_facts(result))


def _facts(result: "GetResult") -> OriginMetadata:
    said = {
        "ETag": result.meta["e_tag"] or "",
        "Last-Modified": format_datetime(result.meta["last_modified"], usegmt=True),
        "Cache-Control": str(result.attributes.get("Cache-Control", "")),
    }
    return parse_cache_headers(lambda name: said.get(name, ""), datetime.now(UTC))


def _detail(error: Exception) -> str:
    return redact_queries(str(error).partition("\n")[0])
