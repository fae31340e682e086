"""Request many links before anybody else does, so that they are cached.

Each line of the file is a link (a path, or a URL of the server) or, with
--preset, a source. A link with open fields, such as resize:{320,640}, is
requested with each choice, and a link whose format depends on the client once
for each class of clients. The requests have the lowest priority: others never
wait for them.
"""

import asyncio
import os
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from http import HTTPStatus
from http.client import responses as PHRASES  # noqa: N812 - what it is
from itertools import combinations
from pathlib import Path
from typing import TextIO

import msgspec
from msgspec import Struct, structs

from proxy.cli.files import standard_error
from proxy.cli.parser import whole_number
from proxy.cli.progress import ProgressReport
from proxy.cli.sign import open_links
from proxy.cli.warm_failure import Failure
from proxy.cli.warm_list import SeenLinks, count_lines, read_lines
from proxy.cli.warm_rules import DEFAULT_MAX_CHOICES, MAX_CHOICES, RuleExpander
from proxy.config import Settings, load
from proxy.errors import ConfigError, InvalidLink, InvalidSource, ProxyError
from proxy.formats import FormatName
from proxy.sources.net.config import HttpClientConfig
from proxy.sources.net.http_client import HttpClient, HttpResponse
from proxy.sources.net.ssrf_policy import ANY_NETWORK, SsrfPolicy
from proxy.sources.net.url import parse_url

EXAMPLES = """\
examples:
  framekeep warm links.txt --base https://img.example.com --done warmed.txt
  framekeep warm uploads.txt --preset card --preset avatar
  framekeep warm links.txt --failures failures.jsonl
  framekeep warm rules.txt --max-choices 20
  framekeep warm --retry failures.jsonl
"""

MAX_CONCURRENCY = 64
_MAX_ATTEMPTS = 6
_READ_TIMEOUT_SECONDS = 120
_MAX_PAUSE_SECONDS = 30.0
_MAX_PROBLEM_BYTES = 65_536
_MAX_DETAIL_LENGTH = 1000
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_HEADERS = (
    ("priority", "u=7"),  # RFC 9218: the lowest urgency
    # With the server's own pseudonym the server would report a request loop.
    ("via", "1.1 framekeep-warm"),
)

_ANY = "*/*"

Expand = Callable[[str], Sequence[str]]
"""The links of a line. Raises ProxyError where it has none."""


class _Problem(Struct):
    """The problem+json of RFC 9457."""

    type: str | None = None
    title: str = ""
    detail: str = ""


class _FailedUrl(Struct):
    """What is read of a line in a file of failures."""

    url: str


def add_arguments(parser: ArgumentParser) -> None:
    lists = parser.add_mutually_exclusive_group(required=True)
    lists.add_argument("file", metavar="FILE", nargs="?", help="a file, or - for standard input")
    lists.add_argument(
        "--retry",
        metavar="FILE",
        help="request again what failed: a file that --failures wrote, or - for standard input",
    )
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
        "--max-choices",
        type=whole_number(1, MAX_CHOICES),
        default=DEFAULT_MAX_CHOICES,
        metavar="NUMBER",
        help="a link with open fields that has more choices fails, 1 to "
        f"{MAX_CHOICES}; default {DEFAULT_MAX_CHOICES}",
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
    parser.add_argument(
        "--failures",
        type=Path,
        metavar="FILE",
        help="a file for the failures, one JSON object a line; default standard error",
    )


def accept_headers(auto_formats: Sequence[FormatName]) -> Sequence[str]:
    """One for each class of clients that name a format, as caches in front write them."""
    sizes = range(len(auto_formats), 0, -1)
    classes = (chosen for size in sizes for chosen in combinations(auto_formats, size))
    return [",".join((*(f"image/{format}" for format in chosen), _ANY)) for chosen in classes]


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    name, base = args.retry or args.file, args.base.rstrip("/")
    try:
        parse_url(base)
    except InvalidSource as error:
        raise ConfigError(f"--base {args.base}: {error}") from error
    settings = load(environment).settings
    expand = _expansion(args, settings)
    _check_files(name, args)
    total = count_lines(name)
    with ExitStack() as stack:
        done, failures = (
            stack.enter_context(path.open(mode, encoding="utf-8", buffering=1)) if path else None
            for path, mode in ((args.done, "a"), (args.failures, "w"))
        )
        seen = SeenLinks()
        stack.callback(seen.close)
        per_line = max(1, len(args.preset))
        report = ProgressReport(total and total * per_line, failures, standard_error())
        warmer = CacheWarmer(
            base,
            expand,
            report,
            seen,
            done,
            auto_formats=settings.links.auto_formats,
            links_per_line=per_line,
        )
        asyncio.run(warmer.run(name, args.done, concurrency=args.concurrency))
    print(f"{report.done} warmed, {report.describe_failed()}, {report.skipped} skipped")
    return 1 if report.failed else 0


def _expansion(args: Namespace, settings: Settings) -> Expand:
    """How the lines of the list become links."""
    if args.retry:
        if args.preset:
            raise ConfigError("--preset is for lists of sources; --retry reads links")
        return _read_failure
    rules = RuleExpander(args.max_choices)
    if not args.preset:
        return rules.expand
    links = open_links(settings, sign=not settings.links.allow_unsigned)

    def expand_source(source: str) -> Sequence[str]:
        expanded: list[str] = []
        for name in args.preset:
            link = links.build_link(source, [f"preset:{name}"])
            rule = links.read_rule(link.encode())
            expanded += rules.write_choices(link, rule.open_fields if rule else ())
        return expanded

    return expand_source


def _read_failure(line: str) -> Sequence[str]:
    try:
        return (msgspec.json.decode(line, type=_FailedUrl).url,)
    except msgspec.MsgspecError as error:
        raise InvalidLink(f"no line of a file of failures: {error}") from error


def _check_files(name: str, args: Namespace) -> None:
    """Refuse to write to a file that is read: it would be lost, or never end."""
    named = {"--failures": args.failures, "--done": args.done}
    files = {option: path.resolve() for option, path in named.items() if path is not None}
    if name != "-":
        files["the list"] = Path(name).resolve()
    for (option, path), (other, second) in combinations(files.items(), 2):
        if path == second:
            raise ConfigError(f"{option} and {other} are the same file, {path}")


class CacheWarmer:
    """Requests the links of a list, each for every class of clients."""

    def __init__(
        self,
        base: str,
        expand: Expand,
        report: ProgressReport,
        seen: SeenLinks,
        done: TextIO | None,
        *,
        auto_formats: Sequence[FormatName],
        links_per_line: int,
    ) -> None:
        """``links_per_line`` is how many links a line has where none of them has open fields."""
        self._base = base
        self._expand = expand
        self._report = report
        self._seen = seen
        self._done = done
        self._negotiating = accept_headers(auto_formats)
        self._links_per_line = links_per_line
        self._reading = asyncio.Lock()
        self._error: ConfigError | None = None

    async def run(self, name: str, done: Path | None, *, concurrency: int) -> None:
        """Request all links of the list but those that are done.

        Where the list cannot be read to its end, finish the requests, then raise ConfigError.
        """
        client = HttpClient(
            SsrfPolicy(allow_nets=ANY_NETWORK),
            HttpClientConfig(
                read_timeout_seconds=_READ_TIMEOUT_SECONDS,
                max_connections_per_host=concurrency,
                max_connections_per_address=concurrency,
            ),
        )
        if done is not None:
            async for link in read_lines(str(done)):
                self._seen.add(self._normalize(link))
        lines = read_lines(name)
        try:
            await asyncio.gather(*(self._work(client, lines) for _ in range(concurrency)))
        finally:
            await client.close()
            self._report.show_progress(is_last=True)
        if self._error is not None:
            raise self._error

    async def _work(self, client: HttpClient, lines: AsyncIterator[str]) -> None:
        while line := await self._next(lines):
            try:
                links = self._expand(line)
            except ProxyError as error:
                self._report.failed += 1
                self._report.add_failure(Failure(line, detail=_explain(error)))
                links = ()
            self._report.expect(max(1, len(links)) - self._links_per_line)
            for link in links:
                await self._warm(client, self._normalize(link))
                self._report.show_progress()

    async def _next(self, lines: AsyncIterator[str]) -> str:
        """The next line; an empty text at the end."""
        async with self._reading:
            if self._error is None:
                try:
                    return await anext(lines, "")
                except ConfigError as error:
                    self._error = error
            return ""

    def _normalize(self, link: str) -> str:
        """The link as a path where it is one of this server."""
        return link.removeprefix(self._base) if link.startswith(f"{self._base}/") else link

    async def _warm(self, client: HttpClient, link: str) -> None:
        if not self._seen.add(link):
            self._report.skipped += 1
            return
        if await self._request_all(client, link):
            self._report.done += 1
            if self._done is not None:
                self._done.write(f"{link}\n")
        else:
            self._report.failed += 1

    async def _request_all(self, client: HttpClient, link: str) -> bool:
        """Request a link once for each class of clients; return whether all were answered."""
        if not link.startswith(("/", "http://", "https://")):
            self._report.add_failure(
                Failure(link, detail="neither a path, which begins with /, nor a URL")
            )
            return False
        url = f"{self._base}{link}" if link.startswith("/") else link
        # The format that all clients take comes first: where it fails, the others would, too.
        failure, negotiates = await self._request(client, url, _ANY)
        if failure is not None:
            self._report.add_failure(failure)
            return False
        is_complete = True
        for accept in self._negotiating if negotiates else ():
            failure, _ = await self._request(client, url, accept)
            if failure is not None:
                self._report.add_failure(failure)
                is_complete = False
        return is_complete

    @staticmethod
    async def _request(client: HttpClient, url: str, accept: str) -> tuple[Failure | None, bool]:
        """Return the failure, if any, and whether the response depends on ``Accept``."""
        headers = (("accept", accept), *_HEADERS)
        failure, attempt = Failure(url, accept), 0
        while True:
            try:
                async with client.request("GET", parse_url(url), headers) as response:
                    body = await _read(response)
            except ProxyError as error:
                return structs.replace(failure, detail=_explain(error)), False
            if response.status == HTTPStatus.OK and not response.header("X-Fallback"):
                varying = response.header("Vary").lower().split(",")
                return None, "accept" in (name.strip() for name in varying)
            attempt += 1
            if response.status not in _BUSY or attempt == _MAX_ATTEMPTS:
                return _explain_response(failure, response, body), False
            # The server is busy with other requests, which go first.
            await asyncio.sleep(_pause_seconds(response.header("Retry-After"), attempt))


async def _read(response: HttpResponse) -> bytes:
    """Read a response to its end; return as much of the body as a problem takes."""
    body = b""
    async for chunk in response.chunks():
        body += chunk[: _MAX_PROBLEM_BYTES - len(body)]
    return body


def _pause_seconds(retry_after: str, attempt: int) -> float:
    """Longer each time, beginning with what the server says."""
    seconds = int(retry_after) if retry_after.isdigit() and len(retry_after) < 6 else 1
    return min(_MAX_PAUSE_SECONDS, seconds * 2.0 ** (attempt - 1))


def _explain_response(failure: Failure, response: HttpResponse, body: bytes) -> Failure:
    """The failure with the reason that the server, or what is in front of it, gives."""
    type_, detail = None, ""
    if fallback := response.header("X-Fallback"):
        type_, detail = f"/docs#problem-{fallback}", "a fallback image was sent"
    elif "json" in response.header("Content-Type"):
        with suppress(msgspec.MsgspecError):
            problem = msgspec.json.decode(body, type=_Problem)
            type_, detail = problem.type, problem.detail or problem.title
    detail = detail or PHRASES.get(response.status, "")
    return structs.replace(
        failure, status=response.status, type=type_, detail=detail[:_MAX_DETAIL_LENGTH]
    )


def _explain(error: ProxyError) -> str:
    return f"{error}: {error.detail}" if error.detail else str(error)
