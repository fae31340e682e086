"""The bucket of the shared cache; errors of its library end here, as BucketError."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from proxy.sources.net.object_store import open_bucket

if TYPE_CHECKING:
    from obstore.store import ObjectStore

MAX_OBJECT_BYTES = 64 * 1024 * 1024

_CONNECT_TIMEOUT_SECONDS = 2.0


class StoredObject(NamedTuple):
    """``written_at`` is by the clock of the bucket, in Unix seconds."""

    data: bytes
    written_at: float


class BucketError(Exception):
    """The bucket could not be read or written."""


class ObjectBucket(Protocol):
    """What the shared cache asks of a bucket. All methods raise BucketError."""

    async def get(self, name: str) -> StoredObject | None: ...

    async def put(self, name: str, data: bytes) -> None: ...

    async def delete(self, names: Sequence[str]) -> None: ...

    async def list(self, folder: str) -> dict[str, float]: ...


class Bucket:
    """S3, Google Cloud Storage or Azure Blob Storage; errors of the library become BucketError."""

    def __init__(self, url: str, *, timeout_seconds: float) -> None:
        """Raise ValueError if it cannot be opened."""
        self._store: ObjectStore = open_bucket(
            url,
            timeout_seconds=timeout_seconds,
            connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS,
        )

    async def get(self, name: str) -> StoredObject | None:
        """Return the object; None if there is none, or if it is larger than ours ever are."""
        import obstore  # noqa: PLC0415 - an extra

        try:
            found = await obstore.get_async(self._store, name)
            if found.meta["size"] > MAX_OBJECT_BYTES:
                return None
            written_at = found.meta["last_modified"].timestamp()
            return StoredObject(bytes(await found.bytes_async()), written_at)
        except FileNotFoundError:
            return None
        except obstore.exceptions.BaseError as error:
            raise _bucket_error(error) from error

    async def put(self, name: str, data: bytes) -> None:
        import obstore  # noqa: PLC0415 - an extra

        try:
            await obstore.put_async(self._store, name, data)
        except (OSError, obstore.exceptions.BaseError) as error:
            raise _bucket_error(error) from error

    async def delete(self, names: Sequence[str]) -> None:
        import obstore  # noqa: PLC0415 - an extra

        try:
            await obstore.delete_async(self._store, names)
        except (OSError, obstore.exceptions.BaseError) as error:
            raise _bucket_error(error) from error

    async def list(self, folder: str) -> dict[str, float]:
        """Return the names in the folder, each with its time of writing by the bucket's clock.

        Names come in pages of about a thousand.
        """
        import obstore  # noqa: PLC0415 - an extra

        found: dict[str, float] = {}
        try:
            pages: Any = obstore.list(self._store, folder)
            async for page in pages:
                found |= {one["path"]: one["last_modified"].timestamp() for one in page}
        except (OSError, obstore.exceptions.BaseError) as error:
            raise _bucket_error(error) from error
        return found


def _bucket_error(error: Exception) -> BucketError:
    return BucketError(str(error).partition("\n")[0])
