"""Render a file by a chain of steps, without a server."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from proxy.errors import BadLink
from proxy.library import Framekeep


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("picture", metavar="IN", type=Path, help="a file; - is standard input")
    parser.add_argument("chain", metavar="CHAIN", help="such as smart_crop:200:200/convert:webp")
    parser.add_argument("result", metavar="OUT", type=Path, help="a file; - is standard output")


def run(chosen: Namespace) -> int:
    try:
        data = (
            sys.stdin.buffer.read() if str(chosen.picture) == "-" else chosen.picture.read_bytes()
        )
    except OSError as error:
        raise BadLink(f"{chosen.picture}: {error.strerror}") from error
    rendition = Framekeep().render(data, *chosen.chain.strip("/").split("/"))
    if str(chosen.result) == "-":
        sys.stdout.buffer.write(rendition.body)
        return 0
    try:
        chosen.result.write_bytes(rendition.body)
    except OSError as error:
        raise BadLink(f"{chosen.result}: {error.strerror}") from error
    print(f"{chosen.result}: {rendition.format}, {rendition.size}, {len(rendition.body):,} bytes")
    return 0
