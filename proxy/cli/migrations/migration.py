"""What a migration found out, and its text: settings as TOML, secrets and notes as comments."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from proxy.config import PREFIX

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Migration(Struct):
    """``secrets`` maps our variables to the others'; ``notes`` are what has no counterpart."""

    source: str
    sections: dict[str, dict[str, object]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    notes: list[tuple[str, str]] = field(default_factory=list)

    def set(self, section: str, name: str, value: object) -> None:
        self.sections.setdefault(section, {})[name] = value

    def set_secret(self, section: str, name: str, variable: str) -> None:
        """Note that the secret stays in the variable of the other server."""
        self.secrets[f"{PREFIX}{section}_{name}".upper()] = variable

    def note(self, name: str, reason: str) -> None:
        """Note why a setting is not carried over, or not the same."""
        self.notes.append((name, reason))

    def text(self) -> str:
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"# Settings of Framekeep, made from those of {self.source}."
        for section, values in self.sections.items():
            yield ""
            yield f"[{section}]"
            yield from (f"{name} = {_toml(value)}" for name, value in values.items())
        if self.secrets:
            yield ""
            yield "# Secrets stay where they are. Set in the environment:"
            yield from (f"#   {ours}=${{{theirs}}}" for ours, theirs in self.secrets.items())
        if self.notes:
            yield ""
            yield "# What has no counterpart, or another meaning:"
            yield from (f"#   {name}: {reason}" for name, reason in self.notes)


def _toml(value: object) -> str:
    match value:
        case bool() | int() | float():
            return json.dumps(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case Mapping():
            pairs = ", ".join(f"{_key(str(key))} = {_toml(item)}" for key, item in value.items())
            return f"{{ {pairs} }}"
        case Sequence():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            raise TypeError(f"no TOML for {type(value)}")


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
