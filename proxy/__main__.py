"""The command `framekeep`."""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import import_module

from proxy.errors import ConfigError, ProxyError

COMMANDS = (
    *("serve", "sign", "render", "explain", "config"),
    *("doctor", "health", "cache", "warm", "models", "migrate"),
)

_EXAMPLES = """\
examples:
  framekeep serve --dev
  framekeep sign https://cdn.example.com/u/42.jpg resize:800:600 convert:auto
  framekeep COMMAND --help
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. The exit status is 2 where the arguments or the settings are wrong."""
    parser = ArgumentParser(
        prog="framekeep",
        description="An on-the-fly image origin for CDNs.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    given = sys.argv[1:] if arguments is None else arguments
    # Only the chosen command is imported: what `serve` needs costs the others time and memory.
    for name in given[:1] if given and given[0] in COMMANDS else COMMANDS:
        module = import_module(f"proxy.cli.{name}")
        summary = (module.__doc__ or "").strip().partition("\n\n")[0]
        command = commands.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            epilog=module.EXAMPLES,
            formatter_class=RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        status: int = args.run(args)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    except ProxyError as error:
        print(f"framekeep: {error}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
