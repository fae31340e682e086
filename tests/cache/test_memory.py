from pathlib import Path

from cache.suite import Clock, StoreSuite

from proxy.cache.memory import MemoryStore
from proxy.cache.store import Store


class TestMemoryStore(StoreSuite):
    def make(self, folder: Path, clock: Clock, budget: int) -> Store:
        return MemoryStore(budget, clock=clock)
