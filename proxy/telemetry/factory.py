"""Open what sends traces; its library is an extra."""

from importlib import import_module

from proxy.errors import ConfigError
from proxy.telemetry.config import TracingConfig
from proxy.telemetry.request_context import Tracing


def open_tracing(settings: TracingConfig) -> Tracing | None:
    """Where traces go, if anywhere. Raises ConfigError where that is not installed."""
    if not settings.otel:
        return None
    try:
        traces = import_module("proxy.telemetry.tracing")
    except ImportError as error:
        raise ConfigError(
            "FRAMEKEEP_TRACING_OTEL: OpenTelemetry is missing; pip install 'framekeep[otel]'"
        ) from error
    opened: Tracing = traces.OpenTelemetryTracing()
    return opened
