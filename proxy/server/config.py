"""The settings of the HTTP server."""

import re
from typing import Annotated

from msgspec import Meta, Struct

from proxy.runtime.cores import available_cores

MAX_WORKERS = 64

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@,*A-Z]+")
_DEFAULT_PORT = re.compile(r"http://.*:80|https://.*:443")
_PATH_PREFIX = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9._~-]*)*")


def workers_for(cores: int, workers: int = 0) -> int:
    """How many HTTP workers a machine has, where so many are set; 0: one for each two cores.

    A miss takes two to four times as much CPU time in its render process as in its worker
    (`bench/run --scenario avatar`), so that many never keep a core waiting.
    """
    return workers or min(MAX_WORKERS, -(-cores // 2))


class ServerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Address, worker processes and timeouts of the HTTP server."""

    host: Annotated[
        str,
        Meta(
            description=(
                "Address to listen on. `0.0.0.0` means all IPv4 addresses of this machine."
            )
        ),
    ] = "127.0.0.1"

    port: Annotated[
        int, Meta(ge=0, le=65_535, description="TCP port to listen on. 0 picks a free port.")
    ] = 8080

    path_prefix: Annotated[
        str,
        Meta(
            max_length=200,
            description=(
                "Path below which everything is served, such as `/img`: links, APIs, documentation "
                "and metrics. Health checks are answered at the root too. A link is signed without "
                "the prefix."
            ),
        ),
    ] = ""

    allow_origins: Annotated[
        tuple[str, ...],
        Meta(
            description=(
                "Origins of the web pages that may read answers with JavaScript (CORS), such as "
                "`https://www.example.com`. `*` allows all pages. Pages may embed images without "
                "it."
            )
        ),
    ] = ()

    workers: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_WORKERS,
            description=(
                "Number of HTTP worker processes. They share the cache and the render processes of "
                "the machine. 0 means one for each two CPU cores."
            ),
        ),
    ] = 0

    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description=(
                "Connections that one worker keeps open at the same time. Above it, those that "
                "wait for a request are closed, the longest wait first; while all are busy, new "
                "requests are answered with 503, but health checks are not. A worker keeps fewer "
                "where its limit of file descriptors (`ulimit -n`, `LimitNOFILE=`) leaves less "
                "than 512 for everything else."
            ),
        ),
    ] = 4096

    read_timeout_seconds: Annotated[
        float,
        Meta(
            ge=1,
            le=300,
            description=(
                "Time in seconds to receive the head of a request. In each such period a body "
                "must bring what `FRAMEKEEP_SERVER_MIN_BODY_BYTES_PER_SECOND` demands. After it "
                "the answer is 408 and the connection is closed."
            ),
        ),
    ] = 15.0

    min_body_bytes_per_second: Annotated[
        int,
        Meta(
            ge=0,
            le=2**30,
            description=(
                "Rate in bytes per second at which a client must send the body of a request, "
                "measured over each `FRAMEKEEP_SERVER_READ_TIMEOUT_SECONDS`. A slower one is "
                "answered with 408."
            ),
        ),
    ] = 16_384

    write_timeout_seconds: Annotated[
        float,
        Meta(
            ge=1,
            le=300,
            description=(
                "Time in seconds for the client to take each 64 KiB of a response. After it "
                "the connection is closed."
            ),
        ),
    ] = 30.0

    keep_alive_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=3600,
            description=(
                "Time in seconds that an idle connection stays open. Set it longer than the "
                "keep-alive time of the proxy in front, so that the proxy closes first."
            ),
        ),
    ] = 75

    drain_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=300,
            description=(
                "After SIGTERM, time in seconds in which new requests are still accepted while "
                "`/health/ready` already answers 503, so that a load balancer can stop "
                "sending."
            ),
        ),
    ] = 3.0

    shutdown_timeout_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=300,
            description=(
                "After the drain time, time in seconds for running requests to finish. What "
                "still runs then is cancelled."
            ),
        ),
    ] = 20

    worker_timeout_seconds: Annotated[
        float,
        Meta(
            ge=2,
            le=600,
            description=(
                "A worker whose event loop is blocked for longer than this, in seconds, is "
                "killed and replaced."
            ),
        ),
    ] = 20.0

    def __post_init__(self) -> None:
        if not _PATH_PREFIX.fullmatch(self.path_prefix):
            raise ValueError(
                f"path_prefix: invalid path {self.path_prefix!r}: write it with a slash in front "
                "and none at the end, such as /img"
            )
        for origin in self.allow_origins:
            if origin != "*" and (not _ORIGIN.fullmatch(origin) or _DEFAULT_PORT.fullmatch(origin)):
                raise ValueError(
                    f"allow_origins: invalid origin {origin!r}: write it as browsers send it, in "
                    "lower case with scheme and host, a port only if it is not the scheme's own, "
                    "and no path, such as https://www.example.com"
                )
        if "*" in self.allow_origins and len(self.allow_origins) > 1:
            raise ValueError("allow_origins: * means all origins, so it must be alone")

    @property
    def worker_count(self) -> int:
        """How many HTTP workers that makes."""
        return workers_for(available_cores(), self.workers)
