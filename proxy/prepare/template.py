"""Names of files by a template, such as ``img/{preset}/{path}.{ext}``."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from proxy.errors import ConfigError, InvalidSource
from proxy.prepare.job import Wanted
from proxy.prepare.listing import BUCKET_SCHEMES
from proxy.prepare.manifest import ManifestRow

PLACEHOLDERS = ("preset", "path", "suffix", "host", "version", "accept", "ext", "key")

EXTENSIONS = {"jpeg": "jpg"}
"""Where the extension of a format is not its name."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_MAX_SEGMENT_BYTES = 240
_MAX_NAME_BYTES = 1000


class NameTemplate(NamedTuple):
    """``location`` is a folder or the URL of a bucket, ``pattern`` names the files below it."""

    location: str
    pattern: str

    @classmethod
    def parse(cls, text: str) -> "NameTemplate":
        """Split a template at its last slash before the first placeholder. Raises ConfigError."""
        path, query = text, ""
        if text.startswith(BUCKET_SCHEMES):
            path, question, options = text.partition("?")
            query = question + options
        used = _PLACEHOLDER.findall(path)
        for name in used:
            if name not in PLACEHOLDERS:
                raise ConfigError(
                    f"--to: {{{name}}} is no placeholder; they are: "
                    f"{', '.join(f'{{{one}}}' for one in PLACEHOLDERS)}"
                )
        if not {"path", "key"} & set(used):
            raise ConfigError(
                f"--to {text}: must be `cache`, `shared`, or a template with {{path}} or {{key}}, "
                "such as img/{preset}/{path}.{ext}"
            )
        folder, _, _ = path[: path.index("{")].rpartition("/")
        if path.startswith(BUCKET_SCHEMES) and folder.count("/") < 2:
            raise ConfigError(f"--to {text}: a bucket is written s3://bucket/prefix/…")
        start = len(folder) + 1 if folder or path.startswith("/") else 0
        location = folder or ("/" if path.startswith("/") else ".")
        return cls(location + query, path[start:])

    def check(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Raise ConfigError where two of these presets and classes of clients share a name."""
        if "{key}" in self.pattern:
            return
        presets = {preset for preset, _ in pairs}
        if len(presets) > 1 and "{preset}" not in self.pattern:
            raise ConfigError("--to: several presets would have the same name; add {preset}")
        classes = {accept for _, accept in pairs}
        if len(classes) > 1 and not any(one in self.pattern for one in ("{accept}", "{ext}")):
            raise ConfigError(
                "--to: several classes of clients would have the same name; add {accept} or {ext}"
            )

    def base_name(self, row: ManifestRow) -> str:
        """What is the same in all names of a row, to find rows that would share them.

        Empty where no two can. Raises InvalidSource.
        """
        if "{key}" in self.pattern:
            return ""
        return self._fill(row, {"preset": "*", "accept": "*", "ext": "*"})

    def name(self, row: ManifestRow, wanted: Wanted, format: str) -> str:
        """The name of a rendition in this format. Raises InvalidSource."""
        values = {
            "preset": wanted.preset,
            "accept": wanted.accept or "any",
            "ext": EXTENSIONS.get(format, format),
            "key": wanted.request.key,
        }
        return self._fill(row, values)

    def _fill(self, row: ManifestRow, values: dict[str, str]) -> str:
        host, path, suffix = _split_source(row.source)
        values |= {"host": host, "path": path, "suffix": suffix, "version": row.version}
        name = _PLACEHOLDER.sub(lambda match: values[match[1]], self.pattern)
        segments = name.split("/")
        for segment in segments:
            if not segment or segment.startswith(".") or _UNSAFE.search(segment):
                raise InvalidSource(f"no file can have the name {name[:200]!r}")
            if len(segment.encode(errors="replace")) > _MAX_SEGMENT_BYTES:
                raise InvalidSource(
                    f"file name too long: {segment[:60]!r}…, at most {_MAX_SEGMENT_BYTES} bytes"
                )
        if len(name.encode(errors="replace")) > _MAX_NAME_BYTES:
            raise InvalidSource(f"file name too long: at most {_MAX_NAME_BYTES} bytes")
        return name


def _split_source(source: str) -> tuple[str, str, str]:
    """Host or alias, path without its suffix, and the suffix with its dot."""
    if source.startswith(("http://", "https://")):
        parts = urlsplit(source)
        host, path = parts.netloc.rpartition("@")[2].replace(":", "-"), unquote(parts.path)
    else:
        host, _, path = source.partition(":")
    path = path.lstrip("/")
    suffix = PurePosixPath(path).suffix
    return host, path.removesuffix(suffix), suffix
