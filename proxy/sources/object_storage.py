"""Originals in a bucket that the operator named by an alias.

`proxy.sources.net.object_store` opens the bucket.
"""

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from proxy.errors import SourceFailed, SourceNotFound
from proxy.limits import Limits
from proxy.originals import NotModified, Original, OriginalRef, OriginMetadata, Validators
from proxy.sources.cache_headers import override_cache_control, parse_cache_headers
from proxy.sources.download import DownloadBudget
from proxy.sources.net.object_store import check_location, open_bucket
from proxy.sources.net.url import redact_queries
from proxy.sources.options import SourceOptions
from proxy.sources.paths import require_alias, split_path
from proxy.sources.source import SourceContext, fetch_timeout

if TYPE_CHECKING:
    from obstore import GetResult

_CHUNK_BYTES = 256 * 1024


class ObjectStorageSource:
    """Objects below a bucket's prefix. The operator chose the bucket, so no SSRF policy applies."""

    def __init__(
        self,
        location: str,
        limits: Limits,
        *,
        connect_timeout_seconds: float,
        downloads: DownloadBudget | None = None,
        cache_control: str = "",
    ) -> None:
        """``location`` as in `net.object_store`; raises ValueError if it cannot be opened.

        ``cache_control`` is used instead of that of the objects.
        """
        self._cache_control = cache_control
        self._timeout_seconds = limits.fetch_timeout_seconds
        self._downloads = downloads or DownloadBudget(limits.max_source_bytes)
        self._bucket = open_bucket(
            location,
            timeout_seconds=limits.fetch_timeout_seconds,
            connect_timeout_seconds=connect_timeout_seconds,
        )

    @classmethod
    def from_context(cls, context: SourceContext) -> Self:
        check_location(context.location)
        if replace(context.options, cache_control="") != SourceOptions():
            raise ValueError("of alias_options only cache_control is for buckets")
        return cls(
            context.location,
            context.limits,
            connect_timeout_seconds=context.config.connect_timeout_seconds,
            downloads=context.downloads,
            cache_control=context.options.cache_control,
        )

    async def fetch(
        self, ref: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        key = "/".join(split_path(require_alias(ref).path))
        await self._downloads.wait_for_room()
        async with fetch_timeout(self._timeout_seconds):
            return await self._get(key, validators or Validators())

    async def _get(self, key: str, known: Validators) -> Original | NotModified:
        import obstore  # noqa: PLC0415 - an extra
        from obstore import exceptions  # noqa: PLC0415 - an extra

        try:
            result = await obstore.get_async(
                self._bucket, key, options={"if_none_match": known.etag} if known.etag else {}
            )
            return await self._download(result)
        except exceptions.NotModifiedError:
            return NotModified(self._with_caching(OriginMetadata(known)))
        except FileNotFoundError as error:
            raise SourceNotFound("object not found in the bucket", detail=_detail(error)) from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise SourceFailed("bucket denied access", detail=_detail(error)) from error
        except exceptions.BaseError as error:
            raise SourceFailed("bucket could not be read", detail=_detail(error)) from error

    async def _download(self, result: "GetResult") -> Original:
        with self._downloads.start() as download:
            await download.expect(result.meta["size"])
            async for chunk in result.stream(min_chunk_size=_CHUNK_BYTES):
                download.write(chunk)
            if download.size != result.meta["size"]:
                raise SourceFailed(
                    "bucket connection closed in the middle of the object", transient=True
                )
            return download.finish(self._with_caching(_metadata(result)))

    def _with_caching(self, metadata: OriginMetadata) -> OriginMetadata:
        if not self._cache_control:
            return metadata
        return override_cache_control(metadata, self._cache_control)


def _metadata(result: "GetResult") -> OriginMetadata:
    headers = {
        "ETag": result.meta["e_tag"] or "",
        "Last-Modified": format_datetime(result.meta["last_modified"], usegmt=True),
        "Cache-Control": str(result.attributes.get("Cache-Control", "")),
    }
    return parse_cache_headers(lambda name: headers.get(name, ""), datetime.now(UTC))


def _detail(error: Exception) -> str:
    return redact_queries(str(error).partition("\n")[0])
