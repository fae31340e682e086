"""What the options of an imgproxy link add up to. Options set it one by one; the last one wins."""

from typing import Literal

from msgspec import Struct, field

from proxy.links.imgproxy.values import Gravity

ResizingType = Literal["fit", "fill", "fill-down", "force", "auto"]


class Extension(Struct, frozen=True):
    """Whether the canvas is extended, and where the picture is on it."""

    enabled: bool = False
    gravity: Gravity = field(default_factory=Gravity)


class CropOption(Struct, frozen=True):
    """Sides below 1 are fractions; without ``gravity`` the general one counts."""

    width: float
    height: float
    gravity: Gravity | None = None


class TrimOption(Struct, frozen=True):
    threshold: float = 10.0
    color: str | None = None
    is_equal_horizontally: bool = False
    is_equal_vertically: bool = False


class WatermarkOption(Struct, frozen=True):
    """``opacity`` 0 is off. ``position`` is that of the operation, or ``tile``."""

    opacity: float = 0.0
    position: str = "center"
    x_offset: float = 0.0
    y_offset: float = 0.0
    scale: float = 0.0


class GradientOption(Struct, frozen=True):
    opacity: float
    color: str = "000000"
    angle: float = 0.0
    start: float = 0.0
    stop: float = 1.0


class Pipeline(Struct):
    """One pass of imgproxy's fixed order of work; 0 is off or "not given"."""

    resizing_type: ResizingType = "fit"
    width: int = 0
    height: int = 0
    min_width: int = 0
    min_height: int = 0
    x_zoom: float = 1.0
    y_zoom: float = 1.0
    dpr: float = 1.0
    enlarge: bool = False
    extend: Extension = field(default_factory=Extension)
    extend_ratio: Extension = field(default_factory=Extension)
    gravity: Gravity = field(default_factory=Gravity)
    crop: CropOption | None = None
    trim: TrimOption | None = None
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Top, right, bottom, left."""
    rotate: int = 0
    flip_horizontally: bool = False
    flip_vertically: bool = False
    background: str | None = None
    blur: float = 0.0
    sharpen: float = 0.0
    pixelate: int = 0
    contrast: float = 1.0
    saturation: float = 1.0
    monochrome: str | None = None
    gradient: GradientOption | None = None
    blur_detections: tuple[float, str] | None = None
    watermark: WatermarkOption = field(default_factory=WatermarkOption)
    watermark_source: str = ""
    watermark_size: tuple[int, int] = (0, 0)
    watermark_angle: float = 0.0
    max_result_dimension: int = 0


class ImgproxyState(Struct):
    """Everything that the options of a link say: the pipelines, the output, and the response."""

    pipelines: list[Pipeline] = field(default_factory=lambda: [Pipeline()])
    format: str = ""
    quality: int = 0
    format_quality: dict[str, int] = field(default_factory=dict)
    encoders: dict[str, dict[str, object]] = field(default_factory=dict)
    """By format, the fields of the operation `encode`; None and false leave them out."""
    max_bytes: int = 0
    skip_formats: tuple[str, ...] = ()
    raw: bool = False
    page: int | None = None
    disable_animation: bool = False
    keep_copyright: bool = False
    max_megapixels: float = 0.0
    max_source_bytes: int = 0
    max_frames: int = 0
    max_frame_megapixels: float = 0.0
    cachebuster: str = ""
    expires: int = 0
    filename: str = ""
    attachment: bool = False
    tags: list[str] = field(default_factory=list)

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline that options set now."""
        return self.pipelines[-1]
