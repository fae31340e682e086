"""Write the steps of a native link in their canonical form."""

from collections.abc import Iterator
from urllib.parse import quote

from proxy.image_request import InfoRequest, ResponseOptions
from proxy.operations.operation import format_operation
from proxy.operations.plan import Plan


def format_steps(
    plan: Plan, options: ResponseOptions, info: InfoRequest | None, version: str
) -> Iterator[str]:
    """Write link options, then operations; presets are spelled out as what they stand for."""
    if version:
        yield f"v:{quote(version, safe='')}"
    yield from _format_options(options)
    if info is not None:
        yield ":".join(("info", *map(str, info.aspect_ratios)))
    for operation in plan:
        yield format_operation(operation)


def _format_options(options: ResponseOptions) -> Iterator[str]:
    if options.expires is not None:
        yield f"expires:{options.expires}"
    if options.filename:
        yield f"filename:{quote(options.filename, safe='')}"
    for tag in options.tags:
        if tag.startswith("tag:"):
            yield f"tag:{quote(tag.removeprefix('tag:'), safe='')}"
    if options.is_attachment:
        yield "attachment"
    if options.debug:
        yield "debug"
    if options.fallback:
        yield f"fallback:{options.fallback}"
