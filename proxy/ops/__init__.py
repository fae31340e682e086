"""The operations. A file here is an operation; the list below is the catalogue."""

from proxy.ops.auto_contrast import AutoContrast
from proxy.ops.blur import Blur
from proxy.ops.compress_to_size import CompressToSize
from proxy.ops.contrast import Contrast
from proxy.ops.convert import Convert
from proxy.ops.crop import Crop
from proxy.ops.denoise import Denoise
from proxy.ops.extend import Extend
from proxy.ops.flip import Flip
from proxy.ops.flop import Flop
from proxy.ops.frames import Frames
from proxy.ops.gamma import Gamma
from proxy.ops.grayscale import Grayscale
from proxy.ops.invert_colors import InvertColors
from proxy.ops.keep import Keep
from proxy.ops.modulate import Modulate
from proxy.ops.opacity import Opacity
from proxy.ops.pad import Pad
from proxy.ops.page import Page
from proxy.ops.pixelate import Pixelate
from proxy.ops.remove_background import RemoveBackground
from proxy.ops.remove_transparency import RemoveTransparency
from proxy.ops.resize import Resize
from proxy.ops.rotate import Rotate
from proxy.ops.round_corners import RoundCorners
from proxy.ops.sharpen import Sharpen
from proxy.ops.smart_crop import SmartCrop
from proxy.ops.strip import Strip
from proxy.ops.text import Text
from proxy.ops.threshold import Threshold
from proxy.ops.tint import Tint
from proxy.ops.trim import Trim
from proxy.ops.upscale import Upscale
from proxy.ops.watermark import Watermark
from proxy.plan import Operation

OPERATIONS: tuple[type[Operation], ...] = (
    Resize,
    Crop,
    SmartCrop,
    Extend,
    Pad,
    Trim,
    Rotate,
    Flip,
    Flop,
    RoundCorners,
    Blur,
    Sharpen,
    Denoise,
    Pixelate,
    Modulate,
    Contrast,
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
    Watermark,
    Text,
    Page,
    Frames,
    Keep,
    Strip,
    Convert,
    CompressToSize,
)
