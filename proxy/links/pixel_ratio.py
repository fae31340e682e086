"""The link option ``dpr``: multiply the sizes in pixels of a plan for denser screens."""

import re
from collections.abc import Sequence

from msgspec import structs

from proxy.errors import InvalidLink, InvalidOperation
from proxy.links.percent_encoding import safe_excerpt
from proxy.operations.operation import Operation, operation_name
from proxy.operations.overlay_steps import overlay_steps_fields
from proxy.operations.plan import Plan
from proxy.operations.registry import OperationRegistry
from proxy.operations.thumbnail import Thumbnail

MIN_DPR, MAX_DPR = 0.1, 5.0

_NUMBER = re.compile(r"(?:0|[1-9])(?:\.[0-9]{1,6})?", re.ASCII)


def parse_dpr(text: str) -> float:
    """Parse a device pixel ratio. Raises InvalidLink."""
    ratio = float(text) if _NUMBER.fullmatch(text) else 0.0
    if not MIN_DPR <= ratio <= MAX_DPR:
        raise InvalidLink(
            f"dpr: must be a number from {MIN_DPR:g} to {MAX_DPR:g}, not {safe_excerpt(text)}"
        )
    return ratio


def scale_plan(plan: Plan, ratio: float, operations: OperationRegistry) -> Plan:
    """Multiply the sizes in pixels, from the first operation on that scales to a size.

    What comes before works on the pixels of the original, which do not get more. Raises InvalidLink
    where there is nothing to multiply, InvalidOperation where a result is out of bounds.
    """
    steps = plan.operations
    if any(isinstance(operation, Thumbnail) for operation in steps):
        raise InvalidLink("dpr: thumbnail has a field dpr of its own; use that")
    if not any(operation.scales_to_pixels() for operation in steps):
        raise InvalidLink("dpr: no operation of the link scales to a size in pixels")
    return structs.replace(plan, operations=_scale_steps(steps, ratio, operations))


def _scale_steps(
    steps: Sequence[Operation], ratio: float, operations: OperationRegistry
) -> tuple[Operation, ...]:
    scaled: list[Operation] = []
    is_scaled = False
    for operation in steps:
        is_scaled = is_scaled or operation.scales_to_pixels()
        scaled.append(_scale(operation, ratio, operations) if is_scaled else operation)
    return tuple(scaled)


def _scale(operation: Operation, ratio: float, operations: OperationRegistry) -> Operation:
    values: dict[str, object] = {}
    for field in operation.__struct_fields__:
        value = getattr(operation, field)
        # Below 1 a field that takes fractions is a share of the picture, whatever its size.
        if field.endswith("_in_px") and isinstance(value, int | float) and abs(value) >= 1:
            values[field] = _multiply(value, ratio)
        elif field in overlay_steps_fields(type(operation)):
            values[field] = _scale_steps(value, ratio, operations)
    if not values:
        return operation
    try:
        return operations.replace(operation, values)
    except InvalidOperation as error:
        name = operation_name(operation)
        message = str(error).removeprefix(f"{name}: ")
        raise InvalidOperation(
            f"dpr: {ratio:g} times the sizes of {name}: {message}", field=error.field
        ) from error


def _multiply(value: float, ratio: float) -> float:
    if isinstance(value, int):
        return max(1, round(value * ratio))
    return round(value * ratio, 6)
