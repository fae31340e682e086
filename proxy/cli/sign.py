"""Print the signed link of a source and its steps.

What a link cannot contain as it is, is percent-encoded; write a `%` or a `:`
inside a value as `%25` and `%3A`. A preset stays in the link by its name.
"""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from proxy.app import open_dialects
from proxy.cli.development import add_dev_argument, load_settings
from proxy.config import Settings
from proxy.errors import ConfigError, InvalidLink
from proxy.links.config import DEFAULT_DIALECT
from proxy.links.mounts import MountedDialects

EXAMPLES = """\
examples:
  framekeep sign https://cdn.example.com/u/42.jpg resize:800:600 convert:auto
  framekeep sign media:users/42.jpg convert:webp --srcset 320,640,1280
  framekeep sign --dev demo:beach.jpg smart_crop:200:200
"""

MAX_WIDTH = 16_384


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", help="a URL, or ALIAS:path for a source alias")
    parser.add_argument("steps", nargs="*", metavar="STEP", help="a step, such as resize:800:600")
    parser.add_argument("--base", default="", metavar="URL", help="the server's URL, put in front")
    parser.add_argument(
        "--srcset", metavar="WIDTHS", help="print a srcset attribute with these widths, in pixels"
    )
    parser.add_argument(
        "--unsigned",
        action="store_true",
        help="print a link without a signature, for a server that allows unsigned links",
    )
    add_dev_argument(parser)


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    settings = load_settings(args, environment)
    links = open_links(settings, sign=not (args.unsigned or args.dev), unsigned=args.unsigned)
    base = args.base.rstrip("/")
    if args.srcset is None:
        print(base + links.build_link(args.source, args.steps))
    else:
        print(srcset(links, base, args.source, args.steps, _parse_widths(args.srcset)))
    return 0


def open_links(settings: Settings, *, sign: bool, unsigned: bool = False) -> MountedDialects:
    """Open the dialects that build links.

    With ``sign``, raise ConfigError where there is no key; with ``unsigned``, use none.
    """
    links = settings.links
    if unsigned:
        settings = replace(settings, links=replace(links, keys=()))
    elif sign and not links.keys and DEFAULT_DIALECT in links.mounts.values():
        raise ConfigError(
            "FRAMEKEEP_LINKS_KEYS is not set, so the link cannot be signed: set it to the keys of "
            "the server, or use --unsigned for a server with FRAMEKEEP_LINKS_ALLOW_UNSIGNED=true"
        )
    return open_dialects(settings)


def srcset(
    links: MountedDialects, base: str, source: str, steps: Sequence[str], widths: Sequence[int]
) -> str:
    """Build the attribute: for each width the steps, with a resize to it before the format."""
    at = next((at for at, step in enumerate(steps) if step.startswith("convert")), len(steps))
    candidates = (
        f"{base}{links.build_link(source, [*steps[:at], f'resize:{width}', *steps[at:]])} {width}w"
        for width in widths
    )
    return f'srcset="{", ".join(candidates)}"'


def _parse_widths(text: str) -> list[int]:
    widths = [width.strip() for width in text.split(",")]
    if not all(_is_width(width) for width in widths):
        raise InvalidLink(f"--srcset takes widths from 1 to {MAX_WIDTH}, separated by commas")
    return [int(width) for width in widths]


def _is_width(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_WIDTH
