"""Settings of links."""

import re
from typing import Annotated

from msgspec import Meta, field

from proxy.validation import HidesSecrets

DEFAULT_DIALECT = "native"
"""The dialect at the root of the path, unless the operator mounts another one there."""

HexKey = Annotated[str, Meta(pattern="^([0-9A-Fa-f]{2}){16,128}$")]

# Shorter than any signature of a native link, so that no mount can hide one.
_PREFIX = re.compile(r"[a-z][a-z0-9-]{0,15}", re.ASCII)


class LinksConfig(HidesSecrets, frozen=True, forbid_unknown_fields=True):
    """Signatures, presets and dialects of links."""

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
        bool, Meta(description="Accept links with `_` in place of the signature.")
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

    mounts: Annotated[
        dict[str, str],
        Meta(
            description=(
                "URL dialects by the first segment of the path. The empty prefix is the root: it "
                "gets every path that begins with no other prefix."
            )
        ),
    ] = field(default_factory=lambda: {"": DEFAULT_DIALECT})

    def __post_init__(self) -> None:
        if not self.mounts:
            raise ValueError("mounts: no dialect is mounted, so no link could be served")
        for prefix in self.mounts:
            if prefix and not _PREFIX.fullmatch(prefix):
                raise ValueError(
                    f"mounts: invalid prefix {prefix!r}: a lower-case letter, then up to 15 "
                    "lower-case letters, digits or hyphens"
                )
