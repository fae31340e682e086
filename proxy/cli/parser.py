"""The parser of the command line, with all commands or only the one that is run."""

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn

from proxy.text_values import did_you_mean

COMMANDS = (
    *("serve", "sign", "render", "explain", "config", "capacity"),
    *("doctor", "health", "cache", "warm", "prepare", "models", "migrate", "completion"),
)

_EXAMPLES = """\
examples:
  framekeep serve --dev
  framekeep sign https://cdn.example.com/u/42.jpg resize:800:600 convert:auto
  framekeep COMMAND --help
"""


_OPTION = re.compile(r"--[a-z][a-z-]*")
_INVALID_CHOICE = re.compile(
    r"argument (?P<name>.+): invalid choice: '(?P<text>.*)' \(choose from (?P<choices>.+)\)"
)


class CommandParser(ArgumentParser):
    """Refuses what it does not know with what it does, and the nearest of that."""

    # The types of argparse: what is not known ends the command here, and not in the parser above.
    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Namespace, list[str]]:
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self._refuse(unknown[0])
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        if found := _INVALID_CHOICE.fullmatch(message):
            choices = re.findall(r"[\w-]+", found["choices"])
            hint = did_you_mean(found["text"], choices)
            message = (
                f"argument {found['name']}: must be one of {', '.join(choices)}, "
                f"not {found['text']!r}{hint}"
            )
        super().error(message)

    def _refuse(self, argument: str) -> NoReturn:
        if not argument.startswith("-"):
            self.error(f"unexpected argument {argument!r}")
        options = sorted({*_OPTION.findall(self.format_usage()), "--help"})
        hint = did_you_mean(argument.partition("=")[0], options)
        self.error(f"there is no option {argument!r}{hint}; options: {', '.join(options)}")


def make_parser(commands: Sequence[str] = COMMANDS) -> CommandParser:
    """Make the parser. Only these commands are imported: one needs memory that others do not."""
    parser = CommandParser(
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
