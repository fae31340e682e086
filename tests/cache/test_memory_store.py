from pathlib import Path

from cache.suite import Clock, StatsSuite, TagListingSuite
from memory_store import MemoryStore

from proxy.cache.store import Store


class TestMemoryStore(TagListingSuite, StatsSuite):
    def make(self, folder: Path, clock: Clock, budget: int) -> Store:
        return MemoryStore(budget, clock=clock)
