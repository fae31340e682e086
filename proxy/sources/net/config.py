"""The settings of the HTTP client."""

from typing import Annotated

from msgspec import Meta, Struct

from proxy.limits import Seconds


class HttpClientConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Timeouts and connection limits of outgoing HTTP requests."""

    user_agent: Annotated[
        str,
        Meta(
            pattern=r"^[\x21-\x7e][\x20-\x7e]{0,254}$",
            title="1 to 255 printable ASCII characters",
            description="`User-Agent` of requests to sources.",
        ),
    ] = "Framekeep"

    connect_timeout_seconds: Annotated[
        Seconds,
        Meta(
            description=(
                "Time in seconds to connect to a source, TLS handshake included. After it the "
                "attempt fails."
            )
        ),
    ] = 3.0

    read_timeout_seconds: Annotated[
        Seconds,
        Meta(
            description=(
                "Time in seconds to wait for the response of a source, or for more of its "
                "body. After it the attempt fails."
            )
        ),
    ] = 5.0

    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=65_535,
            description=(
                "Connections that one worker opens at the same time, to all hosts together. More "
                "requests wait."
            ),
        ),
    ] = 128

    max_connections_per_host: Annotated[
        int,
        Meta(
            ge=1,
            le=65_535,
            description=(
                "Connections that one worker opens at the same time to one host, on all its ports "
                "together. More requests wait."
            ),
        ),
    ] = 16

    max_connections_per_address: Annotated[
        int,
        Meta(
            ge=1,
            le=65_535,
            description=(
                "Connections that one worker opens at the same time to one IP address, or to one "
                "/64 network of IPv6, whatever the hosts are. More requests wait."
            ),
        ),
    ] = 64

    min_bytes_per_second: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description=(
                "Lowest rate in bytes per second at which a source may send a body, on average "
                "over each read timeout. A slower one fails. 0 allows any."
            ),
        ),
    ] = 1024
