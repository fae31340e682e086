"""Settings of imgproxy links."""

from typing import Annotated, Literal

from msgspec import Meta, field

from proxy.links.source_rules import SourceRulesConfig
from proxy.validation import HidesSecrets

HexBytes = Annotated[
    str, Meta(pattern="^([0-9A-Fa-f]{2}){1,128}$", title="1 to 128 bytes in hexadecimal")
]
QualityLevel = Annotated[int, Meta(ge=1, le=100)]
QualityFormat = Literal["jpeg", "webp", "avif", "heif", "jxl"]


class ImgproxyConfig(
    SourceRulesConfig, HidesSecrets, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Links in imgproxy's grammar, where `FRAMEKEEP_LINKS_MOUNTS` mounts the dialect `imgproxy`."""

    keys: Annotated[
        tuple[HexBytes, ...],
        Meta(
            extra_json_schema={"writeOnly": True},
            description="Keys in hexadecimal; each belongs to the salt at its place in the list.",
        ),
    ] = ()

    salts: Annotated[
        tuple[HexBytes, ...],
        Meta(
            extra_json_schema={"writeOnly": True},
            description="Salts in hexadecimal, as many as there are keys.",
        ),
    ] = ()

    signature_size: Annotated[int, Meta(ge=1, le=32, description="Bytes of a signature.")] = 32

    trusted_signatures: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...],
        Meta(
            extra_json_schema={"writeOnly": True},
            description="Texts that are accepted in place of any signature.",
        ),
    ] = ()

    allow_unsigned: Annotated[
        bool,
        Meta(
            description=(
                "Accept links whatever their signature. Without it, the dialect does not start "
                "without a key."
            )
        ),
    ] = False

    presets: Annotated[
        dict[str, str],
        Meta(
            description=(
                'Options by name, such as `{"card": "rs:fill:400:300/q:80"}`. A link uses them as '
                "`pr:card`; those of `default` hold for every link."
            )
        ),
    ] = field(default_factory=dict)

    only_presets: Annotated[
        bool,
        Meta(description="Whether links have names of presets, `card:sharp`, and no options."),
    ] = False

    allow_options: Annotated[
        tuple[str, ...],
        Meta(description="When set, only these options are allowed, other than in presets."),
    ] = ()

    allow_security_options: Annotated[
        bool,
        Meta(
            description=(
                "Allow the options that bound the original and the result, such as "
                "`max_src_resolution`."
            )
        ),
    ] = False

    arguments_separator: Annotated[
        str, Meta(min_length=1, max_length=8, description="What separates the values of an option.")
    ] = ":"

    base64_url_includes_filename: Annotated[
        bool,
        Meta(description="Whether the last segment of a Base64 source is a file name to ignore."),
    ] = False

    source_url_encryption_keys: Annotated[
        tuple[HexBytes, ...],
        Meta(
            extra_json_schema={"writeOnly": True},
            description=(
                "Keys in hexadecimal, 16, 24 or 32 bytes each, that encrypted sources "
                "(`enc/…`) are decrypted with."
            ),
        ),
    ] = ()

    auto_format: Annotated[
        bool,
        Meta(description="Choose the format by the Accept header where a link names none."),
    ] = False

    quality: Annotated[
        QualityLevel | None,
        Meta(description="Quality of links that name none. Without it, that of each format."),
    ] = None

    format_quality: Annotated[
        dict[QualityFormat, QualityLevel],
        Meta(description='The same for single formats, such as `{"avif": 60}`.'),
    ] = field(default_factory=dict)

    keep_copyright: Annotated[
        bool, Meta(description="Keep the copyright notice and the author's name.")
    ] = False

    return_attachment: Annotated[
        bool, Meta(description="Whether browsers save the image instead of showing it.")
    ] = False

    max_animation_frames: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000,
            description="Frames of an animation that are kept; 0: all of them.",
        ),
    ] = 0

    skip_formats: Annotated[
        tuple[Literal["jpeg", "png", "webp", "avif", "gif", "heif", "jxl"], ...],
        Meta(
            description="Formats of originals that are sent as they are if no other is requested."
        ),
    ] = ()

    watermark: Annotated[
        str,
        Meta(
            description=(
                "Source of the watermark, such as `media:logo.png`. Without it, the option "
                "`watermark` is an error."
            )
        ),
    ] = ""

    watermark_opacity: Annotated[
        float,
        Meta(gt=0, le=1, description="Factor for the opacity of watermarks."),
    ] = 1.0
