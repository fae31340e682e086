"""Print the signed link of a source and its steps."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence

from proxy.app import open_dialects
from proxy.config import load
from proxy.errors import InvalidLink
from proxy.links.mounts import MountedDialects

EXAMPLES = """\
examples:
  framekeep sign https://cdn.example.com/u/42.jpg resize:800:600 convert:auto
  framekeep sign media:users/42.jpg convert:webp --srcset 320,640,1280
"""

MAX_WIDTH = 16_384


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", help="a URL, or ALIAS:path for a source alias")
    parser.add_argument("steps", nargs="*", metavar="STEP", help="a step, such as resize:800:600")
    parser.add_argument("--base", default="", metavar="URL", help="the server's URL, put in front")
    parser.add_argument(
        "--srcset", metavar="WIDTHS", help="print a srcset attribute with these widths, in pixels"
    )


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    links = open_dialects(load(environment).settings)
    base = args.base.rstrip("/")
    if args.srcset is None:
        print(base + signed_path(links, args.source, args.steps))
    else:
        print(srcset(links, base, args.source, args.steps, _parse_widths(args.srcset)))
    return 0


def signed_path(links: MountedDialects, source: str, steps: Sequence[str]) -> str:
    """Build the path of a link. Raises InvalidLink, InvalidOperation or InvalidSource."""
    return links.build(links.make_request(source, steps))


def srcset(
    links: MountedDialects, base: str, source: str, steps: Sequence[str], widths: Sequence[int]
) -> str:
    """Build the attribute: for each width the steps, with a resize to it before the format."""
    at = next((at for at, step in enumerate(steps) if step.startswith("convert")), len(steps))
    candidates = (
        f"{base}{signed_path(links, source, [*steps[:at], f'resize:{width}', *steps[at:]])}"
        f" {width}w"
        for width in widths
    )
    return f'srcset="{", ".join(candidates)}"'


def _parse_widths(text: str) -> list[int]:
    widths = [width.strip() for width in text.split(",")]
    if not all(_is_width(width) for width in widths):
        raise InvalidLink(f"--srcset takes widths from 1 to {MAX_WIDTH}, separated by commas")
    return [int(width) for width in widths]


def _is_width(text: str) -> bool:
    return text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_WIDTH
