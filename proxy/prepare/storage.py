"""Files in a folder or in a bucket, by name."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from proxy.errors import ConfigError, StoreUnavailable
from proxy.prepare.listing import BUCKET_SCHEMES
from proxy.sources.net.object_store import check_location, open_bucket

T = TypeVar("T")

KEY_ATTRIBUTE = "framekeep-etag"
"""Metadata of an object in a bucket: the ETag of what it was made of."""

_TIMEOUT_SECONDS = 60.0
_CONNECT_TIMEOUT_SECONDS = 5.0
_MAX_TRIES = 7
_MAX_PAUSE_SECONDS = 60.0


class FileHeaders(NamedTuple):
    """What a bucket sends with a file; a folder has no place for it."""

    content_type: str
    cache_control: str = ""
    etag: str = ""


class Storage(Protocol):
    """Raises StoreUnavailable where the place cannot be read or written."""

    async def read(self, name: str) -> bytes | None: ...

    async def write(self, name: str, body: bytes | Path, headers: FileHeaders) -> None:
        """Write the whole file, or leave the old one. One that is the same is left, too."""
        ...

    def names(self, folder: str) -> AsyncIterator[str]:
        """Yield the names of the files in a folder, without it."""
        ...


def open_storage(location: str, option: str) -> Storage:
    """A folder, which is made, or the URL of a bucket. Raises ConfigError, naming the option."""
    if location.startswith(BUCKET_SCHEMES):
        try:
            check_location(location)
            return BucketStorage(location)
        except ValueError as error:
            raise ConfigError(f"{option} {location}: {error}") from error
    if "://" in location:
        raise ConfigError(
            f"{option} {location}: must be a folder or a bucket, such as s3://bucket/prefix"
        )
    return FolderStorage(Path(location))


class FolderStorage:
    def __init__(self, root: Path) -> None:
        self._root = root

    async def read(self, name: str) -> bytes | None:
        try:
            return await asyncio.to_thread((self._root / name).read_bytes)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unavailable(str(self._root / name), error) from error

    async def write(self, name: str, body: bytes | Path, headers: FileHeaders) -> None:
        try:
            await asyncio.to_thread(self._write, self._root / name, body)
        except OSError as error:
            raise _unavailable(str(self._root / name), error) from error

    async def names(self, folder: str) -> AsyncIterator[str]:
        try:
            with os.scandir(self._root / folder) as entries:
                for entry in entries:
                    yield entry.name
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unavailable(str(self._root / folder), error) from error

    @staticmethod
    def _write(path: Path, body: bytes | Path) -> None:
        if isinstance(body, Path):
            body = body.read_bytes()
        with contextlib.suppress(OSError):
            if path.stat().st_size == len(body) and path.read_bytes() == body:
                return
        path.parent.mkdir(parents=True, exist_ok=True)
        # Another process may write the same name; a reader sees one whole file or the other.
        temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}")
        try:
            temporary.write_bytes(body)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


class BucketStorage:
    def __init__(self, location: str) -> None:
        """Raises ValueError."""
        self._location = location.partition("?")[0]
        self._bucket = open_bucket(
            location,
            timeout_seconds=_TIMEOUT_SECONDS,
            connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS,
        )

    async def read(self, name: str) -> bytes | None:
        import obstore  # noqa: PLC0415 - an extra

        async def read() -> bytes | None:
            try:
                found = await obstore.get_async(self._bucket, name)
                return bytes(await found.bytes_async())
            except FileNotFoundError:
                return None

        return await self._retry(read, name)

    async def write(self, name: str, body: bytes | Path, headers: FileHeaders) -> None:
        import obstore  # noqa: PLC0415 - an extra

        attributes: Any = {"Content-Type": headers.content_type}
        if headers.cache_control:
            attributes["Cache-Control"] = headers.cache_control
        if headers.etag:
            attributes[KEY_ATTRIBUTE] = headers.etag

        async def write() -> None:
            if headers.etag and await self._etag(name) == headers.etag:
                return
            await obstore.put_async(self._bucket, name, body, attributes=attributes)

        await self._retry(write, name)

    async def names(self, folder: str) -> AsyncIterator[str]:
        import obstore  # noqa: PLC0415 - an extra

        try:
            pages: Any = obstore.list(self._bucket, folder)
            async for page in pages:
                for one in page:
                    yield one["path"].removeprefix(f"{folder}/")
        except (OSError, obstore.exceptions.BaseError) as error:
            raise _unavailable(f"{self._location}/{folder}", error) from error

    async def _etag(self, name: str) -> str:
        """That of the object in the bucket; empty where there is none."""
        import obstore  # noqa: PLC0415 - an extra

        try:
            found = await obstore.get_async(self._bucket, name, options={"head": True})
        except FileNotFoundError:
            return ""
        attributes: Mapping[Any, str] = found.attributes
        return attributes.get(KEY_ATTRIBUTE, "")

    async def _retry(self, call: Callable[[], Awaitable[T]], name: str) -> T:
        """What the call returns. Tries for some minutes where the bucket does not answer."""
        import obstore  # noqa: PLC0415 - an extra

        pause = 1.0
        for attempt in range(_MAX_TRIES):
            try:
                return await call()
            except (OSError, obstore.exceptions.BaseError) as error:
                if attempt == _MAX_TRIES - 1:
                    raise _unavailable(f"{self._location}/{name}", error) from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, _MAX_PAUSE_SECONDS)
        raise AssertionError


def _unavailable(place: str, error: Exception) -> StoreUnavailable:
    reason = str(error).partition("\n")[0]
    return StoreUnavailable(f"{place} could not be read or written", detail=reason)
