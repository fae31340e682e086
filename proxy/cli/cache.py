"""Look into the cache, purge it, or check and repair it; a server may be running meanwhile."""

import asyncio
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping

from proxy.cache.cdn.config import CdnConfig
from proxy.cache.factory import levels
from proxy.cache.purge import Purged, Purging
from proxy.cache.store import (
    Everything,
    Kind,
    Labelled,
    Prefixed,
    Repairs,
    Selector,
    Shelved,
    Store,
)
from proxy.config import load
from proxy.errors import InvalidPurge
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import ANY_NETWORK, SsrfPolicy

_SELECTORS = (
    ("source", "URL", "everything that was made of this source"),
    ("prefix", "URL", "everything that was made of sources whose address begins so"),
    ("tag", "TAG", "everything with this tag of a link or a source"),
    ("preset", "NAME", "everything that was made with this preset"),
)


def arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("stats", help="how much is kept, and how reads went")
    actions.add_parser("verify", help="read every entry, remove what is damaged or lost")
    purge = actions.add_parser("purge", help="forget what is selected, here and at CDNs")
    for name, metavar, meaning in _SELECTORS:
        purge.add_argument(f"--{name}", action="append", default=[], metavar=metavar, help=meaning)
    purge.add_argument("--everything", action="store_true", help="all there is")
    purge.add_argument("--soft", action="store_true", help="only mark as stale, to be renewed")


def run(chosen: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    settings = load(environment).settings
    return asyncio.run(_run(chosen, levels(settings.cache, settings.shared_cache), settings.cdn))


async def _run(chosen: Namespace, store: Store, cdn: CdnConfig) -> int:
    try:
        match chosen.action:
            case "stats":
                return _print_stats(await store.stats())
            case "verify":
                return _print_repairs(await store.verify())
            case _:
                return _print_purged(await _purge(chosen, store, cdn))
    finally:
        await store.close()


async def _purge(chosen: Namespace, store: Store, cdn: CdnConfig) -> Purged:
    selectors: list[Selector] = [
        *(Labelled(f"source:{text}") for text in chosen.source),
        *(Prefixed(f"source:{text}") for text in chosen.prefix),
        *(Labelled(f"tag:{text}") for text in chosen.tag),
        *(Labelled(f"preset:{text}") for text in chosen.preset),
    ]
    if chosen.everything:
        selectors = [Everything()]
    if not selectors:
        raise InvalidPurge("nothing is selected: give --source, --prefix, --tag, --preset")
    dialer = HttpClient(SsrfPolicy(allow_nets=ANY_NETWORK))
    try:
        return await Purging(store, cdn.cdns(dialer)).purge(selectors, soft=chosen.soft)
    finally:
        await dialer.close()


def _print_stats(stats: Mapping[Kind, Shelved]) -> int:
    print(f"{'':10} {'entries':>10} {'bytes':>16} {'budget':>16} {'reads':>10} {'hits':>6}")
    for kind, found in stats.items():
        reads = found.hits + found.misses
        share = f"{found.hits / reads:.0%}" if reads else "-"
        print(
            f"{kind:10} {found.entries:10,} {found.bytes:16,} {found.budget:16,}"
            f" {reads:10,} {share:>6}"
        )
        if found.trouble:
            print(f"{'':10} cannot be used: {found.trouble}")
    return int(any(found.trouble for found in stats.values()))


def _print_repairs(repairs: Mapping[Kind, Repairs]) -> int:
    names = ("entries", "damaged", "missing", "stray", "relabelled")
    print(f"{'':10} " + " ".join(f"{name:>10}" for name in names))
    for kind, found in repairs.items():
        print(f"{kind:10} " + " ".join(f"{getattr(found, name):10,}" for name in names))
    return 0


def _print_purged(purged: Purged) -> int:
    for kind, count in purged.entries.items():
        print(f"{kind:10} {count:10,}")
    for name, failure in purged.told.items():
        print(f"{name}: {failure or 'ok'}")
    return 0 if purged.complete else 1
