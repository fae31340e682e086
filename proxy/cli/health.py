"""Ask the server on this machine whether it is ready; the exit status is 1 where it is not.

It reads the same settings as the server, so it finds its port. For the health check of a container.
"""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address

from proxy.cli.parser import whole_number
from proxy.config import load
from proxy.server.config import ServerConfig

EXAMPLES = """\
example:
  framekeep health
"""

_READY = "/health/ready"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=whole_number(1, 3600),
        default=5,
        metavar="SECONDS",
        help="seconds to wait for the answer; default 5",
    )


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    server = load(environment).settings.server
    host = _local_host(server)
    connection = HTTPConnection(host, server.port, timeout=args.timeout)
    try:
        connection.request("GET", _READY, headers={"connection": "close"})
        response = connection.getresponse()
        text = response.read(4096).decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        reason = getattr(error, "strerror", None) or error
        print(f"no answer from {host} port {server.port}: {reason}")
        return 1
    finally:
        connection.close()
    print(text)
    return 0 if response.status == 200 else 1


def _local_host(config: ServerConfig) -> str:
    """Return an address of this machine on which the server listens."""
    try:
        address = ip_address(config.host)
    except ValueError:
        return config.host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    return config.host
