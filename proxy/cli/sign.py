"""Print the signed link of a source and its steps."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence

from proxy.app import dialect
from proxy.config import load
from proxy.errors import InvalidLink
from proxy.links.native import NativeDialect

WIDEST = 16_384


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", help="https://…, or NAME:path for a configured source")
    parser.add_argument("steps", nargs="*", metavar="STEP", help="such as resize:800:600")
    parser.add_argument("--base", default="", metavar="URL", help="put in front of the path")
    parser.add_argument(
        "--srcset", metavar="WIDTHS", help="print a srcset attribute, such as 320,640,1280"
    )


def run(chosen: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    native = dialect(load(environment).settings)
    base = chosen.base.rstrip("/")
    if chosen.srcset is None:
        print(base + signed(native, chosen.source, chosen.steps))
    else:
        print(srcset(native, base, chosen.source, chosen.steps, _widths(chosen.srcset)))
    return 0


def signed(native: NativeDialect, source: str, steps: Sequence[str]) -> str:
    """The path of the link. Raises what reading a link raises."""
    return native.build(native.make_request(source, steps))


def srcset(
    native: NativeDialect, base: str, source: str, steps: Sequence[str], widths: Sequence[int]
) -> str:
    """The attribute: for each width the steps, with a resize to that width before the format."""
    at = next((at for at, step in enumerate(steps) if step.startswith("convert")), len(steps))
    candidates = (
        f"{base}{signed(native, source, [*steps[:at], f'resize:{width}', *steps[at:]])} {width}w"
        for width in widths
    )
    return f'srcset="{", ".join(candidates)}"'


def _widths(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and 1 <= int(word) <= WIDEST for word in words):
        raise InvalidLink(f"--srcset takes widths from 1 to {WIDEST}, divided by commas")
    return [int(word) for word in words]
