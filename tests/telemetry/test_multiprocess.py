"""Metrics that several workers share: totals of all, and what is left of a worker that died."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from metric_samples import sample_value

from proxy.telemetry.metrics import Metrics, MetricsFiles

WORKER = """
import sys
from pathlib import Path
from proxy.telemetry.metrics import Metrics, MetricsFiles

directory, number, lag = sys.argv[1:]
MetricsFiles(Path(directory), int(number)).use()
metrics = Metrics(["images"])
metrics.record_fetched_bytes(10)
metrics.record_request("images", 200, "hit", 5, 0.002)
metrics.render_queue_length["expensive"].set(2)
metrics.render_queue_wait["expensive"].set(float(lag))
metrics.event_loop_lag.set(float(lag))
metrics.flush()
print("flushed", flush=True)
sys.stdin.read()
"""


@contextmanager
def worker(directory: Path, number: int, lag: float = 0.0) -> Iterator[None]:
    """A process that has recorded something, and is killed at the end of the block."""
    arguments = [str(directory), str(number), str(lag)]
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"flushed\n"
        try:
            yield
        finally:
            process.kill()


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """The metrics in the directory."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    return Metrics(["images"])


def test_workers_are_added_up(metrics: Metrics, tmp_path: Path) -> None:
    with worker(tmp_path, 0, lag=0.5), worker(tmp_path, 1, lag=0.1):
        durations = "framekeep_http_request_duration_seconds"
        assert sample_value(metrics, "framekeep_fetched_bytes_total") == 20
        assert sample_value(metrics, f"{durations}_bucket", cache="hit", le="0.0025") == 2
        assert sample_value(metrics, f"{durations}_sum", cache="hit") == pytest.approx(0.004)
        queue = "framekeep_render_queue"
        assert sample_value(metrics, f"{queue}_length", priority="expensive") == 4
        assert sample_value(metrics, f"{queue}_wait_seconds", priority="expensive") == 0.5
        assert sample_value(metrics, "framekeep_event_loop_lag_seconds") == 0.5
        assert sample_value(metrics, "framekeep_workers") == 2


def test_gauges_end_with_their_worker_and_counters_remain(metrics: Metrics, tmp_path: Path) -> None:
    with worker(tmp_path, 0):
        with worker(tmp_path, 1):
            pass
        MetricsFiles(tmp_path, 1).remove_gauges()
        assert sample_value(metrics, "framekeep_fetched_bytes_total") == 20
        assert sample_value(metrics, "framekeep_render_queue_length", priority="expensive") == 2
        assert sample_value(metrics, "framekeep_workers") == 1


def test_a_replacement_continues_the_counters_and_adds_no_files(
    metrics: Metrics, tmp_path: Path
) -> None:
    files = set()
    for count in (1, 2, 3):
        with worker(tmp_path, 0):
            assert sample_value(metrics, "framekeep_fetched_bytes_total") == 10 * count
            assert sample_value(metrics, "framekeep_workers") == 1
            files |= {path.name for path in tmp_path.iterdir()}
        MetricsFiles(tmp_path, 0).remove_gauges()
    kinds = ("counter", "histogram", "gauge_livesum", "gauge_livemax", "gauge_livemin")
    assert files == {f"{kind}_0.db" for kind in kinds}
