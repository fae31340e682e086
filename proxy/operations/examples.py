"""One example of each operation, for the reference: a link, and the pictures before and after."""

from typing import NamedTuple

BEFORE = "resize:280"
"""How pictures are shown before an operation."""


class Example(NamedTuple):
    """``steps`` as in a link, on a picture of the demo source.

    ``before`` are the steps of the picture that it is shown beside.
    """

    steps: str
    source: str = "beach.jpg"
    before: str = BEFORE

    @property
    def path(self) -> str:
        """The unsigned link, for a server that has the source ``demo``."""
        return f"/_/{self.steps}/demo:{self.source}"

    @property
    def before_name(self) -> str:
        """The file of the picture before, without a suffix."""
        steps = "" if self.before == BEFORE else f"-{self.before.replace(':', '-')}"
        return f"before-{self.source.partition('.')[0]}{steps}"


def _beach(*steps: str) -> Example:
    return Example("/".join((BEFORE, *steps, "convert:webp")))


_PIXELS = {
    "rotate": _beach("rotate:8:FFFFFF"),
    "flip": _beach("flip"),
    "flop": _beach("flop"),
    "round_corners": _beach("round_corners:40"),
    "blur": _beach("blur:4"),
    "blur_detections": Example(
        "smart_crop:280:280:face:1/blur_detections/convert:webp",
        before="smart_crop:280:280:face:1",
    ),
    "pixelate_detections": Example(
        "smart_crop:280:280:face:1/pixelate_detections/convert:webp",
        before="smart_crop:280:280:face:1",
    ),
    "sharpen": _beach("sharpen:1.5"),
    "denoise": _beach("denoise:5"),
    "pixelate": _beach("pixelate:10"),
    "modulate": _beach("modulate:1.1:1.8"),
    "shift_colors": _beach("shift_colors:40:10:-30"),
    "contrast": _beach("contrast:1.6"),
    "auto_contrast": _beach("auto_contrast"),
    "gamma": _beach("gamma:1.8"),
    "grayscale": _beach("grayscale"),
    "tint": _beach("tint:FF8800"),
    "invert_colors": _beach("invert_colors"),
    "threshold": _beach("threshold:128"),
    "opacity": _beach("opacity:40"),
    "remove_transparency": Example(
        "resize:280/remove_transparency:FFD166/convert:webp", "logo.png"
    ),
    "remove_background": Example("resize:280/remove_background/convert:webp", "product.jpg"),
    "upscale": Example("resize:140/upscale:2/convert:webp", before="resize:140"),
    "gradient": _beach("gradient:0.8"),
    "watermark": _beach(
        "watermark:demo%3Alogo.png:southeast:12:12:90:0.5:steps=rotate%3A-8%3Atransparent"
    ),
    "text": _beach("text:The%20beach%0Ain%20May:32:weight=bold:stroke=3:stroke_hex_color=0B57D0"),
}

_SIZES = {
    "resize": Example("resize:280:160:contain::F2D8A7/convert:webp"),
    "scale_to_box": Example("scale_to_box:200:280/convert:webp"),
    "fit_box": Example("fit_box:200:280:cover/convert:webp"),
    "thumbnail": Example("thumbnail:200:200:fill:0.45,0.35/convert:webp"),
    "crop": Example("crop:ratio=16x9:position=north/resize:280/convert:webp"),
    "crop_region": Example("crop_region:0.25:0.05:0.6:0.8:true/resize:200/convert:webp"),
    "crop_to": Example("crop_to:0.5:0.5:west/resize:280/convert:webp"),
    "smart_crop": Example("smart_crop:160:280/convert:webp"),
    "lqip": Example("lqip"),
    "extend": _beach("extend:10:10:10:60:0B57D0"),
    "pad": _beach("pad:280:280:center:blur"),
    "canvas": _beach("canvas:1:1:true:north:::F2D8A7"),
    "trim": Example("trim/resize:280/convert:webp", "product.jpg"),
}

_ORIGINALS = {
    "page": Example("page:12/resize:280/convert:webp", "orbit.gif"),
    "frames": Example("frames:1:8/resize:280/convert:webp", "orbit.gif"),
    "keep": _beach("keep:copyright"),
    "strip": _beach("strip"),
    "pass_through": Example("pass_through", "logo.png"),
    "limit": Example("limit:20/resize:280/convert:webp"),
    "convert": Example("resize:280/convert:jpeg:10"),
    "encode": Example("resize:280/convert:webp/encode:webp:lossless=true"),
    "quality": Example("resize:280/quality::60:5/convert:webp"),
    "compress_to_size": Example("resize:280/convert:webp/compress_to_size:4000"),
}

EXAMPLES = _SIZES | _PIXELS | _ORIGINALS
"""By the name of the operation."""

PICTURE_FORMATS = {"jpeg": "jpg", "png": "png", "webp": "webp"}
"""The formats of the pictures, and their suffixes."""
