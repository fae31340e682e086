"""Explain a link: its operations, its cache key, or why it is invalid.

It may be in any dialect; what a link of another dialect means is printed as a
native link. A dialect that is not mounted is explained without its signature.
"""

import asyncio
import os
import re
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from proxy.api.http.accept import accepted_formats
from proxy.api.http.headers import combine_headers
from proxy.app import open_dialects
from proxy.cli.development import add_dev_argument, load_settings
from proxy.cli.sign import describe_rule
from proxy.config import Settings
from proxy.errors import ConfigError, ProxyError
from proxy.image_request import ImageRequest, ResponseOptions
from proxy.imaging.cost_model import EXPENSIVE_SECONDS, decode_cost
from proxy.imaging.headers import probe
from proxy.imaging.results import Detection
from proxy.links import DIALECTS
from proxy.links.config import DEFAULT_DIALECT
from proxy.links.ipx.config import IpxConfig
from proxy.links.ipx.modifiers import MODIFIERS
from proxy.links.mounts import MountedDialects
from proxy.links.native import Rule
from proxy.links.recognition import find_usual_prefix, has_grammar, recognize
from proxy.operations.operation import format_operation
from proxy.operations.pipeline import detect
from proxy.originals import SourceRef
from proxy.render.handlers import get_detector
from proxy.sources.router import SourceRouter
from proxy.sources.source import require_body

EXAMPLES = """\
examples:
  framekeep explain /SIGNATURE/resize:800:600/https://cdn.example.com/u/42.jpg
  framekeep explain /insecure/rs:fit:300:200/plain/https://cdn.example.com/u/42.jpg
  framekeep explain /_ipx/w_300,f_webp/https://cdn.example.com/u/42.jpg
  framekeep explain --dev /_/smart_crop:200:200/demo:beach.jpg
  framekeep explain -H "Sec-CH-Width: 700" "/SIGNATURE/resize:{auto,800,320,640}/media:users/42.jpg"
  framekeep explain --fetch https://img.example.com/SIGNATURE/info/media:users/42.jpg
"""

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("link", help="a path or a whole URL")
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="fetch the original, and print its size, decode cost and subject",
    )
    parser.add_argument(
        "-H",
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a request header, such as 'Sec-CH-Width: 700' or 'Accept: image/webp'",
    )
    add_dev_argument(parser)


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    settings = load_settings(args, environment)
    links = open_dialects(settings)
    path = _path(args.link).encode()
    headers = _parse_headers(args.header)
    rule = _read_rule(links, path)
    if rule is not None:
        for line in describe_rule(rule):
            print(line)
        if not rule.is_complete:
            return 0
    try:
        request = _parse(settings, links, path, headers)
    except ProxyError as error:
        print(f"error        {error}")
        return 1
    request = _negotiate(request, headers, settings)
    for line in _describe_request(request, links, settings.links.accept_groups):
        print(line)
    for line in links.describe_bounds(request.response_options.dialect):
        print(f"allowed      {line}")
    return asyncio.run(_print_original(settings, request)) if args.fetch else 0


def _read_rule(links: MountedDialects, path: bytes) -> Rule | None:
    """What the open fields of a link allow; None for a link that is invalid or has none."""
    with suppress(ProxyError):
        return links.read_rule(path)
    return None


def _parse_headers(lines: Sequence[str]) -> dict[bytes, bytes]:
    """The headers by their names in lower case. Raises ConfigError for a line that is none."""
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _HEADER_NAME.fullmatch(name):
            raise ConfigError(f"--header {line!r}: must be a name, a colon and a value")
        headers.append((name.lower().encode(), value.strip().encode()))
    return combine_headers(headers)


def _parse(
    settings: Settings, links: MountedDialects, path: bytes, headers: Mapping[bytes, bytes]
) -> ImageRequest:
    """Parse a link, also one of a dialect that is not mounted. Raises a ProxyError."""
    try:
        return links.parse_with_headers(path, headers)
    except ProxyError:
        unmounted = _open_unmounted(settings, path, links.names)
        if unmounted is None:
            raise
    request = unmounted.parse(path)
    print("mounted      no (FRAMEKEEP_LINKS_MOUNTS); the signature was not verified")
    return request


def _negotiate(
    request: ImageRequest, headers: Mapping[bytes, bytes], settings: Settings
) -> ImageRequest:
    """The request of a client with this ``Accept``, if one is given."""
    if b"accept" not in headers:
        return request
    formats = accepted_formats(headers[b"accept"], settings.links.auto_formats)
    return replace(request, plan=request.plan.with_accepted_formats(formats))


def _describe_request(
    request: ImageRequest, links: MountedDialects, accept_groups: int
) -> Iterator[str]:
    options = request.response_options
    yield f"dialect      {options.dialect}"
    if isinstance(request.source, SourceRef):
        yield f"source       {request.source.text}"
    for operation in request.plan:
        yield f"operation    {format_operation(operation)}"
    if request.plan.negotiates_format:
        yield f"format       from the Accept header, in {accept_groups} groups: one rendition each"
    if options.hint_choice:
        yield f"chosen       {options.hint_choice} by client hints"
    if request.plan.accepted_formats:
        yield f"accepted     {', '.join(request.plan.accepted_formats)}"
    yield from _describe_options(options)
    is_native = options.dialect == DEFAULT_DIALECT
    yield f"{'canonical' if is_native else 'native':<13}{links.native_link(request)}"
    yield f"key          {request.key}"


def _describe_options(options: ResponseOptions) -> Iterator[str]:
    if options.expires is not None:
        yield f"expires      {options.expires}"
    if options.filename:
        yield f"filename     {options.filename}"
    if options.is_attachment:
        yield "attachment   browsers save the image"
    if options.fallback:
        yield f"fallback     {options.fallback}"
    if options.debug:
        yield "debug        the response has Server-Timing"
    for tag in options.tags:
        yield f"tag          {tag}"


def _open_unmounted(
    settings: Settings, path: bytes, mounted: Collection[str]
) -> MountedDialects | None:
    """Open the dialect that a path looks like, if it is not mounted; signatures do not count."""
    name = recognize(path)
    if name not in DIALECTS or any(has_grammar(other, name) for other in mounted):
        return None
    section = getattr(settings, name, None)
    if section is None:
        return None
    unsigned = {name: _accept_all(section)}
    mounts = replace(settings.links, mounts={find_usual_prefix(name, path): name})
    return open_dialects(replace(settings, links=mounts, **unsigned))


def _accept_all(section: Any) -> object:
    """The section of a dialect with which links need neither a signature nor a place in a list."""
    if isinstance(section, IpxConfig):
        sources = section.allow_sources or ("/", "http://*/", "https://*/")
        modifiers = tuple(MODIFIERS)
        return replace(section, allow_sources=sources, allow_modifiers=modifiers, max_renditions=0)
    return replace(section, allow_unsigned=True)


async def _print_original(settings: Settings, request: ImageRequest) -> int:
    sources = SourceRouter.from_config(settings.sources, settings.limits)
    try:
        original = require_body(await sources.fetch(request.source))
        header = probe(original.body.view())
    except ProxyError as error:
        print(f"error        {error}")
        return 1
    finally:
        await sources.close()
    print(
        f"original     {header.format}, {header.width}x{header.height}, {header.frames} frames, "
        f"{len(original.body):,} bytes"
    )
    expensive = decode_cost(header) > EXPENSIVE_SECONDS
    print(f"priority     {'expensive' if expensive else 'interactive'}")
    try:
        detection = detect(
            original.body.view(),
            settings.limits,
            detector=get_detector(settings.models),
            aspect_ratios=request.info.aspect_ratios if request.info else (),
        )
    except ProxyError as error:
        print(f"error        {error}")
        return 1
    for line in _describe(detection, request):
        print(line)
    return 0


def _describe(detection: Detection, request: ImageRequest) -> Iterator[str]:
    regions = detection.subject.regions
    names = (region.label or region.kind for region in regions if region.kind != "saliency")
    found = Counter(names)
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.items())
    yield f"subject      {kinds or 'no faces or objects; the most salient part is used'}"
    area = detection.area_of_interest
    yield f"interest     {area.size} at {area.left},{area.top}"
    ratios = request.info.aspect_ratios if request.info else ()
    for ratio, placed in zip(ratios, detection.crops, strict=True):
        box = placed.box
        yield f"crop         {ratio}: {box.size} at {box.left},{box.top}, reason: {placed.reason}"


def _path(link: str) -> str:
    """Return the path and query of a link, as they are sent."""
    if link.startswith("/"):
        return link
    url = urlsplit(link)
    return url.path + (f"?{url.query}" if url.query else "")
