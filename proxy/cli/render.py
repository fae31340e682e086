"""Render a file by a chain of steps, without a server, within the settings' limits."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from proxy.config import load
from proxy.errors import InvalidLink
from proxy.library import Framekeep


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("picture", metavar="IN", type=Path, help="a file; - is standard input")
    parser.add_argument("chain", metavar="CHAIN", help="such as smart_crop:200:200/convert:webp")
    parser.add_argument("result", metavar="OUT", type=Path, help="a file; - is standard output")


def run(chosen: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    settings = load(environment).settings
    try:
        data = (
            sys.stdin.buffer.read() if str(chosen.picture) == "-" else chosen.picture.read_bytes()
        )
    except OSError as error:
        raise InvalidLink(f"{chosen.picture}: {error.strerror}") from error
    rendition = Framekeep(settings.limits, models=settings.models).render(
        data, *chosen.chain.strip("/").split("/")
    )
    if str(chosen.result) == "-":
        sys.stdout.buffer.write(rendition.body)
        return 0
    try:
        chosen.result.write_bytes(rendition.body)
    except OSError as error:
        raise InvalidLink(f"{chosen.result}: {error.strerror}") from error
    print(f"{chosen.result}: {rendition.format}, {rendition.size}, {len(rendition.body):,} bytes")
    return 0
