"""Metrics of a whole server: whichever worker is scraped, and whichever dies."""

import os
import signal
from pathlib import Path
from tempfile import mkdtemp

import pytest
from dev_server import DevServer, dev_server
from prometheus_client.parser import text_string_to_metric_families
from render_processes import http_workers, wait_exited

pytestmark = pytest.mark.anyio

REQUESTS = "framekeep_http_requests_total"


async def total(server: DevServer, name: str) -> float:
    """The sum of a metric over all its labels."""
    # On a connection of its own: any of the workers responds.
    response = await server.get("/metrics", connection="close")
    families = text_string_to_metric_families(response.text)
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples)


async def wait_for(server: DevServer, name: str, value: float) -> None:
    while await total(server, name) != value:
        pass


async def test_counters_outlive_a_killed_worker_and_gauges_do_not(tmp_path: Path) -> None:
    temporary = Path(mkdtemp(prefix="metrics-"))  # a short name: it holds sockets
    environment = {"TMPDIR": str(temporary)}
    async with dev_server(tmp_path / "cache", "--workers", "2", environment=environment) as server:
        await wait_for(server, "framekeep_workers", 2)
        for _ in range(5):
            await server.get("/_/nothing", connection="close")
        await wait_for(server, REQUESTS, 5)

        killed, _ = http_workers(server.process.pid)
        os.kill(killed, signal.SIGKILL)
        await wait_exited(killed)

        await wait_for(server, "framekeep_workers", 2)
        assert await total(server, REQUESTS) == 5
        await server.get("/_/nothing", connection="close")
        await wait_for(server, REQUESTS, 6)
        (directory,) = temporary.glob("framekeep-run-*/metrics")
        counters = {path.name for path in directory.glob("counter_*")}
        assert counters == {"counter_0.db", "counter_1.db"}
    assert not list(temporary.iterdir())
    temporary.rmdir()
