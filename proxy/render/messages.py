"""How render processes are asked: an order and originals go in, a result comes out.

What HTTP workers need of it and no more: the work itself stands in `proxy.render.tasks`, whose
libraries would double what it takes to start a worker and the memory that it holds.
"""

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from proxy.buffers import SharedBuffer
from proxy.formats import Name
from proxy.imaging.image import Rendered, Seen
from proxy.imaging.info_model import Description
from proxy.imaging.shrink_on_load import Raster
from proxy.limits import Limits
from proxy.operations.plan import Operation, Plan, name_of
from proxy.originals import SourceRef
from proxy.render.protocol import Task
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.subject import Focus


class Outfit(Struct, frozen=True):
    """What a render process works with, the same in every order of one server.

    ``sight`` is the models' word for what they see.
    """

    limits: Limits
    models: ModelsConfig = ModelsConfig()
    sight: str = ""


class Step(Struct, frozen=True):
    """An operation on its way: where its class is found, and its fields."""

    module: str
    name: str
    values: dict[str, Any]


class RenderOrder(Struct, frozen=True):
    """Render the first original by a plan; ``also`` names the others.

    ``raster`` says that the first is decoded already, and what it is.
    """

    outfit: Outfit
    steps: tuple[Step, ...]
    offer: tuple[Name, ...]
    focus: Focus | None
    also: tuple[SourceRef, ...] = ()
    raster: Raster | None = None


class LookOrder(Struct, frozen=True):
    """Look at the original; the focus is taken as it is where it is known.

    ``raster`` says that the original is decoded already, and what it is.
    """

    outfit: Outfit
    focus: Focus | None
    raster: Raster | None = None


class ReduceOrder(Struct, frozen=True):
    """Decode the original, so many times smaller, into the room that comes after it."""

    outfit: Outfit
    factor: int


def render_order(
    outfit: Outfit,
    plan: Plan,
    focus: Focus | None,
    also: Mapping[SourceRef, SharedBuffer],
    raster: Raster | None = None,
) -> RenderOrder:
    """The order for a plan; its originals are the picture's, then those of ``also``."""
    return RenderOrder(outfit, _packed(plan), plan.offer, focus, tuple(also), raster)


def _packed(plan: Plan) -> tuple[Step, ...]:
    """The operations as they travel."""
    return tuple(
        Step(kind.__module__, kind.__qualname__, msgspec.structs.asdict(operation))
        for operation in plan
        for kind in (type(operation),)
    )


def unpacked(order: RenderOrder) -> Plan:
    """The plan of an order."""
    steps = (
        msgspec.convert({"type": name_of(kind), **step.values}, kind)
        for step in order.steps
        for kind in (_kind(step.module, step.name),)
    )
    return Plan(tuple(steps), order.offer)


@lru_cache(maxsize=256)
def _kind(module: str, name: str) -> type[Operation]:
    kind: type[Operation] = attrgetter(name)(import_module(module))
    return kind


RENDER = Task("render", RenderOrder, Rendered)
LOOK = Task("look", LookOrder, Seen)
DESCRIBE = Task("describe", LookOrder, Description)
REDUCE = Task("reduce", ReduceOrder, Raster)
