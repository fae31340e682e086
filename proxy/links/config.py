"""Settings of links."""

import re
from typing import Annotated

from msgspec import Meta, field

from proxy.errors import ConfigError
from proxy.formats import AUTO_FORMATS, FormatName
from proxy.imaging.optional_codecs import is_installed
from proxy.links.unsigned_config import UnsignedConfig
from proxy.validation import HidesSecrets

DEFAULT_DIALECT = "native"
"""The dialect at the root of the path, unless the operator mounts another one there."""

DEFAULT_MAX_RENDITIONS = 1000

HexKey = Annotated[
    str, Meta(pattern="^([0-9A-Fa-f]{2}){16,128}$", title="16 to 128 bytes in hexadecimal")
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
# Shorter than any signature of a native link, so that no mount can hide one. `_` alone is the
# signature of an unsigned one.
_PREFIX = re.compile(r"_?[a-z][a-z0-9-]{0,15}", re.ASCII)


class LinksConfig(HidesSecrets, frozen=True, forbid_unknown_fields=True):
    """Mounted dialects, and signatures, presets and fallback images of native links."""

    keys: Annotated[
        tuple[HexKey, ...],
        Meta(
            extra_json_schema={"writeOnly": True},
            description=(
                "Signing keys in hexadecimal, 16 to 128 bytes each. The first key signs, every key "
                "verifies."
            ),
        ),
    ] = ()

    allow_unsigned: Annotated[
        bool,
        Meta(
            description=(
                "Accept links with `_` in place of the signature, for all sources that `unsigned` "
                "does not bound."
            )
        ),
    ] = False

    presets: Annotated[
        dict[str, str],
        Meta(
            description=(
                'Named chains of operations, such as `{"card": "resize:400:300/convert:webp"}`. A '
                "link uses one as `preset:card`."
            )
        ),
    ] = field(default_factory=dict)

    fallbacks: Annotated[
        dict[str, str],
        Meta(
            description=(
                "Images that replace an original that cannot be fetched or read, by name, such as "
                '`{"avatar": "media:placeholders/avatar.png"}`. A link uses one as '
                "`fallback:avatar`."
            )
        ),
    ] = field(default_factory=dict)

    fallback: Annotated[
        str,
        Meta(description="Name of the fallback image of links that name none. Empty: none."),
    ] = ""

    fallback_status: Annotated[
        int,
        Meta(
            ge=0,
            le=599,
            description=(
                "Status of an answer with a fallback image: 200, or 400 to 599, or 0 for the "
                "status that the error has without a fallback image."
            ),
        ),
    ] = 200

    fallback_ttl: Annotated[
        int,
        Meta(
            ge=0,
            le=86_400,
            description="Time in seconds that a CDN may cache an answer with a fallback image.",
        ),
    ] = 60

    unsigned: Annotated[
        dict[str, UnsignedConfig],
        Meta(
            description=(
                "What unsigned links may request, by source: `ALIAS:`, a host, or `*` for all "
                'others, such as `{"media:": {}, "*": {"operations": ["resize", "convert"], '
                '"widths": [320, 640], "formats": ["webp"]}}`. Presets are always allowed; '
                "`operations`, `widths`, `heights`, `qualities` and `formats` list what else is."
            )
        ),
    ] = field(default_factory=dict)

    max_renditions: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description=(
                "Renditions of one original that a link with open fields, such as "
                "`resize:{320,640,960}`, may allow at most."
            ),
        ),
    ] = DEFAULT_MAX_RENDITIONS

    mounts: Annotated[
        dict[str, str],
        Meta(
            description=(
                "URL dialects by the first segment of the path, such as "
                '`{"": "native", "imgproxy": "imgproxy"}`. The empty prefix is the root: it gets '
                "every path that begins with no other prefix. Each dialect but `native` has a "
                "section of its own for keys, presets and sources."
            )
        ),
    ] = field(default_factory=lambda: {"": DEFAULT_DIALECT})

    auto_jxl: Annotated[
        bool,
        Meta(
            description=(
                "Answer clients whose `Accept` names `image/jxl` with JPEG XL where the format is "
                "`auto`, before AVIF and WebP. Needs `framekeep[jxl]`. A link then has up to eight "
                "renditions instead of four."
            )
        ),
    ] = False

    @property
    def auto_formats(self) -> tuple[FormatName, ...]:
        """What `auto` gives beyond JPEG, PNG and GIF to clients that name it, best first."""
        return ("jxl", *AUTO_FORMATS) if self.auto_jxl else AUTO_FORMATS

    @property
    def accept_groups(self) -> int:
        """How many renditions `auto` has: one for each set of these formats."""
        return 1 << len(self.auto_formats)

    def validate(self) -> None:
        """Raise ConfigError where a format is offered that cannot be written here."""
        if self.auto_jxl and not is_installed("jxl"):
            raise ConfigError(
                "FRAMEKEEP_LINKS_AUTO_JXL is true, and there is no encoder for JPEG XL: install "
                "framekeep[jxl], or remove the setting"
            )

    def __post_init__(self) -> None:
        for name in self.fallbacks:
            if not _NAME.fullmatch(name):
                raise ValueError(f"fallbacks: {name!r}: a name is 1 to 64 of A-Z a-z 0-9 _ -")
        if self.fallback and self.fallback not in self.fallbacks:
            raise ValueError(
                f"fallback: unknown name {self.fallback!r}; FRAMEKEEP_LINKS_FALLBACKS has: "
                f"{', '.join(sorted(self.fallbacks)) or 'none'}"
            )
        if self.fallback_status not in (0, 200) and self.fallback_status < 400:
            raise ValueError("fallback_status: must be 200, or 400 to 599, or 0")
        if not self.mounts:
            raise ValueError("mounts: no dialect is mounted, so no link could be served")
        for prefix in self.mounts:
            if prefix and not _PREFIX.fullmatch(prefix):
                raise ValueError(
                    f"mounts: invalid prefix {prefix!r}: a lower-case letter, then up to 15 "
                    "lower-case letters, digits or hyphens; an underscore may stand in front"
                )
