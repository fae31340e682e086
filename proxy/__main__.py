"""The command `framekeep`."""

import gc
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import metadata

from proxy.cli.parser import COMMANDS, make_parser
from proxy.errors import ConfigError, ProxyError

_INTERRUPTED = 130
"""128 and the number of the signal, as shells report it."""

_BROKEN_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. The exit status is 2 where the arguments or the settings are wrong."""
    try:
        status = _run(sys.argv[1:] if arguments is None else arguments)
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where a full disk can still be reported
    except (ConfigError, ProxyError, KeyboardInterrupt, OSError, UnicodeError) as error:
        return _fail(*_explain(error))
    return status


def _run(arguments: Sequence[str]) -> int:
    name = arguments[0] if arguments else ""
    gc.disable()  # to look for garbage among what is imported is a tenth of the imports of `serve`
    try:
        parser = make_parser([name] if name in COMMANDS else COMMANDS)
    finally:
        gc.enable()
    if name and not name.startswith("-") and name not in COMMANDS:
        close = get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        parser.error(f"there is no command {name!r}; {hint}commands: {', '.join(COMMANDS)}")
    args = parser.parse_args(arguments)
    if args.version:
        print(_versions())
        return 0
    if "run" not in args:
        return _print_usage(parser)
    status: int = args.run(args)
    return status


def _versions() -> str:
    import pyvips  # noqa: PLC0415 - most commands do without it

    libvips = ".".join(str(pyvips.version(part)) for part in range(3))
    python = sys.version.partition(" ")[0]
    return f"framekeep {metadata.version('framekeep')}, libvips {libvips}, Python {python}"


def _print_usage(parser: ArgumentParser) -> int:
    parser.print_help(sys.stderr)
    return 2


def _explain(error: BaseException) -> tuple[str, int]:
    """Say what failed, and the exit status."""
    match error:
        case ConfigError():
            return str(error), 2
        case KeyboardInterrupt():
            return "", _INTERRUPTED
        case BrokenPipeError():
            return "", _BROKEN_PIPE
        case OSError():
            where = f"{error.filename}: " if error.filename is not None else ""
            return f"framekeep: {where}{error.strerror or error}", 1
        case UnicodeError():
            return "framekeep: an argument, or a file that was named, is not UTF-8 text", 1
        case _:
            return f"framekeep: {error}", 1


def _fail(message: str, status: int) -> int:
    """Print what failed. Nothing more is written to standard output: it may be what failed."""
    if message:
        print(message, file=sys.stderr)
    if sys.stdout is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    return status


if __name__ == "__main__":
    sys.exit(main())
