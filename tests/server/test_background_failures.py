"""Background tasks of a worker that fail for a while: each returns, and says so meanwhile."""

import os
import shutil
from pathlib import Path

import pytest
from metric_samples import sample_value
from render_processes import wait_until

from proxy.cache.check import CacheCheck
from proxy.cache.circuit_breaker import CircuitBreaker
from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.memory_layer import MemoryCacheLayer
from proxy.cache.store import Entry
from proxy.render.pool import RenderPool
from proxy.render.pool_load import PoolLoad
from proxy.runtime.background import BackgroundTasks
from proxy.runtime.components import OK, ComponentStatus, StatusFile
from proxy.server.components import server_components
from proxy.server.runtime_metrics import RuntimeMetrics, report_runtime_metrics
from proxy.telemetry.metrics import Metrics

pytestmark = pytest.mark.anyio


class FailingLoad(PoolLoad):
    """It cannot be read as long as the test says so."""

    failing = True

    @property
    def running(self) -> int:
        if self.failing:
            raise OSError("no file descriptor is left")
        return 3

    @running.setter
    def running(self, number: int) -> None:
        pass


async def test_the_metrics_tick_returns_and_its_failure_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.server.runtime_metrics._INTERVAL_SECONDS", 0.001)
    metrics, pool = Metrics(["images"]), RenderPool(tmp_path)
    pool.load = load = FailingLoad()
    cache = MemoryCacheLayer(DiskStore(CacheConfig(dir=str(tmp_path / "cache"))), 0)
    background = BackgroundTasks(min_backoff_seconds=0.001)
    async with report_runtime_metrics(metrics, pool, background, {}, cache):
        await wait_until(lambda: background.failures["runtime_metrics"])
        load.failing = False
        await wait_until(lambda: sample_value(metrics, "framekeep_renders_in_progress") == 3)
        await wait_until(lambda: not background.failing)
    await cache.close()
    name = "framekeep_background_task_failures_total"
    assert sample_value(metrics, name, task="runtime_metrics")


def test_a_component_that_does_not_work_is_a_metric(tmp_path: Path) -> None:
    metrics = Metrics(["images"])
    runtime = RuntimeMetrics(
        metrics, RenderPool(tmp_path), BackgroundTasks(), server_components(tmp_path)
    )
    StatusFile(tmp_path, "render_processes").write(ComponentStatus("down", "none"))
    for status, value in ((ComponentStatus("down", "none"), 0), (OK, 1)):
        StatusFile(tmp_path, "render_processes").write(status)
        runtime.report()
        name = "framekeep_component_up"
        assert sample_value(metrics, name, component="render_processes") == value
        assert sample_value(metrics, name, component="workers") == 1


def test_calls_that_a_circuit_breaker_skips_are_a_metric(tmp_path: Path) -> None:
    metrics, disk = Metrics(["images"]), CircuitBreaker("disk", 60)
    runtime = RuntimeMetrics(
        metrics,
        RenderPool(tmp_path),
        BackgroundTasks(),
        breakers=(disk, CircuitBreaker("bucket_reads", 1)),
    )
    disk.open("no answer")
    for skipped in (1, 2):
        assert not disk.allows()
        runtime.report()
        assert sample_value(metrics, "framekeep_cache_skipped_total", store="disk") == skipped
    assert sample_value(metrics, "framekeep_cache_skipped_total", store="bucket_reads") == 0
    name = "framekeep_circuit_breaker_state"
    for store, state, workers in (
        ("disk", "open", 1),
        ("disk", "closed", 0),
        ("bucket_reads", "closed", 1),
        ("bucket_writes", "open", 0),
    ):
        assert sample_value(metrics, name, store=store, state=state) == workers


async def test_a_cache_folder_that_is_off_is_degraded_until_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    config = CacheConfig(dir=str(folder), disk_backoff_seconds=0.001)
    cache = MemoryCacheLayer(DiskStore(config), 0)
    check = CacheCheck(cache)
    (look,) = check.components.values()
    await check.check()
    assert look() == OK
    await cache.put("rendition", "a", Entry(b"body"))

    shutil.rmtree(folder)
    folder.write_bytes(b"a file in place of the folder")
    await check.check()
    assert look().state == "degraded"
    assert "cache is off" in look().detail
    assert os.fspath(folder) in look().detail

    folder.unlink()
    while look() != OK:
        await check.check()
    await cache.close()
