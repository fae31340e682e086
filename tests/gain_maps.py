"""JPEGs with an HDR gain map, drawn by code and written by libultrahdr."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips

from proxy.imaging.decoders import vips  # blocks what the product does not use, first

Light = npt.NDArray[np.float32]

assert vips


def hdr_scene(width: int = 400, height: int = 300) -> Light:
    """Linear light, in which 1 is white: a dim scene with a lamp three times as bright as white."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = np.stack([0.6 * x / width, 0.6 * y / height, np.full_like(x, 0.2)], axis=-1)
    light[height // 3 : height // 2, width * 5 // 8 : width * 7 // 8] = (4.0, 3.5, 3.0)
    return light


def ultra_hdr(light: Light | None = None, *, orientation: int = 1) -> bytes:
    """An Ultra HDR file, whose gain map has half of its resolution."""
    image = pyvips.Image.new_from_array(hdr_scene() if light is None else light)
    image = image.copy(interpretation="scrgb")
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    return bytes(image.uhdrsave_buffer(Q=92, gainmap_scale_factor=2))


def with_gain_map(base: npt.NDArray[np.uint8], gains: npt.NDArray[np.uint8]) -> bytes:
    """A file with this picture and this gain map, gray or in color: 255 is four times as bright."""
    image = pyvips.Image.new_from_array(base).copy(interpretation="srgb")
    gain_map: Any = pyvips.Image.new_from_array(gains)
    gain_map = gain_map.copy(interpretation="srgb" if gains.ndim > 2 else "b-w")
    floats = pyvips.GValue.array_double_type
    image.set_type(pyvips.GValue.blob_type, "gainmap-data", gain_map.jpegsave_buffer(Q=95))
    image.set_type(floats, "gainmap-max-content-boost", [4.0, 4.0, 4.0])
    image.set_type(floats, "gainmap-min-content-boost", [1.0, 1.0, 1.0])
    image.set_type(floats, "gainmap-gamma", [1.0, 1.0, 1.0])
    image.set_type(floats, "gainmap-offset-sdr", [0.0, 0.0, 0.0])
    image.set_type(floats, "gainmap-offset-hdr", [0.0, 0.0, 0.0])
    image.set_type(pyvips.GValue.gdouble_type, "gainmap-hdr-capacity-min", 1.0)
    image.set_type(pyvips.GValue.gdouble_type, "gainmap-hdr-capacity-max", 4.0)
    image.set_type(pyvips.GValue.gint_type, "gainmap-use-base-cg", 1)
    image.set_type(pyvips.GValue.gint_type, "gainmap-scale-factor", 1)
    return bytes(image.uhdrsave_buffer(Q=95, keep=32))


def shown_light(body: bytes) -> Light:
    """Linear light on a screen that shows all of it, in which 1 is white; by libultrahdr."""
    pyvips.operation_block_set("VipsForeignLoadJpegSource", False)  # the product needs no pixels
    try:
        light: Light = pyvips.Image.uhdrload_buffer(body).uhdr2scRGB().numpy()
    finally:
        pyvips.operation_block_set("VipsForeignLoadJpegSource", True)
    return light


def gain_map(body: bytes) -> npt.NDArray[np.uint8] | None:
    """The gain map of a file, None without one."""
    try:
        image = pyvips.Image.uhdrload_buffer(body)
        data: Any = image.get("gainmap-data")
    except pyvips.Error:
        return None
    pixels: npt.NDArray[np.uint8] = pyvips.Image.jpegload_buffer(data).numpy()
    return pixels
