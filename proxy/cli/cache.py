"""Show, purge, check or repair the cache. A server may be running meanwhile."""

import asyncio
import os
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence

from proxy.cache.cdn import open_cdns
from proxy.cache.cdn.config import CdnConfig
from proxy.cache.factory import open_cache
from proxy.cache.purge import PurgeResult, PurgeService
from proxy.cache.store import (
    All,
    ByTag,
    ByTagPrefix,
    Cache,
    CacheStats,
    Kind,
    Selector,
    SharesPurges,
    VerifyReport,
)
from proxy.cli.development import add_dev_argument, load_settings
from proxy.errors import ConfigError, InvalidPurge
from proxy.runtime.background import BackgroundTasks
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import ANY_NETWORK, SsrfPolicy

EXAMPLES = """\
examples:
  framekeep cache stats
  framekeep cache purge --prefix https://cdn.example.com/u/ --soft
"""

_STATS_EXAMPLE = "example:\n  framekeep cache stats\n"
_VERIFY_EXAMPLE = "example:\n  framekeep cache verify\n"
_PURGE_EXAMPLES = """\
examples:
  framekeep cache purge --source https://cdn.example.com/u/42.jpg
  framekeep cache purge --tag sale --tag winter --soft
  framekeep cache purge --everything
"""

_SELECTORS = (
    ("source", "URL", "results of this source, and its original"),
    ("prefix", "URL", "results of all sources whose URL begins with this"),
    ("tag", "TAG", "results with this tag, of their link or of their source"),
    ("preset", "NAME", "results of links with this preset"),
    ("dialect", "NAME", "results of links in this dialect"),
)


def add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add_action(name: str, summary: str, examples: str) -> ArgumentParser:
        action = actions.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            epilog=examples,
            formatter_class=RawDescriptionHelpFormatter,
        )
        add_dev_argument(action)
        return action

    add_action("stats", "print size and hit rate of each kind of entry", _STATS_EXAMPLE)
    add_action("verify", "read every entry and remove what is damaged or lost", _VERIFY_EXAMPLE)
    purge = add_action("purge", "remove entries, here and at the configured CDNs", _PURGE_EXAMPLES)
    for name, metavar, summary in _SELECTORS:
        purge.add_argument(f"--{name}", action="append", default=[], metavar=metavar, help=summary)
    purge.add_argument("--everything", action="store_true", help="all entries")
    purge.add_argument(
        "--soft", action="store_true", help="mark entries as stale instead of removing them"
    )


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    settings = load_settings(args, environment)
    selectors = _selectors(args) if args.action == "purge" else ()
    directory = settings.cache.directory()
    if not directory.exists() and not settings.shared_cache.url:
        raise ConfigError(
            f"there is no cache in {directory}: name the folder of the server with "
            "FRAMEKEEP_CACHE_DIR, or use --dev for that of `framekeep serve --dev`"
        )
    cache = open_cache(settings.cache, settings.shared_cache)
    if args.action == "purge":
        print(f"{'folder':10} {directory}")
    return asyncio.run(_run(args, cache, selectors, settings.cdn))


async def _run(args: Namespace, cache: Cache, selectors: Sequence[Selector], cdn: CdnConfig) -> int:
    try:
        match args.action:
            case "stats":
                return _print_stats(await cache.stats())
            case "verify":
                return _print_reports(await cache.verify())
            case _:
                return await _purge(cache, selectors, cdn, soft=args.soft)
    finally:
        await cache.close()


def _selectors(args: Namespace) -> Sequence[Selector]:
    """What to purge. Raises InvalidPurge where it is nothing."""
    selectors: list[Selector] = [
        *(ByTag(f"source:{text}") for text in args.source),
        *(ByTagPrefix(f"source:{text}") for text in args.prefix),
        *(ByTag(f"tag:{text}") for text in args.tag),
        *(ByTag(f"preset:{text}") for text in args.preset),
        *(ByTag(f"dialect:{text}") for text in args.dialect),
    ]
    if args.everything:
        return [All()]
    if not selectors:
        raise InvalidPurge(
            "nothing is selected: use --source, --prefix, --tag, --preset, --dialect or "
            "--everything"
        )
    return selectors


async def _purge(cache: Cache, selectors: Sequence[Selector], cdn: CdnConfig, *, soft: bool) -> int:
    background = BackgroundTasks()
    client = HttpClient(SsrfPolicy(allow_nets=ANY_NETWORK))
    cdns = open_cdns(cdn, client)
    purging = PurgeService(cache, cdns, background=background)
    try:
        status = _print_purge(await purging.purge(selectors, soft=soft))
        if cdns and isinstance(cache, SharesPurges):
            seconds = cache.purges_known_after_seconds
            print(f"CDNs are purged again in {seconds:g} s, when all machines know", flush=True)
            await purging.wait_repeated()
        return 1 if background.failures else status
    finally:
        await client.close()


def _print_stats(stats: Mapping[Kind, CacheStats]) -> int:
    print(f"{'':10} {'entries':>10} {'bytes':>16} {'budget':>16} {'reads':>10} {'hits':>6}")
    for kind, found in stats.items():
        reads = found.hits + found.misses
        hit_rate = f"{found.hits / reads:.0%}" if reads else "-"
        print(
            f"{kind:10} {found.entries:10,} {found.bytes:16,} {found.budget:16,}"
            f" {reads:10,} {hit_rate:>6}"
        )
        if found.error:
            print(f"{'':10} cannot be used: {found.error}")
    return int(any(found.error for found in stats.values()))


def _print_reports(reports: Mapping[Kind, VerifyReport]) -> int:
    print(
        f"{'':10} {'entries':>10} {'damaged':>10} {'missing':>10} {'orphans':>10} {'retagged':>10}"
    )
    for kind, found in reports.items():
        print(
            f"{kind:10} {found.entries:10,} {found.damaged:10,} {found.missing:10,}"
            f" {found.orphans:10,} {found.retagged:10,}"
        )
    return 0


def _print_purge(result: PurgeResult) -> int:
    for kind, count in result.entries.items():
        print(f"{kind:10} {count:10,}")
    for name, error in result.cdn_errors.items():
        print(f"{name}: {error or 'ok'}")
    return 0 if result.complete else 1
