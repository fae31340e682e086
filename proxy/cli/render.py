"""Render a file with a chain of steps, without a server, within the limits of the settings."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from proxy.config import load
from proxy.errors import InvalidLink
from proxy.library import Framekeep

EXAMPLES = """\
examples:
  framekeep render photo.jpg smart_crop:200:200/convert:webp avatar.webp
  framekeep render - resize:800/convert:auto - <photo.jpg >small.jpg
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("input", metavar="IN", type=Path, help="a file; - is standard input")
    parser.add_argument("steps", metavar="STEPS", help="steps as in a link, separated by slashes")
    parser.add_argument("output", metavar="OUT", type=Path, help="a file; - is standard output")


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    settings = load(environment).settings
    try:
        data = sys.stdin.buffer.read() if str(args.input) == "-" else args.input.read_bytes()
    except OSError as error:
        raise InvalidLink(f"{args.input}: {error.strerror}") from error
    rendition = Framekeep(settings.limits, models=settings.models).render(
        data, *args.steps.strip("/").split("/")
    )
    if str(args.output) == "-":
        sys.stdout.buffer.write(rendition.body)
        return 0
    try:
        args.output.write_bytes(rendition.body)
    except OSError as error:
        raise InvalidLink(f"{args.output}: {error.strerror}") from error
    print(f"{args.output}: {rendition.format}, {rendition.size}, {len(rendition.body):,} bytes")
    return 0
