"""What an engine gets, and what it gives back."""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

from proxy.config import Settings
from proxy.prepare.job import Job
from proxy.prepare.renderer import OnRows
from proxy.prepare.report import PreparedRendition
from proxy.prepare.shards import Shard

SaveReport = Callable[[Shard, Sequence[PreparedRendition]], Awaitable[None]]


class ShardWork(NamedTuple):
    """A shard, and the rows that an earlier run has of it."""

    shard: Shard
    known: Sequence[PreparedRendition] = ()


NextWork = Callable[[], Awaitable[ShardWork | None]]
"""Returns the next shard that is not done; None at the end."""


class Engine(Protocol):
    async def run(
        self,
        job: Job,
        settings: Settings,
        next_work: NextWork,
        save: SaveReport,
        on_rows: OnRows,
    ) -> None:
        """Prepare all shards; save the report of each as soon as it is done.

        ``on_rows`` is called once for every new row. Raises ConfigError, or StoreUnavailable where
        a report cannot be saved.
        """
        ...
