"""Request many links before anybody else does, so that they are cached.

Each line of the file is a link (a path, or a URL of the server) or, with
--preset, a source. The requests have the lowest priority: others never wait
for them.
"""

import asyncio
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from proxy.cli.files import read_text
from proxy.cli.parser import whole_number
from proxy.cli.sign import open_links
from proxy.config import load
from proxy.errors import ProxyError
from proxy.sources.net.config import HttpClientConfig
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import ANY_NETWORK, SsrfPolicy
from proxy.sources.net.url import parse_url

EXAMPLES = """\
examples:
  framekeep warm links.txt --base https://img.example.com --done warmed.txt
  framekeep warm uploads.txt --preset card --preset avatar
"""

MAX_CONCURRENCY = 64
_MAX_ATTEMPTS = 6
_READ_TIMEOUT_SECONDS = 120
_MAX_PAUSE_SECONDS = 30.0
_BAR_WIDTH = 30
_HEADERS = (
    ("priority", "u=7"),  # RFC 9218: the lowest urgency
    # With the server's own pseudonym the server would report a request loop.
    ("via", "1.1 framekeep-warm"),
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    parser.add_argument(
        "--base", default="http://127.0.0.1:8080", metavar="URL", help="the server's URL"
    )
    parser.add_argument(
        "--preset",
        action="append",
        default=[],
        metavar="NAME",
        help="read sources, and request a link with this preset for each",
    )
    parser.add_argument(
        "--concurrency",
        type=whole_number(1, MAX_CONCURRENCY),
        default=4,
        metavar="NUMBER",
        help=f"requests at the same time, 1 to {MAX_CONCURRENCY}; default 4",
    )
    parser.add_argument(
        "--done",
        type=Path,
        metavar="FILE",
        help="a file for the links that are done; the next run skips them",
    )


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    lines = [line.strip() for line in read_text(args.file).splitlines() if line.strip()]
    if args.preset:
        settings = load(environment).settings
        links = open_links(settings, sign=not settings.links.allow_unsigned)
        lines = [
            links.build_link(line, [f"preset:{name}"]) for line in lines for name in args.preset
        ]
    is_resumed = args.done and args.done.exists()
    done = set(read_text(str(args.done)).splitlines()) if is_resumed else set()
    missing = [link for link in dict.fromkeys(lines) if link not in done]
    failures = asyncio.run(
        CacheWarmer(args.base.rstrip("/"), missing, args.done).run(concurrency=args.concurrency)
    )
    print(f"{len(missing) - len(failures)} warmed, {len(failures)} failed, {len(done)} skipped")
    for link, reason in failures:
        print(f"{link}\t{reason}")
    return 1 if failures else 0


class CacheWarmer:
    """Requests links concurrently, and shows its progress on standard error."""

    def __init__(self, base: str, links: Sequence[str], done: Path | None) -> None:
        self._base = base
        self._links = links
        self._done = done
        self._finished = 0
        self._failures: list[tuple[str, str]] = []

    async def run(self, *, concurrency: int) -> list[tuple[str, str]]:
        """Request all links; return those that failed, each with the reason."""
        client = HttpClient(
            SsrfPolicy(allow_nets=ANY_NETWORK),
            HttpClientConfig(
                read_timeout_seconds=_READ_TIMEOUT_SECONDS,
                max_connections_per_host=concurrency,
                max_connections_per_address=concurrency,
            ),
        )
        queue = iter(self._links)
        try:
            await asyncio.gather(*(self._work(client, queue) for _ in range(concurrency)))
        finally:
            await client.close()
        if self._links:
            print(file=sys.stderr)
        return self._failures

    async def _work(self, client: HttpClient, queue: Iterable[str]) -> None:
        for link in queue:
            reason = await self._warm(client, link)
            if reason:
                self._failures.append((link, reason))
            elif self._done is not None:
                with self._done.open("a") as file:
                    file.write(f"{link}\n")
            self._finished += 1
            self._show_progress()

    async def _warm(self, client: HttpClient, link: str) -> str:
        """Request a link; return the reason of the failure, empty where there is none."""
        url = link if link.startswith(("http://", "https://")) else f"{self._base}{link}"
        reason = ""
        for attempt in range(_MAX_ATTEMPTS):
            try:
                async with client.request("GET", parse_url(url), _HEADERS) as response:
                    async for _ in response.chunks():
                        pass
            except ProxyError as error:
                return str(error)
            if response.status == 200:
                return ""
            reason = f"status {response.status}"
            if response.status != 503:
                return reason
            # The server is busy with other requests, which go first.
            await asyncio.sleep(min(_MAX_PAUSE_SECONDS, 2.0**attempt))
        return reason

    def _show_progress(self) -> None:
        share = self._finished / len(self._links)
        bar = "#" * int(share * _BAR_WIDTH)
        print(
            f"\r[{bar:<{_BAR_WIDTH}}] {self._finished}/{len(self._links)},"
            f" {len(self._failures)} failed",
            end="",
            file=sys.stderr,
            flush=True,
        )
