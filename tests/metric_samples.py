"""Read single samples of an app's metrics, as a scrape would see them."""

from prometheus_client import CollectorRegistry

from proxy.telemetry.metrics import Metrics


def sample_value(metrics: Metrics, name: str, /, **labels: str) -> float | None:
    """The value of a sample, once everything recorded is flushed; None where there is none."""
    metrics.flush()
    registry = CollectorRegistry()
    registry.register(metrics)
    return registry.get_sample_value(name, labels)
