"""Print every setting: its value, type, default and meaning, and who set it."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from itertools import groupby

import msgspec
from msgspec import structs

from proxy.config import SettingInfo, Settings, describe_settings, load

EXAMPLES = """\
examples:
  framekeep config
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


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    if args.markdown:
        print(reference(), end="")
        return 0
    rows = describe_settings(load(environment))
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
