"""What was measured, by scenario and server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from image_checks import WrongImage
from load_generator import LoadResult, WrongResponse
from statistics_table import median, percentile

FLOOR = "libvips-floor"


@dataclass
class Measurements:
    """The measurements of one scenario on one server, one value a round.

    ``cpu`` is milliseconds a request. By the number of connections: ``rates`` are requests a
    second, ``latencies`` milliseconds (p50, p99). Memory is bytes. ``error`` describes a wrong
    response.
    """

    cpu: list[float] = field(default_factory=list)
    rates: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    latencies: dict[int, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    bytes: int = 0
    ssim: float | None = None
    peak_memory: int = 0
    memory_after: int = 0
    error: str = ""

    def add(
        self, result: LoadResult, connections: int, cpu_seconds: float | None, *, per: int = 1
    ) -> None:
        """Add a run; ``per`` responses count as one."""
        seconds = result.all
        if cpu_seconds is not None:
            self.cpu.append(1000 * cpu_seconds * per / len(seconds))
        self.rates[connections].append(len(seconds) / per / result.wall_seconds)
        latency = (1000 * percentile(seconds, 0.5), 1000 * percentile(seconds, 0.99))
        self.latencies[connections].append(latency)

    def rate(self, connections: int) -> float:
        return median(self.rates[connections])

    def latency(self, connections: int) -> tuple[float, float]:
        return (
            median([p50 for p50, _ in self.latencies[connections]]),
            median([p99 for _, p99 in self.latencies[connections]]),
        )

    @contextmanager
    def noting_errors(self) -> Iterator[None]:
        """A wrong response, or none, ends the block and becomes ``error``."""
        try:
            yield
        except (WrongResponse, WrongImage, OSError) as error:
            self.error = str(error) or type(error).__name__


class Results:
    """Measurements in the order in which they were first asked for."""

    def __init__(self) -> None:
        self.by_key: dict[tuple[str, str], Measurements] = {}

    def of(self, scenario: str, server: str) -> Measurements:
        return self.by_key.setdefault((scenario, server), Measurements())

    def by_scenario(self) -> Iterator[tuple[str, str, Measurements]]:
        """Scenario, server and measurements; all servers of a scenario in a row."""
        for scenario in dict.fromkeys(name for name, _ in self.by_key):
            for (name, server), measured in self.by_key.items():
                if name == scenario:
                    yield scenario, server, measured

    def cpu(self, scenario: str, server: str) -> float | None:
        """CPU milliseconds a request, the median of all rounds."""
        values = self.of(scenario, server).cpu
        return median(values) if values else None

    def ratio_to_floor(self, scenario: str, server: str) -> float | None:
        """CPU of the server by that of the floor: the median of the ratio of each round."""
        floor = self.by_key.get((scenario, FLOOR))
        if floor is None or server == FLOOR:
            return None
        pairs = zip(self.of(scenario, server).cpu, floor.cpu, strict=False)
        ratios = [cpu / floor_cpu for cpu, floor_cpu in pairs]
        return median(ratios) if ratios else None
