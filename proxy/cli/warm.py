"""Ask a running server for many links before anybody else does; live requests never wait for it.

Each line of the file is a link (a path, or with the server's address) or, with --preset, a source.
"""

import asyncio
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from proxy.app import dialect
from proxy.cli.sign import signed
from proxy.config import load
from proxy.errors import InvalidSource, ProxyError
from proxy.sources.net.http_client import HttpClient, HttpClientConfig
from proxy.sources.net.ssrf_policy import ANY_NETWORK, SsrfPolicy
from proxy.sources.net.url import parse_url

MOST_AT_ONCE = 64
_TRIES = 6
_HEADERS = (
    ("priority", "u=7"),  # RFC 9218: the least urgent there is
    ("via", "1.1 framekeep-warm"),  # under its own name the server would take us for itself
)
_BAR = 30


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    parser.add_argument("--base", default="http://127.0.0.1:8080", help="the server's address")
    parser.add_argument(
        "--preset", action="append", default=[], help="lines are sources: sign a link with this"
    )
    parser.add_argument("--at-once", type=int, default=4, help=f"1 to {MOST_AT_ONCE} requests")
    parser.add_argument(
        "--done", type=Path, help="a file that notes what is done: the next run leaves it out"
    )


def run(chosen: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    if not 1 <= chosen.at_once <= MOST_AT_ONCE:
        raise InvalidSource(f"--at-once takes 1 to {MOST_AT_ONCE}")
    text = sys.stdin.read() if chosen.file == "-" else Path(chosen.file).read_text()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if chosen.preset:
        native = dialect(load(environment).settings)
        lines = [
            signed(native, line, [f"preset:{name}"]) for line in lines for name in chosen.preset
        ]
    done = (
        set(chosen.done.read_text().splitlines()) if chosen.done and chosen.done.exists() else set()
    )
    links = [link for link in dict.fromkeys(lines) if link not in done]
    failures = asyncio.run(Warming(chosen.base.rstrip("/"), links, chosen.done).run(chosen.at_once))
    print(f"{len(links) - len(failures)} warm, {len(failures)} failed, {len(done)} left out")
    for link, reason in failures:
        print(f"{link}\t{reason}")
    return 1 if failures else 0


class Warming:
    """Asks for links, some at once, and tells how far it is on standard error."""

    def __init__(self, base: str, links: Sequence[str], done: Path | None) -> None:
        self._base = base
        self._links = links
        self._done = done
        self._finished = 0
        self._failures: list[tuple[str, str]] = []

    async def run(self, at_once: int) -> list[tuple[str, str]]:
        """The links that failed, each with the reason."""
        dialer = HttpClient(
            SsrfPolicy(allow_nets=ANY_NETWORK), HttpClientConfig(read_timeout_seconds=120, max_connections_per_host=at_once)
        )
        waiting = iter(self._links)
        try:
            await asyncio.gather(*(self._work(dialer, waiting) for _ in range(at_once)))
        finally:
            await dialer.close()
        if self._links:
            print(file=sys.stderr)
        return self._failures

    async def _work(self, dialer: HttpClient, waiting: Iterable[str]) -> None:
        for link in waiting:
            reason = await self._warm(dialer, link)
            if reason:
                self._failures.append((link, reason))
            elif self._done is not None:
                with self._done.open("a") as file:
                    file.write(f"{link}\n")
            self._finished += 1
            self._tell()

    async def _warm(self, dialer: HttpClient, link: str) -> str:
        """Why the link could not be had; empty where it could."""
        address = link if link.startswith(("http://", "https://")) else f"{self._base}{link}"
        reason = ""
        for tried in range(_TRIES):
            try:
                async with dialer.request("GET", parse_url(address), _HEADERS) as answer:
                    async for _ in answer.chunks():
                        pass
            except ProxyError as error:
                return str(error)
            if answer.status == 200:
                return ""
            reason = f"status {answer.status}"
            if answer.status != 503:
                return reason
            # The server has live requests to answer: they go first.
            await asyncio.sleep(min(30.0, 2.0**tried))
        return reason

    def _tell(self) -> None:
        share = self._finished / len(self._links)
        bar = "#" * int(share * _BAR)
        print(
            f"\r[{bar:<{_BAR}}] {self._finished}/{len(self._links)}, {len(self._failures)} failed",
            end="",
            file=sys.stderr,
            flush=True,
        )
