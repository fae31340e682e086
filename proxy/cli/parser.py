"""The parser of the command line, with all commands or only the one that is run."""

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from importlib import import_module

COMMANDS = (
    *("serve", "sign", "render", "explain", "config"),
    *("doctor", "health", "cache", "warm", "models", "migrate", "completion"),
)

_EXAMPLES = """\
examples:
  framekeep serve --dev
  framekeep sign https://cdn.example.com/u/42.jpg resize:800:600 convert:auto
  framekeep COMMAND --help
"""


def make_parser(commands: Sequence[str] = COMMANDS) -> ArgumentParser:
    """Make the parser. Only these commands are imported: one needs memory that others do not."""
    parser = ArgumentParser(
        prog="framekeep",
        description="An on-the-fly image origin for CDNs.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version",
        action="store_true",
        help="print the versions of Framekeep, libvips and Python, and end",
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name in commands:
        module = import_module(f"proxy.cli.{name}")
        command = subparsers.add_parser(
            name,
            help=(module.__doc__ or "").strip().partition("\n\n")[0],
            description=module.__doc__,
            epilog=module.EXAMPLES,
            formatter_class=RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Make a type of an argument: a whole number in these bounds."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 18 and low <= int(text) <= high):
            raise ArgumentTypeError(f"expected a whole number from {low} to {high}, got {text!r}")
        return int(text)

    return parse
