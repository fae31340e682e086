"""The command `framekeep`."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module

from proxy.errors import ConfigError, ProxyError

COMMANDS = ("serve", "sign", "render", "explain", "config", "doctor", "cache", "warm", "models")


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; the exit status is 2 where what was asked cannot be understood."""
    parser = ArgumentParser(prog="framekeep", description="An on-the-fly image origin for CDNs.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    given = sys.argv[1:] if words is None else words
    # A command imports what it needs, and for `serve` that is time and memory: only what was asked.
    for name in given[:1] if given and given[0] in COMMANDS else COMMANDS:
        module = import_module(f"proxy.cli.{name}")
        summary = (module.__doc__ or "").strip().partition("\n\n")[0]
        command = commands.add_parser(name, help=summary, description=module.__doc__)
        module.arguments(command)
        command.set_defaults(run=module.run)
    chosen = parser.parse_args(words)
    try:
        status: int = chosen.run(chosen)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except ProxyError as error:
        print(f"framekeep: {error}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
