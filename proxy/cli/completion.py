"""Print a script that completes the commands and options of framekeep in your shell."""

import os
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Iterator, Mapping

import shtab

from proxy.cli.parser import make_parser

EXAMPLES = """\
examples:
  framekeep completion bash >~/.local/share/bash-completion/completions/framekeep
  framekeep completion zsh >~/.zfunc/_framekeep
"""

_FILES = frozenset(("FILE", "IN", "OUT"))
_FOLDERS = frozenset(("DIR",))


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh"))


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    parser = make_parser()
    for action in _actions(parser):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    print(shtab.complete(parser, args.shell))
    return 0


def _actions(parser: ArgumentParser) -> Iterator[Action]:
    """Every argument of a parser and of its commands."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way, shtab does the same
        yield action
        for command in dict(action.choices or {}).values() if action.nargs == "A..." else ():
            yield from _actions(command)
