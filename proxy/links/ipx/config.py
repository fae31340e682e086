"""Settings of IPX links."""

from typing import Annotated, Literal

from msgspec import Meta

from proxy.links.source_rules import SourceRulesConfig

AllowedSide = Annotated[int, Meta(ge=1, le=16_384)]
AllowedQuality = Annotated[int, Meta(ge=1, le=100)]
AllowedFormat = Literal["jpeg", "png", "webp", "avif", "gif", "heif", "auto"]


class IpxConfig(SourceRulesConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Links in IPX's grammar, where `FRAMEKEEP_LINKS_MOUNTS` mounts the dialect `ipx`.

    They are not signed, so the dialect does not start without `allow_sources`. Local sources begin
    with `/`; `base_url` is put in front of them.
    """

    allow_widths: Annotated[
        tuple[AllowedSide, ...],
        Meta(
            max_length=1000,
            description="When set, links may only have these widths, in pixels. Otherwise, every "
            "width up to `max_side`.",
        ),
    ] = ()

    allow_heights: Annotated[
        tuple[AllowedSide, ...],
        Meta(max_length=1000, description="The same for heights."),
    ] = ()

    max_side: Annotated[
        AllowedSide,
        Meta(description="Width and height that links may have at most, in pixels."),
    ] = 4096

    allow_qualities: Annotated[
        tuple[AllowedQuality, ...],
        Meta(description="When set, links may only have these qualities."),
    ] = ()

    allow_formats: Annotated[
        tuple[AllowedFormat, ...],
        Meta(description="Formats that links may have. `auto` chooses by the Accept header."),
    ] = ("jpeg", "png", "webp", "avif", "gif", "heif", "auto")

    allow_modifiers: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...],
        Meta(
            max_length=200,
            description="Modifiers that links may have beside size, quality and format: names, "
            "such as `blur`, or names with one value, such as `blur_5`.",
        ),
    ] = ("fit", "position", "enlarge", "animated", "kernel")

    max_renditions: Annotated[
        int,
        Meta(
            ge=0,
            description="Renditions of one source that the lists may allow at most; the dialect "
            "does not start if they allow more. 0: any number.",
        ),
    ] = 1_000_000_000
