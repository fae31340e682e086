"""The operations. One file for each; the tuple below lists the available ones."""

from proxy.operations.auto_contrast import AutoContrast
from proxy.operations.blur import Blur
from proxy.operations.blur_detections import BlurDetections
from proxy.operations.canvas import Canvas
from proxy.operations.compress_to_size import CompressToSize
from proxy.operations.contrast import Contrast
from proxy.operations.convert import Convert
from proxy.operations.crop import Crop
from proxy.operations.crop_region import CropRegion
from proxy.operations.crop_to import CropTo
from proxy.operations.denoise import Denoise
from proxy.operations.encode import Encode
from proxy.operations.extend import Extend
from proxy.operations.fit_box import FitBox
from proxy.operations.flip import Flip
from proxy.operations.flop import Flop
from proxy.operations.frames import Frames
from proxy.operations.gamma import Gamma
from proxy.operations.gradient import Gradient
from proxy.operations.grayscale import Grayscale
from proxy.operations.invert_colors import InvertColors
from proxy.operations.keep import Keep
from proxy.operations.limit import Limit
from proxy.operations.lqip import Lqip
from proxy.operations.modulate import Modulate
from proxy.operations.opacity import Opacity
from proxy.operations.operation import Operation
from proxy.operations.pad import Pad
from proxy.operations.page import Page
from proxy.operations.pass_through import PassThrough
from proxy.operations.pixelate import Pixelate
from proxy.operations.pixelate_detections import PixelateDetections
from proxy.operations.quality import Quality
from proxy.operations.remove_background import RemoveBackground
from proxy.operations.remove_transparency import RemoveTransparency
from proxy.operations.resize import Resize
from proxy.operations.rotate import Rotate
from proxy.operations.round_corners import RoundCorners
from proxy.operations.scale_to_box import ScaleToBox
from proxy.operations.sharpen import Sharpen
from proxy.operations.shift_colors import ShiftColors
from proxy.operations.smart_crop import SmartCrop
from proxy.operations.strip import Strip
from proxy.operations.text import Text
from proxy.operations.threshold import Threshold
from proxy.operations.thumbnail import Thumbnail
from proxy.operations.tint import Tint
from proxy.operations.trim import Trim
from proxy.operations.upscale import Upscale
from proxy.operations.watermark import Watermark

OPERATIONS: tuple[type[Operation], ...] = (
    Resize,
    Thumbnail,
    ScaleToBox,
    FitBox,
    Crop,
    CropTo,
    CropRegion,
    SmartCrop,
    Lqip,
    Extend,
    Pad,
    Canvas,
    Trim,
    Rotate,
    Flip,
    Flop,
    RoundCorners,
    Blur,
    BlurDetections,
    Sharpen,
    Denoise,
    Pixelate,
    PixelateDetections,
    Modulate,
    Contrast,
    ShiftColors,
    AutoContrast,
    Gamma,
    Grayscale,
    Tint,
    InvertColors,
    Threshold,
    Opacity,
    RemoveTransparency,
    RemoveBackground,
    Upscale,
    Gradient,
    Watermark,
    Text,
    Page,
    Frames,
    Keep,
    Strip,
    PassThrough,
    Limit,
    Convert,
    Encode,
    Quality,
    CompressToSize,
)
