"""Calculate cores, memory, disk, bucket requests and traffic for so many requests a day.

Several numbers of requests are columns of one table. Numbers may end in k, M,
G or T, sizes in kB, MB, GB or TB. Every line follows from the options alone;
docs/capacity.md tells how, and where the defaults come from.
"""

import os
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, fields

from proxy.cli.capacity_model import (
    Capacity,
    Figures,
    Machines,
    Prices,
    RenditionKind,
    Site,
    calculate,
)
from proxy.cli.capacity_table import make_table, spell
from proxy.compat.msgspec import DECODE_ERRORS
from proxy.errors import ConfigError
from proxy.validation import ValidationError, convert, field_schemas, parse_text

EXAMPLES = """\
examples:
  framekeep capacity --requests-per-day 100M --hit-ratio 0.95 --sources 2M
  framekeep capacity --requests-per-day 1M 100M 10G --sources 20k 2M 100M
  framekeep capacity --requests-per-day 100M --bucket --bucket-hit-ratio 0.3
  framekeep capacity --kind avif=0.9:120:15kB --kind jpeg=0.1:45:40kB --cores 16
  framekeep capacity --requests-per-day 100M --price core_hour=0.04 --price node_egress_gb=0.02
  framekeep capacity --figures measured.json --json
"""

S = TypeVar("S", bound=Struct)
T = TypeVar("T")

_COLUMNS = ("requests_per_day", "sources")
"""What may be different in each column."""

_MAX_COLUMNS = 6
_MAX_FILE_BYTES = 100_000
_NUMBER = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)([kMGT])", re.ASCII)
_SUFFIXES = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_KIND = re.compile(
    r"(?P<name>[a-z][a-z0-9_-]{0,31})=(?P<share>[^:]+):(?P<cpu_ms>[^:]+):(?P<bytes>[^:]+)"
)


def add_arguments(parser: ArgumentParser) -> None:
    for kind, title in ((Site, "your site"), (Machines, "nodes"), (Figures, "measured figures")):
        group = parser.add_argument_group(title)
        for name, option in _options(kind).items():
            _add_argument(group, kind, name, option)
    parser.add_argument(
        "--kind",
        action="append",
        default=[],
        metavar="NAME=SHARE:CPU_MS:BYTES",
        help="a kind of rendition: its share of all, CPU milliseconds of a miss, and bytes; may be "
        f"repeated, the shares add up to 1; default {_describe_kinds(Figures())}",
    )
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="FILE",
        help="measured figures: the JSON that bench/capacity.py writes",
    )
    parser.add_argument(
        "--price",
        action="append",
        default=[],
        metavar="NAME=PRICE",
        help=f"what you pay for one; may be repeated: {', '.join(_names(Prices))}",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    figures = _read_figures(args)
    machines = _convert(Machines, _given(args, Machines))
    prices = _read_prices(args.price)
    sites = _read_sites(args)
    columns = [(site, calculate(site, machines, figures, prices)) for site in sites]
    if args.json:
        print(_json(columns, machines, figures))
    else:
        for line in make_table(columns, machines):
            print(line)
    return 0


def _options(kind: type[Struct]) -> dict[str, str]:
    """The option of each field that has one."""
    described = (name for name, about in field_schemas(kind).items() if "description" in about[0])
    return {name: f"--{name.replace('_', '-')}" for name in described}


def _names(kind: type[Struct]) -> Sequence[str]:
    return [field.name for field in fields(kind)]


def _add_argument(group: Any, kind: type[Struct], name: str, option: str) -> None:
    schema = field_schemas(kind)[name][0]
    default = getattr(kind(), name)
    if isinstance(default, bool):
        group.add_argument(option, action="store_true", default=None, help=schema["description"])
        return
    several = name in _COLUMNS
    group.add_argument(
        option,
        metavar="NUMBER",
        nargs="+" if several else None,
        help=f"{schema['description']}; default {spell(default)}"
        + (", one for each column" if several else ""),
    )


def _describe_kinds(figures: Figures) -> str:
    return ", ".join(
        f"{name}={kind.share:g}:{kind.cpu_ms:g}:{spell(kind.bytes)}"
        for name, kind in figures.kinds.items()
    )


def _given(args: Namespace, kind: type[Struct]) -> dict[str, Any]:
    """The values of the options that were given, as text; a list where there may be several."""
    values = {name: getattr(args, name) for name in _options(kind)}
    return {name: value for name, value in values.items() if value is not None}


def _read_sites(args: Namespace) -> Sequence[Site]:
    given = {
        name: value if isinstance(value, list) else [value]
        for name, value in _given(args, Site).items()
    }
    count = max((len(values) for values in given.values()), default=1)
    for name, values in given.items():
        if count > _MAX_COLUMNS or len(values) not in {1, count}:
            raise ConfigError(
                f"{_options(Site)[name]}: must be one number, or one for each column, of which "
                f"there may be {_MAX_COLUMNS}; got {len(values)} for {count} columns"
            )
    return [
        _convert(Site, {name: values[index % len(values)] for name, values in given.items()})
        for index in range(count)
    ]


def _read_figures(args: Namespace) -> Figures:
    figures = {} if args.figures is None else _read_file(args.figures)
    kinds = {"kinds": _unique("--kind", map(_parse_kind, args.kind))} if args.kind else {}
    return _convert(Figures, {**figures, **_given(args, Figures), **kinds})


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
        if len(data) > _MAX_FILE_BYTES:
            raise ConfigError(f"--figures {path}: must have at most {_MAX_FILE_BYTES:,} bytes")
        figures = msgspec.json.decode(data, type=dict[str, Any])
        convert(Figures, figures)
    except OSError as error:
        raise ConfigError(f"--figures {path}: {error.strerror}") from error
    except DECODE_ERRORS as error:
        raise ConfigError(f"--figures {path}: must be a JSON object: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"--figures {path}: {error}") from error
    return figures


def _parse_kind(text: str) -> tuple[str, RenditionKind]:
    found = _KIND.fullmatch(text)
    if not found:
        raise ConfigError(
            f"--kind: must be NAME=SHARE:CPU_MS:BYTES, such as avif=0.9:215:15kB, not {text!r}"
        )
    values = found.groupdict()
    name = values.pop("name")
    return name, _convert(RenditionKind, values, f"--kind {name}: ")


def _read_prices(texts: Sequence[str]) -> Prices | None:
    if not texts:
        return None
    pairs = (text.partition("=") for text in texts)
    values = _unique("--price", ((name, value) for name, _, value in pairs))
    return _convert(Prices, values, "--price ")


def _unique(option: str, pairs: Iterable[tuple[str, T]]) -> dict[str, T]:
    """Raises ConfigError where a name is given twice."""
    values: dict[str, T] = {}
    for name, value in pairs:
        if name in values:
            raise ConfigError(f"{option} {name}: is given twice")
        values[name] = value
    return values


def _convert(kind: type[S], values: Mapping[str, Any], prefix: str = "") -> S:
    """Raises ConfigError, naming the option and its bounds."""
    try:
        return convert(kind, _parse(kind, values))
    except ValidationError as error:
        option = {**_options(kind), "kinds": "--kind"}.get(error.field)
        message = f"{option}: {error.reason}" if option else f"{prefix}{error}"
        raise ConfigError(message) from error


def _parse(kind: type[Struct], values: Mapping[str, Any]) -> dict[str, Any]:
    """Read texts such as ``1.5M``, and what settings understand for a field of that name."""
    known = field_schemas(kind)
    return {
        name: _parse_number(kind, name, value)
        if isinstance(value, str) and name in known
        else value
        for name, value in values.items()
    }


def _parse_number(kind: type[Struct], field: str, text: str) -> object:
    if found := _NUMBER.fullmatch(text):
        return float(found[1]) * _SUFFIXES[found[2]]
    return parse_text(kind, field, text)


def _json(columns: Sequence[tuple[Site, Capacity]], machines: Machines, figures: Figures) -> str:
    rows = [
        {"site": asdict(site), "machines": asdict(machines), "needed": asdict(capacity)}
        for site, capacity in columns
    ]
    document = {"figures": msgspec.to_builtins(figures), "columns": rows}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
