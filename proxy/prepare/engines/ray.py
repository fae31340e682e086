"""A Ray cluster: each shard is a task, which another worker takes over where one is lost.

Workers take their settings from their own environment: no key travels through Ray. The driver
saves the reports, so workers share nothing but the bucket.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from proxy.config import Settings, load
from proxy.errors import ConfigError
from proxy.prepare.engines.engine import NextWork, SaveReport, ShardWork
from proxy.prepare.job import Job, JobLinks
from proxy.prepare.renderer import OnRows, ShardRenderer, failed_rows
from proxy.prepare.report import PreparedRendition
from proxy.prepare.shards import Shard
from proxy.runtime.event_loop import new_event_loop

MAX_RETRIES = 3
"""How often a shard starts again whose worker is lost. A picture that ends its render process costs
no worker; a shard that costs four has failed."""

_MIN_PENDING = 64
_PENDING_PER_CORE = 4
"""Shards that wait in the cluster: an autoscaler adds machines for them."""

_WAIT_SECONDS = 1.0


_renderers: dict[tuple[bytes, str], "_WorkerRenderer"] = {}
"""That of the job that this process, a worker, works for."""


class RayEngine:
    def __init__(self, address: str = "") -> None:
        """``address`` of the cluster; without one Ray uses ``RAY_ADDRESS``, or starts one here."""
        self._address = address

    async def run(
        self,
        job: Job,
        settings: Settings,
        next_work: NextWork,
        save: SaveReport,
        on_rows: OnRows,
    ) -> None:
        ray = _import_ray()
        links = JobLinks.from_settings(job, settings)
        work = await next_work()
        if work is None:
            return
        # Without an address Ray would take any cluster that it finds on this machine.
        address = self._address or os.environ.get("RAY_ADDRESS") or "local"
        try:
            ray.init(address=address, log_to_driver=False, logging_level="warning")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(f"--engine ray: {error}") from error
        task = ray.remote(num_cpus=1, max_retries=MAX_RETRIES)(prepare_shard)
        encoded, fingerprint = msgspec.json.encode(job), links.fingerprint(settings)
        pending: dict[Any, ShardWork] = {}
        try:
            while work is not None or pending:
                while work is not None and len(pending) < _max_pending(ray):
                    shard, known = map(msgspec.json.encode, work)
                    pending[task.remote(encoded, fingerprint, shard, known)] = work
                    work = await next_work()
                done, _ = await asyncio.to_thread(
                    ray.wait, list(pending), num_returns=1, timeout=_WAIT_SECONDS
                )
                for reference in done:
                    ended = pending.pop(reference)
                    rows = await asyncio.to_thread(_result, ray, reference, ended, links)
                    await save(ended.shard, rows)
                    before = {row for row in ended.known if row.state != "failed"}
                    on_rows([row for row in rows if row not in before])
        finally:
            await asyncio.to_thread(ray.shutdown)


def prepare_shard(job: bytes, fingerprint: str, shard: bytes, known: bytes) -> bytes:
    """Prepare a shard in a worker; what it opened stays open for the next one."""
    if (job, fingerprint) not in _renderers:
        close_renderers()
        _renderers[job, fingerprint] = _WorkerRenderer(job, fingerprint)
    rows = _renderers[job, fingerprint].run(
        msgspec.json.decode(shard, type=Shard),
        msgspec.json.decode(known, type=list[PreparedRendition]),
    )
    return msgspec.json.encode(rows)


@atexit.register
def close_renderers() -> None:
    """Close what `prepare_shard` has left open in this process."""
    while _renderers:
        _renderers.popitem()[1].close()


class _WorkerRenderer:
    """A renderer with an event loop of its own, in a thread of the worker's process."""

    def __init__(self, job: bytes, fingerprint: str) -> None:
        """Raises ConfigError."""
        node = os.uname().nodename
        try:
            settings = load(os.environ).settings
            decoded = msgspec.json.decode(job, type=Job)
            own = JobLinks.from_settings(decoded, settings).fingerprint(settings)
        except ConfigError as error:
            raise ConfigError(f"worker on {node}: {error}") from error
        if own != fingerprint:
            raise ConfigError(
                f"worker on {node}: its settings are not those of the command: presets, links, "
                "models or version differ"
            )
        render = msgspec.structs.replace(settings.render, processes=1)
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="prepare")
        self._thread.start()
        self._stack = AsyncExitStack()
        opening = ShardRenderer.open(decoded, msgspec.structs.replace(settings, render=render))
        self._renderer = self._wait(self._stack.enter_async_context(opening))

    def run(self, shard: Shard, known: list[PreparedRendition]) -> list[PreparedRendition]:
        rows: list[PreparedRendition] = self._wait(self._renderer.run(shard, known))
        return rows

    def close(self) -> None:
        self._wait(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _result(ray: Any, reference: Any, work: ShardWork, links: JobLinks) -> list[PreparedRendition]:
    """The rows of a shard that has ended. Raises ConfigError where no shard can succeed."""
    shard, known = work
    try:
        encoded: bytes = ray.get(reference)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, ConfigError):
            raise cause from error
        reason = str(error).strip().splitlines()[-1][:500]
        return failed_rows(shard, links, "worker-lost", reason, known)
    return msgspec.json.decode(encoded, type=list[PreparedRendition])


def _max_pending(ray: Any) -> int:
    cores: Callable[[str, float], float] = ray.cluster_resources().get
    return max(_MIN_PENDING, int(cores("CPU", 1.0)) * _PENDING_PER_CORE)


def _import_ray() -> Any:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError("--engine ray needs an extra: pip install 'framekeep[ray]'") from error
    return ray
