"""A bucket in memory for tests, whose answers a test can delay or make fail."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from proxy.cache.bucket import BucketError, StoredObject


class MemoryBucket:
    """Counts the calls and the reads of each kind of object.

    ``before`` is awaited before each call of a method; it may wait, or raise BucketError.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.reads: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str, str], Awaitable[None]] | None = None

    async def _call(self, method: str, name: str) -> None:
        self.calls[method] += 1
        if self.before is not None:
            await self.before(method, name)

    async def get(self, name: str) -> StoredObject | None:
        self.reads[name.split("/")[1]] += 1
        await self._call("get", name)
        return StoredObject(self.objects[name], 1e9) if name in self.objects else None

    async def put(self, name: str, data: bytes) -> None:
        await self._call("put", name)
        self.objects[name] = data

    async def delete(self, names: Iterable[str]) -> None:
        for name in names:
            await self._call("delete", name)
            self.objects.pop(name, None)

    async def list(self, folder: str) -> dict[str, float]:
        await self._call("list", folder)
        return {name: 1e9 for name in self.objects if name.startswith(f"{folder}/")}


async def refuse(method: str, name: str) -> None:
    raise BucketError(f"{method} {name}: refused")
