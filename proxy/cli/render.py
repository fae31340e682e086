"""Render a file with a chain of steps, without a server, within the limits of the settings.

Without `convert`, the suffix of OUT chooses the format. The step `info` prints
JSON about IN. A watermark comes from a file as `file%3Alogo.png`, from an
alias of the settings, or from the web.
"""

import asyncio
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Mapping
from pathlib import PurePath

from msgspec import structs

from proxy.api.info import body as info_body
from proxy.cli.files import read_bytes, write_bytes
from proxy.config import Settings, load
from proxy.errors import InvalidLink
from proxy.imaging.info import read_image_info
from proxy.links.parsed_link import ParsedLink
from proxy.links.parser import StepParser
from proxy.operations import OPERATIONS
from proxy.operations.convert import Convert
from proxy.operations.pipeline import render
from proxy.operations.plan import Plan
from proxy.operations.registry import OperationRegistry
from proxy.originals import SourceRef
from proxy.render.handlers import get_detector
from proxy.sources.router import SourceRouter
from proxy.sources.source import require_body

EXAMPLES = """\
examples:
  framekeep render photo.jpg smart_crop:200:200 avatar.webp
  framekeep render photo.jpg resize:800/watermark:file%3Alogo.png:southeast marked.jpg
  framekeep render photo.jpg info:16x9 -
  framekeep render - resize:800/convert:auto - <photo.jpg >small.jpg
"""

_FORMATS = {
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".png": "png",
    ".webp": "webp",
    ".avif": "avif",
    ".gif": "gif",
    ".heic": "heif",
    ".heif": "heif",
    ".jxl": "jxl",
}

_LOCAL_FILE = "file:"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", help="a file; - is standard input")
    parser.add_argument("steps", metavar="STEPS", help="steps as in a link, separated by slashes")
    parser.add_argument("output", metavar="OUT", help="a file; - is standard output")


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    settings = load(environment).settings
    _check_order(args)
    link = _parse(settings, args.steps)
    plan = link.plan if link.info else _with_format(link.plan, args.output)
    data = read_bytes(args.input)
    detector = get_detector(settings.models)
    if link.info is not None:
        ratios = link.info.aspect_ratios
        info = read_image_info(data, settings.limits, detector=detector, aspect_ratios=ratios)
        write_bytes(args.output, info_body(info, ratios) + b"\n")
        return 0
    extra_images = asyncio.run(_read_extra_images(settings, plan.extra_sources()))
    rendition = render(
        data, plan, settings.limits, detector=detector, extra_images=extra_images
    ).rendition
    write_bytes(args.output, rendition.body)
    if args.output != "-":
        print(f"{args.output}: {rendition.format}, {rendition.size}, {len(rendition.body):,} bytes")
    return 0


def _check_order(args: Namespace) -> None:
    """Raise InvalidLink where the steps stand in place of the output."""
    if PurePath(args.steps).suffix.lower() in _FORMATS and ":" not in args.steps:
        raise InvalidLink(
            f"{args.steps!r} stands where the steps are expected; the order is IN STEPS OUT: "
            f"framekeep render {args.input} {args.output} {args.steps}"
        )


def _parse(settings: Settings, text: str) -> ParsedLink:
    """Parse the steps. Raises InvalidLink or InvalidOperation."""
    links, limits = settings.links, settings.limits
    operations = OperationRegistry(OPERATIONS, max_operations=limits.max_operations)
    steps = StepParser(operations, links.presets, links.fallbacks)
    link = steps.parse([step for step in text.strip("/").split("/") if step])
    link.to_request(_LOCAL_FILE)  # which checks that the steps go together
    return link


def _with_format(plan: Plan, output: str) -> Plan:
    """Return the plan with the format of the file's suffix, where no step sets one.

    Raises InvalidLink for a suffix that no format has.
    """
    suffix = PurePath(output).suffix.lower()
    if plan.format is not None or output == "-" or not suffix:
        return plan
    if suffix not in _FORMATS:
        raise InvalidLink(
            f"{output}: no format has the suffix {suffix!r}; use one of {', '.join(_FORMATS)}, "
            "or name the format with a step, such as convert:webp"
        )
    convert = Convert(_FORMATS[suffix])  # type: ignore[arg-type]
    return structs.replace(plan, operations=(*plan.operations, convert))


async def _read_extra_images(
    settings: Settings, sources: Collection[SourceRef]
) -> dict[SourceRef, bytes]:
    """Read the watermarks: files of this machine, or what the settings allow as a source."""
    router = SourceRouter.from_config(settings.sources, settings.limits)
    try:
        return {source: await _read_extra_image(router, source) for source in sources}
    finally:
        await router.close()


async def _read_extra_image(router: SourceRouter, source: SourceRef) -> bytes:
    if source.text.startswith(_LOCAL_FILE):
        return await asyncio.to_thread(read_bytes, source.text.removeprefix(_LOCAL_FILE))
    return bytes(require_body(await router.fetch(source)).body.view())
