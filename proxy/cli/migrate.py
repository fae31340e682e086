"""Translate the settings of another image server, and print ours as TOML.

Secrets are not printed: a comment says which variables to set. Each setting
that has no counterpart has a line with the reason.
"""

import os
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping

from proxy.cli.files import read_text
from proxy.cli.migrations import MIGRATIONS

EXAMPLES = """\
examples:
  framekeep migrate imgproxy --env imgproxy.env >framekeep.toml
  docker exec imgproxy env | framekeep migrate imgproxy --env -
  framekeep migrate thumbor --config thumbor.conf >framekeep.toml
  docker exec imagor env | framekeep migrate imagor --env -
"""


def add_arguments(parser: ArgumentParser) -> None:
    servers = parser.add_subparsers(dest="server", metavar="SERVER", required=True)
    for name, command in MIGRATIONS.items():
        server = servers.add_parser(
            name,
            help=f"translate the settings of {name}",
            description=__doc__,
            epilog=EXAMPLES,
            formatter_class=RawDescriptionHelpFormatter,
        )
        server.add_argument(
            command.option,
            dest="file",
            required=True,
            metavar="FILE",
            help=f"{command.help}; - reads from stdin",
        )


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    text = read_text(args.file)
    print(MIGRATIONS[args.server].migrate(text).text(), end="")
    return 0
