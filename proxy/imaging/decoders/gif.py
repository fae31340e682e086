"""Decode GIFs with libvips, but composite frames here where it shows empty canvas in a color."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyvips

from proxy.buffers import Buffer
from proxy.errors import BrokenImage
from proxy.imaging.decoders import vips
from proxy.imaging.decoders.options import DecodeOptions
from proxy.imaging.headers import ImageHeader
from proxy.imaging.headers.gif_frames import (
    RESTORE_BACKGROUND,
    RESTORE_PREVIOUS,
    GifFrame,
    leaves_canvas_empty,
    read_frames,
    single_frame_file,
)
from proxy.imaging.metadata import get_field, set_fields

_Pixels = npt.NDArray[np.uint8]


def load_gif(original: Buffer, header: ImageHeader, options: DecodeOptions) -> pyvips.Image:
    """Decode frames, each as it is shown, below each other. Empty canvas is transparent."""
    image = vips.load_gif(original, header, options)
    with memoryview(original) as view:
        try:
            frames = read_frames(view)
        except (IndexError, ValueError) as error:
            raise BrokenImage("the gif is damaged", detail=str(error)) from error
        width, height = image.width, image.height // options.frame_count
        if not leaves_canvas_empty(frames, width, height):
            return image
        shown = np.empty((options.frame_count, height, width, 4), np.uint8)
        last = options.first_frame + options.frame_count
        for index, canvas in enumerate(_composite(view, frames[:last], width, height)):
            if index >= options.first_frame:
                shown[index - options.first_frame] = canvas
    composited = pyvips.Image.new_from_array(shown.reshape(-1, width, 4))
    return set_fields(
        composited.copy(interpretation="srgb"),
        pages=options.frame_count,
        delays=get_field(image, "delay"),
        loop=get_field(image, "loop"),
    )


def _composite(
    view: memoryview, frames: Sequence[GifFrame], width: int, height: int
) -> Iterator[_Pixels]:
    """The canvas as it is shown with each frame: RGBA of this height and width."""
    canvas = np.zeros((height, width, 4), np.uint8)
    for frame in frames:
        alone = vips.load_gif_frame(single_frame_file(view, frame, width, height))
        if not alone.hasalpha():
            raise BrokenImage("the gif is damaged", detail="a frame without an end")
        # Alone, a frame that sticks out enlarges the canvas, and libnsgif ignores a huge one.
        drawn = alone.numpy()[:height, :width]
        before, covered = canvas.copy(), canvas[: drawn.shape[0], : drawn.shape[1]]
        np.copyto(covered, drawn, where=drawn[:, :, 3:] > 0)
        yield canvas
        if frame.disposal == RESTORE_PREVIOUS:
            canvas = before
        elif frame.disposal == RESTORE_BACKGROUND:
            left, top, right, bottom = frame.box
            canvas[top:bottom, left:right] = 0
