"""The operations. A file here is an operation; the list below is the catalogue."""

from proxy.ops.blur import Blur
from proxy.ops.convert import Convert
from proxy.ops.crop import Crop
from proxy.ops.flip import Flip
from proxy.ops.flop import Flop
from proxy.ops.resize import Resize
from proxy.ops.rotate import Rotate
from proxy.ops.sharpen import Sharpen
from proxy.ops.smart_crop import SmartCrop
from proxy.plan import Operation

OPERATIONS: tuple[type[Operation], ...] = (
    Resize,
    Crop,
    SmartCrop,
    Rotate,
    Flip,
    Flop,
    Blur,
    Sharpen,
    Convert,
)
