"""Settings of unsigned links that lists bound."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from proxy.formats import FormatName
from proxy.operations.convert import QualityName
from proxy.operations.params import Side


class UnsignedConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What unsigned links to a source may request. Links of presets alone are always allowed.

    An empty list allows no such value. ``operations`` are names, such as ``resize``, or whole
    steps, such as ``blur:5``.
    """

    operations: Annotated[tuple[str, ...], Meta(max_length=100)] = ()
    widths: Annotated[tuple[Side, ...], Meta(max_length=1000)] = ()
    heights: Annotated[tuple[Side, ...], Meta(max_length=1000)] = ()
    qualities: Annotated[
        tuple[Annotated[int, Meta(ge=1, le=100)] | QualityName, ...], Meta(max_length=100)
    ] = ()
    formats: Annotated[tuple[FormatName | Literal["auto"], ...], Meta(max_length=20)] = ()
