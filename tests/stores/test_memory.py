from pathlib import Path

from stores.suite import Clock, StoreSuite

from proxy.stores import Store
from proxy.stores.memory import MemoryStore


class TestMemoryStore(StoreSuite):
    def make(self, folder: Path, clock: Clock, budget: int) -> Store:
        return MemoryStore(budget, clock=clock)
