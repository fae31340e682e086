"""The arguments of ``framekeep sign`` that write a ``srcset`` or a ``<picture>``."""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from html import escape

from proxy.cli.parser import whole_number
from proxy.errors import InvalidLink
from proxy.links.responsive import (
    DEFAULT_FORMATS,
    MAX_SIDE,
    ArtDirection,
    BuildLink,
    PictureOptions,
    SrcsetOptions,
    join_candidates,
    make_candidates,
    make_picture,
)

_PAIR = re.compile(r"([1-9][0-9]{0,6})x([1-9][0-9]{0,6})", re.ASCII)
_ONLY_WITH_MARKUP = ("original", "ratio", "crop", "max_width", "max_height", "sizes")
_ONLY_WITH_PICTURE = ("formats", "art", "alt")


def add_responsive_arguments(parser: ArgumentParser) -> None:
    group = parser.add_argument_group(
        "responsive images",
        "No image is larger than the original, and each width is the true one. Steps may not "
        "change the size.",
    )
    group.add_argument(
        "--srcset",
        nargs="?",
        const="",
        metavar="WIDTHS",
        help="print a srcset attribute with these widths, such as 320,640,1280; without widths, "
        "each image has about 30 %% more bytes than the one before",
    )
    group.add_argument(
        "--picture",
        action="store_true",
        help="print a <picture> element, with the widths of --srcset",
    )
    group.add_argument(
        "--original",
        type=_pair,
        metavar="WxH",
        help="size of the original as it is shown, in pixels; the link of `info` tells it",
    )
    group.add_argument("--ratio", type=_pair, metavar="WxH", help="aspect ratio to crop to")
    group.add_argument(
        "--crop", choices=("smart", "center"), help="what to keep with --ratio (default: smart)"
    )
    bound = whole_number(1, MAX_SIDE)
    group.add_argument("--max-width", type=bound, metavar="PX", help="width of the box")
    group.add_argument("--max-height", type=bound, metavar="PX", help="height of the box")
    group.add_argument("--sizes", help="the sizes attribute (default: 100vw)")
    group.add_argument(
        "--formats",
        type=lambda text: tuple(text.split(",")),
        help=f"formats of --picture, the last for its <img> (default: {','.join(DEFAULT_FORMATS)})",
    )
    group.add_argument(
        "--art",
        nargs=2,
        action="append",
        metavar=("MEDIA", "WxH"),
        help="another aspect ratio where a media condition holds; may be repeated",
    )
    group.add_argument("--alt", metavar="TEXT", help="text of the <img> of --picture")


def is_responsive(args: Namespace) -> bool:
    """Whether markup is asked for. Raises InvalidLink for arguments that belong to it without."""
    is_wanted = args.picture or args.srcset is not None
    for name in () if args.picture else _ONLY_WITH_PICTURE:
        _refuse_given(args, name, "--picture")
    for name in () if is_wanted else _ONLY_WITH_MARKUP:
        _refuse_given(args, name, "--srcset or --picture")
    if is_wanted and args.original is None:
        raise InvalidLink(
            "--original is missing: give the size of the original, such as 4000x3000, so that no "
            "image is larger; the link of `info` tells it"
        )
    return is_wanted


def _refuse_given(args: Namespace, name: str, needed: str) -> None:
    if getattr(args, name) is not None:
        raise InvalidLink(f"--{name.replace('_', '-')} needs {needed}")


def write_markup(args: Namespace, build: BuildLink) -> str:
    """Write the ``<picture>``, or the attributes ``srcset`` and, if it is given, ``sizes``."""
    bounds: SrcsetOptions = {
        "original": args.original,
        "widths": _parse_widths(args.srcset) if args.srcset else None,
        "ratio": args.ratio,
        "crop": args.crop or "smart",
        "max_width": args.max_width or MAX_SIDE,
        "max_height": args.max_height or MAX_SIDE,
    }
    if args.picture:
        options: PictureOptions = {
            **bounds,
            "formats": args.formats or DEFAULT_FORMATS,
            "sizes": args.sizes or "100vw",
            "art": [ArtDirection(media, _parse_ratio(text)) for media, text in args.art or ()],
        }
        return make_picture(build, args.steps, options).html(args.alt or "")
    candidates = make_candidates(build, args.steps, bounds)
    srcset = f'srcset="{escape(join_candidates(candidates))}"'
    return f'{srcset} sizes="{escape(args.sizes)}"' if args.sizes else srcset


def _pair(text: str) -> tuple[int, int]:
    match = _PAIR.fullmatch(text)
    if match is None:
        raise ArgumentTypeError(f"expected two numbers such as 1600x900, got {text!r}")
    return int(match[1]), int(match[2])


def _parse_ratio(text: str) -> tuple[int, int]:
    try:
        return _pair(text)
    except ArgumentTypeError as error:
        raise InvalidLink(f"--art: {error}") from None


def _parse_widths(text: str) -> list[int]:
    widths = [width.strip() for width in text.split(",")]
    if not all(_is_width(width) for width in widths):
        raise InvalidLink(f"--srcset takes widths from 1 to {MAX_SIDE}, separated by commas")
    return [int(width) for width in widths]


def _is_width(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_SIDE
