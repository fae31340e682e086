"""Settings of thumbor and imagor links."""

from typing import Annotated, Literal

from msgspec import Meta

from proxy.links.source_rules import SourceRulesConfig
from proxy.validation import HidesSecrets

Key = Annotated[str, Meta(min_length=1, max_length=256)]
Quality = Annotated[int, Meta(ge=1, le=100)]


class FilterLinksConfig(
    SourceRulesConfig, HidesSecrets, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What links in both grammars have."""

    keys: Annotated[
        tuple[Key, ...],
        Meta(
            extra_json_schema={"writeOnly": True},
            description="Security keys, as text. Each of them verifies.",
        ),
    ] = ()

    allow_unsigned: Annotated[
        bool,
        Meta(
            description=(
                "Accept links with `unsafe` in place of the signature. Without it, the dialect "
                "does not start without a key."
            )
        ),
    ] = False

    skip_unknown_filters: Annotated[
        bool,
        Meta(
            description=(
                "Leave out filters that are unknown, not possible here or written wrongly, and log "
                "a warning, instead of answering with 400."
            )
        ),
    ] = False

    auto_format: Annotated[
        bool,
        Meta(description="Choose the format by the Accept header where a link names none."),
    ] = False

    quality: Annotated[
        Quality | None,
        Meta(description="Quality of links that name none. Without it, that of each format."),
    ] = None


class ThumborConfig(FilterLinksConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Links in thumbor's grammar, where `FRAMEKEEP_LINKS_MOUNTS` mounts the dialect `thumbor`."""

    default_scheme: Annotated[
        Literal["http", "https"],
        Meta(description="Scheme of a source that is written without one."),
    ] = "http"


class ImagorConfig(FilterLinksConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Links in imagor's grammar, where `FRAMEKEEP_LINKS_MOUNTS` mounts the dialect `imagor`."""

    signature_algorithm: Annotated[
        Literal["sha1", "sha256", "sha512"],
        Meta(description="Hash function of the signatures."),
    ] = "sha1"

    signature_length: Annotated[
        int,
        Meta(
            ge=0,
            le=88,
            description="Characters of a signature, from 16 on; 0: all that the hash gives.",
        ),
    ] = 0

    default_scheme: Annotated[
        Literal["http", "https"],
        Meta(description="Scheme of a source that is written without one."),
    ] = "https"

    def __post_init__(self) -> None:
        if 0 < self.signature_length < 16:
            raise ValueError("signature_length: must be 0, or 16 to 88")
