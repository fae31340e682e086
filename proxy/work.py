"""What render processes do, and how they are asked: an order and originals in, a result out.

Both ends of the way between a worker and a render process stand here, so that they agree.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from proxy.blob import Blob, Buffer
from proxy.containers import Header, probe
from proxy.description import Description
from proxy.focus.evidence import Focus
from proxy.focus.models import Models
from proxy.formats import Name
from proxy.handover import Heavy, Lane, Work
from proxy.limits import Limits
from proxy.originals import Address
from proxy.picture import Eye
from proxy.plan import Operation, Plan, name_of
from proxy.render import Rendered, Seen, look, render

HEAVY = 30_000_000
"""Pixels to be decoded, scan by scan, from which on an original waits where dear work waits."""


class Outfit(Struct, frozen=True):
    """What a render process works with, the same in every order of one server.

    ``sight`` is the models' word for what they see.
    """

    limits: Limits
    models: Models = Models()
    sight: str = ""


class Step(Struct, frozen=True):
    """An operation on its way: where its class is found, and its fields."""

    module: str
    name: str
    values: dict[str, Any]


class RenderOrder(Struct, frozen=True):
    """Render the first original by a plan; ``also`` names the others."""

    outfit: Outfit
    steps: tuple[Step, ...]
    offer: tuple[Name, ...]
    focus: Focus | None
    also: tuple[Address, ...] = ()


class LookOrder(Struct, frozen=True):
    """Look at the original; the focus is taken as it is where it is known."""

    outfit: Outfit
    focus: Focus | None


def render_order(
    outfit: Outfit, plan: Plan, focus: Focus | None, also: Mapping[Address, Blob]
) -> RenderOrder:
    """The order for a plan; its originals are the picture's, then those of ``also``."""
    return RenderOrder(outfit, _packed(plan), plan.offer, focus, tuple(also))


def _packed(plan: Plan) -> tuple[Step, ...]:
    """The operations as they travel."""
    return tuple(
        Step(kind.__module__, kind.__qualname__, msgspec.structs.asdict(operation))
        for operation in plan
        for kind in (type(operation),)
    )


def _unpacked(steps: Sequence[Step]) -> tuple[Operation, ...]:
    """The operations as they were."""
    return tuple(
        msgspec.convert({"type": name_of(kind), **step.values}, kind)
        for step in steps
        for kind in (_kind(step.module, step.name),)
    )


@lru_cache(maxsize=256)
def _kind(module: str, name: str) -> type[Operation]:
    kind: type[Operation] = attrgetter(name)(import_module(module))
    return kind


def is_heavy(header: Header) -> bool:
    """Whether cheap work should not have to stand behind this original."""
    return header.work > HEAVY


@lru_cache(maxsize=4)
def eye_of(models: Models) -> Eye:
    """The eye of a process: its detectors are loaded when something is first looked at."""
    from proxy.focus.eye import Eye as Detectors  # noqa: PLC0415 - HTTP workers do without numpy

    return Detectors(models)


def _render(originals: Sequence[Buffer], order: RenderOrder, lane: Lane) -> Rendered:
    picture, *others = originals
    if lane == "live" and is_heavy(probe(picture)):
        raise Heavy
    return render(
        picture,
        Plan(_unpacked(order.steps), order.offer),
        order.outfit.limits,
        eye=eye_of(order.outfit.models),
        focus=order.focus,
        also=dict(zip(order.also, others, strict=True)),
    )


def _look(originals: Sequence[Buffer], order: LookOrder, lane: Lane) -> Seen:
    (picture,) = originals
    if lane == "live" and is_heavy(probe(picture)):
        raise Heavy
    return look(picture, order.outfit.limits, eye=eye_of(order.outfit.models), focus=order.focus)


def _describe(originals: Sequence[Buffer], order: LookOrder, lane: Lane) -> Description:
    from proxy.describe import describe  # noqa: PLC0415 - HTTP workers do without numpy

    (picture,) = originals
    if lane == "live" and is_heavy(probe(picture)):
        raise Heavy
    return describe(
        picture, order.outfit.limits, eye=eye_of(order.outfit.models), focus=order.focus
    )


RENDER = Work("render", RenderOrder, Rendered, _render)
LOOK = Work("look", LookOrder, Seen, _look)
DESCRIBE = Work("describe", LookOrder, Description, _describe)

WORKS = (RENDER, LOOK, DESCRIBE)
