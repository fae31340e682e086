"""Print the signed link of a source and its steps.

What a link cannot contain as it is, is percent-encoded; write a `%` or a `:`
inside a value as `%25` and `%3A`. A preset stays in the link by its name. Where
fields are open, what may be chosen is printed on standard error.
"""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from proxy.app import open_dialects
from proxy.cli.development import add_dev_argument, load_settings
from proxy.cli.responsive import add_responsive_arguments, is_responsive, write_markup
from proxy.config import Settings
from proxy.errors import ConfigError, InvalidLink
from proxy.links.config import DEFAULT_DIALECT
from proxy.links.mounts import MountedDialects
from proxy.links.native import Rule

EXAMPLES = """\
examples:
  framekeep sign https://cdn.example.com/u/42.jpg resize:800:600 convert:auto
  framekeep sign media:users/42.jpg convert:auto --srcset --original 4000x3000
  framekeep sign media:42.jpg --picture --original 4000x3000 --art "(max-width: 40em)" 4x5
  framekeep sign --dev demo:beach.jpg smart_crop:200:200
  framekeep sign media:users/42.jpg "resize:{320,640,960}" convert:auto
  framekeep sign media:users/42.jpg "resize:{320,640,960}" --choose 640
  framekeep sign media:users/42.jpg "resize:{auto,800,320,640,1280}" "convert:webp:{auto,80,50}"
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", help="a URL, or ALIAS:path for a source alias")
    parser.add_argument(
        "steps", nargs="*", default=[], metavar="STEP", help="a step, such as resize:800:600"
    )
    parser.add_argument("--base", default="", metavar="URL", help="the server's URL, put in front")
    parser.add_argument(
        "--choose",
        metavar="VALUES",
        help="a value for each open field, separated by colons, such as 640:webp",
    )
    parser.add_argument(
        "--unsigned",
        action="store_true",
        help="print a link without a signature, for a server that allows unsigned links",
    )
    add_dev_argument(parser)
    add_responsive_arguments(parser)


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    settings = load_settings(args, environment)
    links = open_links(settings, sign=not (args.unsigned or args.dev), unsigned=args.unsigned)
    base = args.base.rstrip("/")
    if is_responsive(args):
        if args.choose is not None:
            raise InvalidLink("--choose is for one link: it cannot be combined with a srcset")
        print(write_markup(args, lambda steps: base + links.build_link(args.source, steps)))
    else:
        choice = None if args.choose is None else args.choose.split(":")
        link = links.build_link(args.source, args.steps, choice)
        print(base + link)
        # What this command has just built need not be allowed here to be described.
        accepting = replace(settings, links=replace(settings.links, allow_unsigned=True))
        rule = open_dialects(accepting).read_rule(link.encode())
        for line in describe_rule(rule) if rule is not None else ():
            print(line, file=sys.stderr)
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


def describe_rule(rule: Rule) -> Iterator[str]:
    """Say which fields of a link are open, and how many renditions it allows."""
    for field in rule.open_fields:
        yield f"open         {field.describe()}"
    if rule.round_up:
        yield "rounds       numbers up to the next value"
    if rule.hint_headers:
        yield f"hints        {', '.join(rule.hint_headers)}"
    yield f"renditions   {rule.renditions:,} of one original at most"
