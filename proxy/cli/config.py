"""Print every setting: its value, where that comes from, its form and default, and its meaning."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from itertools import groupby

import msgspec

from proxy.config import PREFIX, Setting, described, load


def arguments(parser: ArgumentParser) -> None:
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="as JSON, for programs")
    forms.add_argument("--markdown", action="store_true", help="the defaults as a reference page")


def run(chosen: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    if chosen.markdown:
        print(reference(), end="")
        return 0
    rows = described(load(environment))
    if chosen.json:
        print(msgspec.json.format(msgspec.json.encode(rows)).decode())
        return 0
    for row in rows:
        origin = "" if row.origin == "default" else f"; set by {row.origin}"
        default = f"default {row.default}" if row.default else "no default"
        print(f"{row.variable}={row.value}\n    {row.meaning}\n    {row.form}; {default}{origin}")
    return 0


def reference() -> str:
    """The settings page of the documentation."""
    rows = described(load({}))
    parts = ["# Settings", _INTRODUCTION]
    for section, group in groupby(rows, key=_section):
        parts.append(f"## {section.capitalize()}")
        parts.append("\n".join(_line(row) for row in group))
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """\
Set them in the environment, or in a TOML file that `FRAMEKEEP_CONFIG` names; the environment wins.
`FRAMEKEEP_LINKS_KEYS` is `keys` in the section `[links]` of the file. In the environment, lists are
divided by commas and tables are JSON objects. An unknown name or a bad value stops the start with a
sentence for each. `framekeep config` prints what is in force, and where it comes from."""


def _section(row: Setting) -> str:
    return row.variable.removeprefix(PREFIX).partition("_")[0].lower()


def _line(row: Setting) -> str:
    default = f"`{row.default}`" if row.default else "nothing"
    return f"- **`{row.variable}`** — {row.meaning}\n  {row.form}; default {default}."
