"""What travels down the fold, and what comes out at its end."""

from collections.abc import Mapping
from typing import Literal, Protocol

import pyvips
from msgspec import Struct, field, structs

from proxy.formats import Name
from proxy.geometry import Size, within
from proxy.imaging.alpha import Change, weighted
from proxy.originals import SourceRef
from proxy.smartcrop.subject import Focus

LOOKED_AT = Size(640, 640)
"""What an eye is given need not be larger: no subject that matters is lost at this size."""

_FRAMES_LOOKED_AT = 3


def preview(natural: Size) -> Size:
    """The size at which a picture is looked at; its own where that is smaller."""
    return min(natural, within(natural, LOOKED_AT))


class Packaging(Struct, frozen=True):
    """How the picture shall be written, once every operation is done.

    ``format`` "auto" means the best one of ``offer`` (what the asker takes beyond jpeg, png and
    gif) for this picture. ``quality`` is 1 to 100, None for the format's default;
    ``max_bytes`` bounds the file. ``keep`` names the metadata that stays.
    """

    format: Name | Literal["auto"]
    quality: int | None = None
    max_bytes: int | None = None
    offer: tuple[Name, ...] = ()
    keep: tuple[Literal["copyright"], ...] = ()


class Animation(Struct, frozen=True):
    """Milliseconds each frame is shown, and how often the whole is played; 0 is for ever."""

    delays: tuple[int, ...]
    loop: int = 0


class Eye(Protocol):
    """Sees where the subject of a picture is."""

    def look(self, *frames: pyvips.Image) -> Focus:
        """The evidence in one or more frames, together: one window has to serve them all.

        They are 8-bit sRGB, upright, with or without alpha, of any size, all of the same.
        """
        ...


class Picture(Struct, frozen=True):
    """An image on its way through the plan.

    ``image`` is 8-bit sRGB, upright, with three bands or four (straight alpha); the frames of an
    animation stand below each other, each as tall as ``image.height / frames``. ``natural`` is the
    size that one frame stands for: the raster may be smaller where the decoder shrank it while
    loading, and is exactly that size from the first operation on that has changed it.
    ``focus`` is what is known of the subject of this very frame; None until somebody looked.
    ``whole`` holds as long as the frame is all of the original's; ``found`` is what somebody saw
    then, in this render, and stays. ``also`` holds the second images by their addresses.
    ``own`` is the original's format as long as every pixel is as it was coded there. ``rights`` is
    what the file said about them: names of EXIF fields and their texts.
    """

    image: pyvips.Image
    natural: Size
    packaging: Packaging
    eye: Eye
    focus: Focus | None = None
    animation: Animation | None = None
    decided: str = ""
    whole: bool = True
    found: Focus | None = None
    also: Mapping[SourceRef, pyvips.Image] = field(default_factory=dict)
    own: Name | None = None
    rights: Mapping[str, str] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        return len(self.animation.delays) if self.animation else 1

    @property
    def raster(self) -> Size:
        """The size of one frame as it lies in memory."""
        return Size(self.image.width, self.image.height // self.frames)

    def recoloured(self, image: pyvips.Image) -> "Picture":
        """The same frame with other pixels in it: everything that is known of it still holds."""
        return structs.replace(self, image=image, own=self._own(image))

    def reframed(self, image: pyvips.Image) -> "Picture":
        """Another frame: what was known of the subject's place no longer holds."""
        size = Size(image.width, image.height // self.frames)
        return structs.replace(
            self,
            image=image,
            natural=size,
            focus=None,
            whole=False,
            own=self._own(image),
        )

    def scaled(self, image: pyvips.Image) -> "Picture":
        """The whole frame at another size: the subject is where it was, relative to the frame."""
        size = Size(image.width, image.height // self.frames)
        return structs.replace(self, image=image, natural=size, own=self._own(image))

    def _own(self, image: pyvips.Image) -> Name | None:
        return self.own if image is self.image else None

    def each(self, change: Change, *, mixing: bool = False) -> pyvips.Image:
        """The image with ``change`` done to every frame by itself; all results are one size.

        ``mixing`` says that neighbouring pixels are mixed: colours are then weighted by alpha.
        """
        if mixing:
            return weighted(self.image, lambda image: self._framewise(image, change))
        return self._framewise(self.image, change)

    def _framewise(self, image: pyvips.Image, change: Change) -> pyvips.Image:
        if self.frames == 1:
            return change(image)
        height = self.raster.height
        frames = [
            change(image.crop(0, at * height, image.width, height)) for at in range(self.frames)
        ]
        return pyvips.Image.arrayjoin(frames, across=1)

    def placed(self, decided: str) -> "Picture":
        """The same picture; ``decided`` says what its window was placed by."""
        return structs.replace(self, decided=decided)

    def settled(self) -> "Picture":
        """The same pixels in memory: decoders stream them once, from top to bottom."""
        return structs.replace(self, image=self.image.copy_memory())

    def seen(self) -> "tuple[Picture, Focus]":
        """The same picture and its focus; its pixels are in memory if the eye had to look."""
        if self.focus is not None:
            return self, self.focus
        settled = self.settled()
        focus = settled.look()
        found = focus if self.whole else self.found
        return structs.replace(settled, focus=focus, found=found), focus

    def look(self) -> Focus:
        """The evidence in a few of the frames."""
        looks = min(self.frames, _FRAMES_LOOKED_AT)
        height = self.raster.height
        spread = [look * (self.frames - 1) // max(1, looks - 1) for look in range(looks)]
        return self.eye.look(
            *(self.image.crop(0, at * height, self.image.width, height) for at in spread)
        )

    def packaged(self, **changes: object) -> "Picture":
        """The same picture, to be written differently."""
        return structs.replace(self, packaging=structs.replace(self.packaging, **changes))


class Rendition(Struct, frozen=True):
    """A finished image.

    ``decided`` says what placed a subject-aware window (``face`` … ``center``), empty without one.
    """

    body: bytes
    format: Name
    size: Size
    decided: str = ""


class Rendered(Struct, frozen=True):
    """A rendition, and what was learnt on the way.

    ``focus`` is what the eye saw in the whole original, to be kept for its other sizes; None when
    nobody had to look, or when it was handed in.
    """

    rendition: Rendition
    focus: Focus | None = None


class Seen(Struct, frozen=True):
    """What is known of an original: its upright size, and where the eye goes in it."""

    size: Size
    frames: int
    focus: Focus
