"""The settings of logs and traces."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class LogConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Log lines on standard error."""

    format: Annotated[
        Literal["json", "text"],
        Meta(
            description=(
                "`json`: one object for each line. `text`: a short line for people, as in "
                "development; that of a request has its URL, so with the signature. Whoever "
                "reads it can use the link."
            )
        ),
    ] = "json"

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Lowest level of log lines that are written."),
    ] = "info"

    access: Annotated[
        Literal["all", "misses", "errors", "none"],
        Meta(
            description=(
                "Requests that are written to the access log: all of them, those that were not "
                "answered from the cache, those that failed, or none."
            )
        ),
    ] = "misses"


class TracingConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the time of each request went."""

    otel: Annotated[
        bool,
        Meta(
            description=(
                "Send a span for each request to an OpenTelemetry collector. It needs the extra "
                "`otel`; the address of the collector is `OTEL_EXPORTER_OTLP_ENDPOINT`."
            )
        ),
    ] = False

    server_timing: Annotated[
        bool,
        Meta(
            description=(
                "Send the duration of each stage as `Server-Timing` in every response. When false, "
                "only links with the option `debug` get it. For development."
            )
        ),
    ] = False
