"""Operation: the base class of every step in a plan, its name and its text form."""

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import ClassVar
from urllib.parse import quote

from msgspec import Struct, structs

from proxy.geometry import Size
from proxy.imaging.headers import ImageHeader
from proxy.imaging.picture import Picture
from proxy.originals import SourceRef
from proxy.validation import is_color


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Operation(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag=_snake_case,
):
    """One step of a plan.

    The class name in snake case is the operation's name in links and JSON. Its fields are the
    arguments, in the order of a link; their annotations hold bounds and descriptions. Docstring and
    descriptions are what users read in docs/operations.md and in the OpenAPI document.
    """

    aliases: ClassVar[Mapping[str, str]] = {}
    """Accepted names of fields, and the fields. Names without their unit are accepted anyway."""

    multiline_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields that may have line breaks; in others control characters are refused."""

    changes_pixels: ClassVar[bool] = True
    """False where only decoding or encoding is affected. Decoding then uses the `required_size` of
    the next operation."""

    changes_size: ClassVar[bool | None] = None
    """Whether the size of a frame changes, as its size and the arguments alone decide. None: pixels
    decide it. What follows is then checked only once it is carried out."""

    nanoseconds_per_pixel: ClassVar[float] = 30.0
    """CPU time for each pixel of its input or its result, whichever has more."""

    reads_original: ClassVar[bool] = False
    """True where the operation looks at the original itself before it is decoded."""

    def apply(self, picture: Picture) -> Picture:
        """Carry out this step. Raises an ImageError where the picture does not allow it."""
        raise NotImplementedError

    def required_size(self, natural: Size) -> Size | None:
        """Return the smallest decoded size that gives the same result, for shrink-on-load.

        None requires every pixel. Called only for the first operation that changes pixels.
        """
        return None

    def pixel_cost(self) -> float:
        """Nanoseconds of CPU time for each pixel, where the arguments decide it."""
        return self.nanoseconds_per_pixel

    def scales_to_pixels(self) -> bool:
        """Whether the picture is scaled to a size in pixels.

        From there on, sizes of a plan are those of the result and no longer those of the original.
        """
        return False

    def only_moves_pixels(self) -> bool:
        """Whether pixels are only scaled, cut out and turned, so that a gain map still fits."""
        return not self.changes_pixels

    def keeps_hdr(self) -> bool | None:
        """Whether an HDR gain map is kept from here on; None where that does not change."""
        return None

    def fixed_seconds(self, _size: Size, _frames: int) -> float:
        """CPU time beside that for each pixel and one detection of the subject."""
        return 0.0

    def uses_detection(self) -> bool:
        """Whether the result depends on where the subject is."""
        return False

    def page_range(self) -> tuple[int, int] | None:
        """The first and last frame or page to decode, counted from 1; None for all."""
        return None

    def check_original(self, header: ImageHeader, size_in_bytes: int) -> None:
        """Raise an ImageError where the original is not accepted; for `reads_original` only."""

    def frame_range(self, header: ImageHeader) -> tuple[int, int] | None:
        """The frames to decode of an original that has more, where no operation selects some."""
        return None

    def sends_original(self, header: ImageHeader, output_formats: tuple[str, ...]) -> bool:
        """Whether the original itself is the result; for `reads_original` only.

        ``output_formats`` are the formats that the result may have otherwise.
        """
        return False

    def extra_sources(self) -> tuple[SourceRef, ...]:
        """Further images that the operation needs, fetched before rendering.

        `apply` finds them in `Picture.extra_images`.
        """
        return ()

    def extra_steps(self) -> tuple["Operation", ...]:
        """What is carried out on each of these images before `apply` finds it."""
        return ()


def operation_name(operation: Operation | type[Operation]) -> str:
    """The operation's name in links and JSON."""
    return str(operation.__struct_config__.tag)


def format_operation(operation: Operation, *, with_defaults: bool = False) -> str:
    """Write the operation as a link step, ``name:value:value``.

    Defaults at the end are left out unless ``with_defaults`` is set. Colors have no ``#``, which a
    link cannot contain as it is.
    """
    kind = type(operation)
    fields = _fields(kind)
    colors = _color_fields(kind)
    values = [getattr(operation, field.name) for field in fields]
    if not with_defaults:
        while values and values[-1] == fields[len(values) - 1].default:
            values.pop()
    texts = (
        quote(value.removeprefix("#"), safe="")
        if isinstance(value, str) and field.name in colors
        else _format_value(value, with_defaults=with_defaults)
        for field, value in zip(fields, values, strict=False)
    )
    return ":".join((operation_name(operation), *texts))


@lru_cache(maxsize=1024)
def _fields(kind: type[Operation]) -> tuple[structs.FieldInfo, ...]:
    # Cached: msgspec builds them on every call, which was a third of the time to write a link.
    return structs.fields(kind)


@lru_cache(maxsize=1024)
def _color_fields(kind: type[Operation]) -> frozenset[str]:
    return frozenset(field.name for field in _fields(kind) if is_color(kind, field.name))


def _format_value(value: object, *, with_defaults: bool = False) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() else f"{Decimal(repr(value)):f}"
        case Operation():
            return format_operation(value, with_defaults=with_defaults)
        case tuple():
            texts = [_format_value(part, with_defaults=with_defaults) for part in value]
            has_steps = isinstance(next(iter(value), None), Operation)
            return quote("/".join(texts), safe="") if has_steps else ",".join(texts)
        case _:
            return quote(str(value), safe="")
