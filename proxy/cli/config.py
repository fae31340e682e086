"""Print every setting: its value, type, default and meaning, and who set it."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from itertools import groupby

import msgspec
from msgspec import structs

from proxy.cli.startup_checks import run_startup_checks
from proxy.config import LoadedConfig, SettingInfo, Settings, describe_settings, load

EXAMPLES = """\
examples:
  framekeep config
  framekeep config --changed
  framekeep config --check
  framekeep config --json
"""

_INTRODUCTION = """\
Set these in the environment, or in a TOML file:

<!-- not run by the tests: needs your folders and your file -->
```sh
FRAMEKEEP_LINKS_KEYS=$(openssl rand -hex 32) framekeep serve
FRAMEKEEP_CONFIG=/etc/framekeep.toml framekeep serve
```

```toml
[links]
keys = ["..."]

[cache]
dir = "/var/cache/framekeep"
```

The environment overrides the file. In the environment, lists are separated by commas and tables are
JSON objects. An unknown name or an invalid value stops the start, with one line for each mistake.

`yes`, `on`, `no` and `off` are `true` and `false`. A number of bytes may have a unit: `B`, `kB`,
`MB`, `GB`, `TB`, or `KiB`, `MiB`, `GiB`, `TiB`. A time may have one, too: `ms`, `s`, `m`, `h`, `d`,
`w`. Examples are `10GB`, `512MiB`, `30s` and `1d`; a number alone is bytes or seconds. In the file,
put such values in quotes.

`framekeep config` prints the active values and where they come from."""

_ACRONYMS = {
    "cdn": "CDN",
    "api": "API",
    "imgproxy": "imgproxy",
    "imagor": "imagor",
    "thumbor": "thumbor",
}


def add_arguments(parser: ArgumentParser) -> None:
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="print JSON")
    formats.add_argument(
        "--markdown", action="store_true", help="print the reference page, with the defaults"
    )
    formats.add_argument(
        "--check",
        action="store_true",
        help="print nothing but what is wrong; the exit status is 0 where a server would start",
    )
    parser.add_argument(
        "--changed", action="store_true", help="only settings that are not left at their default"
    )


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    if args.markdown:
        print(reference(), end="")
        return 0
    loaded = load(environment)
    if args.check:
        return _check(loaded)
    rows = describe_settings(loaded)
    if args.changed:
        rows = [row for row in rows if row.origin != "default"]
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return 0
    for row in rows:
        origin = "" if row.origin == "default" else f"; set by {row.origin}"
        default = f"default {row.default}" if row.default else "no default"
        print(
            f"{row.variable}={row.value}\n    {row.description}\n    {row.type}; {default}{origin}"
        )
    return 0


def _check(loaded: LoadedConfig) -> int:
    """Run the checks that `serve` runs before it starts. Raises ConfigError."""
    loaded.settings.validate()
    results = [result for result in run_startup_checks(loaded.settings) if result.state != "ok"]
    for result in results:
        print("; ".join(filter(None, (result.message, result.advice))), file=sys.stderr)
    return 2 if any(result.state == "bad" for result in results) else 0


def reference() -> str:
    """Write the settings page of the documentation."""
    summaries = {section.name: section.type.__doc__ for section in structs.fields(Settings)}
    parts = ["# Settings", _INTRODUCTION]
    for section, rows in groupby(describe_settings(load({})), key=lambda row: row.section):
        title = _ACRONYMS.get(section) or section.replace("_", " ").capitalize()
        parts.append(f"## {title}")
        parts.append(f"{summaries[section]} In the file: `[{section}]`.")
        parts.append("\n".join(_list_item(row) for row in rows))
    return "\n\n".join(parts) + "\n"


def _list_item(row: SettingInfo) -> str:
    default = f"`{row.default}`" if row.default else "nothing"
    return f"- **`{row.variable}`** — {row.description}\n  {row.type}; default {default}."
