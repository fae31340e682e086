"""Say how a link is read: its chain, canonical form and key, its cost, or why it is refused."""

import asyncio
import os
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from proxy.app import dialect
from proxy.config import Settings, load
from proxy.errors import ProxyError
from proxy.image_request import ImageRequest
from proxy.imaging.cost_model import HEAVY_SECONDS, decoding
from proxy.imaging.headers import probe
from proxy.imaging.image import Seen
from proxy.operations.pipeline import look
from proxy.operations.plan import written
from proxy.originals import SourceRef
from proxy.render.tasks import eye_of
from proxy.smartcrop.area_of_interest import area_of_interest
from proxy.smartcrop.placement import place
from proxy.sources import require_body
from proxy.sources.router import SourceRouter


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("link", help="a path, or the whole URL")
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="also fetch the original, say what it would cost and where its subject is",
    )


def run(chosen: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    settings = load(environment).settings
    native = dialect(settings)
    try:
        job = native.parse(_path(chosen.link).encode())
    except ProxyError as error:
        print(f"refused      {error}")
        return 1
    if isinstance(job.source, SourceRef):
        print(f"source       {job.source.text}")
    for operation in job.plan:
        print(f"operation    {written(operation)}")
    if job.plan.negotiates:
        print("format       by the Accept header: one kept result for each of four kinds of client")
    delivery = job.response_options
    if delivery.expires is not None:
        print(f"expires      {delivery.expires}")
    if delivery.filename:
        print(f"filename     {delivery.filename}")
    if delivery.debug:
        print("debug        the times of all stages are told")
    for label in delivery.tags:
        print(f"label        {label}")
    print(f"canonical    {native.build(job)}")
    print(f"key          {job.key}")
    return asyncio.run(_cost(settings, job)) if chosen.fetch else 0


async def _cost(settings: Settings, job: ImageRequest) -> int:
    sources = SourceRouter.from_config(settings.sources, settings.limits)
    try:
        original = require_body(await sources.fetch(job.source))
        header = probe(original.body.view())
    except ProxyError as error:
        print(f"refused      {error}")
        return 1
    finally:
        await sources.close()
    print(
        f"original     {header.format}, {header.width}x{header.height}, {header.frames} frames, "
        f"{len(original.body):,} bytes"
    )
    print(f"lane         {'heavy' if decoding(header) > HEAVY_SECONDS else 'live'}")
    try:
        seen = look(original.body.view(), settings.limits, eye=eye_of(settings.models))
    except ProxyError as error:
        print(f"refused      {error}")
        return 1
    for line in _seen(seen, job):
        print(line)
    return 0


def _seen(seen: Seen, job: ImageRequest) -> Iterator[str]:
    """Where the eye goes, and the windows that were asked for."""
    found = Counter(region.kind for region in seen.focus.regions if region.kind != "saliency")
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.items())
    yield f"focus        {kinds or 'no faces or things; what stands out, if anything'}"
    area = area_of_interest(seen.focus, seen.size)
    yield f"interest     {area.size} at {area.left},{area.top}"
    for ratio in job.info.aspect_ratios if job.info else ():
        placed = place(seen.focus, seen.size, ratio)
        box = placed.box
        yield f"window       {ratio}: {box.size} at {box.left},{box.top}, by {placed.decided}"


def _path(link: str) -> str:
    """The path and query of a link, as they are sent."""
    if link.startswith("/"):
        return link
    url = urlsplit(link)
    return url.path + (f"?{url.query}" if url.query else "")
