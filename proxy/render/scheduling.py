"""Choose which priority a render process serves next.

Cheap tasks never wait behind expensive ones, and neither kind starves the other.
"""

from collections.abc import Sequence
from typing import Literal, get_args

Priority = Literal["interactive", "expensive", "background"]
"""``interactive``: a caller waits for a cheap task. ``expensive``: a caller waits for a long task.
``background``: nobody waits."""

PRIORITIES: tuple[Priority, ...] = get_args(Priority)

_HALF_LIFE_SECONDS = 10.0
"""Seconds of work after which the time that was charged before counts half."""


def priorities_for_slot(slot: int, process_count: int) -> Sequence[Priority]:
    """Of several render processes, the first serves interactive tasks only, the others all."""
    return PRIORITIES if slot > 0 or process_count == 1 else ("interactive",)


class FairScheduler:
    """Prefers the priority that was charged the least time lately.

    Background tasks go last however little they were charged, because nobody waits for them.
    """

    def __init__(self, priorities: Sequence[Priority]) -> None:
        self.priorities = priorities
        self._charged = dict.fromkeys(priorities, 0.0)

    def next_order(self) -> Sequence[Priority]:
        """All priorities, the one to serve first in front."""
        return sorted(
            self.priorities,
            key=lambda priority: (priority == "background", self._charged[priority]),
        )

    def charge(self, priority: Priority, seconds: float) -> None:
        decay = 0.5 ** (seconds / _HALF_LIFE_SECONDS)
        for other in self.priorities:
            self._charged[other] *= decay
        self._charged[priority] += seconds
