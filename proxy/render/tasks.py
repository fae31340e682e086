"""What render processes do when they get an order."""

from collections.abc import Sequence
from functools import lru_cache, partial

import pyvips

from proxy import operations
from proxy.buffers import Buffer, OutputWriter, SharedBuffer
from proxy.imaging import background_removal
from proxy.imaging.cost_model import HEAVY_SECONDS, decoding
from proxy.imaging.headers import probe
from proxy.imaging.image import Eye, Rendered, Seen
from proxy.imaging.info import describe
from proxy.imaging.info_model import Description
from proxy.imaging.shrink_on_load import Raster
from proxy.operations.pipeline import look, reduce, render
from proxy.render.messages import (
    DESCRIBE,
    LOOK,
    REDUCE,
    RENDER,
    LookOrder,
    ReduceOrder,
    RenderOrder,
    unpacked,
)
from proxy.render.protocol import Heavy, Lane, Work
from proxy.smartcrop.detector import Eye as Detectors
from proxy.smartcrop.models import ModelsConfig

# What libvips remembers of its operations is of use to whoever does the same again, and holds up to
# 100 MB. Here every picture is met once.
pyvips.cache_set_max(0)


@lru_cache(maxsize=4)
def eye_of(models: ModelsConfig) -> Eye:
    """The eye of a process: its detectors are loaded when something is first looked at."""
    return Detectors(models)


def _render(originals: Sequence[SharedBuffer], order: RenderOrder, lane: Lane) -> Rendered:
    picture, *others = (original.view() for original in originals)
    _weigh_decoding(picture, order.raster, lane)
    return render(
        picture,
        unpacked(order),
        order.outfit.limits,
        eye=eye_of(order.outfit.models),
        focus=order.focus,
        also=dict(zip(order.also, others, strict=True)),
        weigh=partial(_weigh, lane=lane),
        raster=order.raster,
    )


def _look(originals: Sequence[SharedBuffer], order: LookOrder, lane: Lane) -> Seen:
    (picture,) = (original.view() for original in originals)
    _weigh_decoding(picture, order.raster, lane)
    return look(
        picture,
        order.outfit.limits,
        eye=eye_of(order.outfit.models),
        focus=order.focus,
        raster=order.raster,
    )


def _describe(originals: Sequence[SharedBuffer], order: LookOrder, lane: Lane) -> Description:
    (picture,) = (original.view() for original in originals)
    _weigh_decoding(picture, None, lane)
    return describe(
        picture, order.outfit.limits, eye=eye_of(order.outfit.models), focus=order.focus
    )


def _reduce(originals: Sequence[SharedBuffer], order: ReduceOrder, lane: Lane) -> Raster:
    original, room = originals
    picture = original.view()
    _weigh_decoding(picture, None, lane)
    eye = eye_of(order.outfit.models)
    return reduce(
        picture, order.factor, order.outfit.limits, eye=eye, write=OutputWriter(room).write
    )


def _weigh_decoding(original: Buffer, raster: Raster | None, lane: Lane) -> None:
    if raster is None:
        _weigh(decoding(probe(original)), lane)


def _weigh(seconds: float, lane: Lane) -> None:
    """Raise Heavy where cheap work would have to stand behind what takes so long."""
    if lane == "live" and seconds > HEAVY_SECONDS:
        raise Heavy


WORKS = (
    Work.of(RENDER, _render),
    Work.of(LOOK, _look),
    Work.of(DESCRIBE, _describe),
    Work.of(REDUCE, _reduce),
)

SHARED = (background_removal, operations)
"""What orders name by module. Imported before the fork it is there at once, once for all."""
