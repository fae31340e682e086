"""The steps of an overlay: operations that are carried out on it before it is placed."""

from functools import cache
from typing import Annotated, Any

from msgspec import Meta, Struct

from proxy.validation import field_schemas

MAX_OVERLAY_STEPS = 8

_FORMAT = "operations"

OverlaySteps = Annotated[
    Any,
    Meta(
        title=f"a list of at most {MAX_OVERLAY_STEPS} operations, in a link their percent-encoded "
        "steps such as `resize%3A200%2Frotate%3A15`",
        extra_json_schema={
            "type": "array",
            "items": {"type": "object", "required": ["type"]},
            "maxItems": MAX_OVERLAY_STEPS,
            "format": _FORMAT,
        },
    ),
]
"""The type of a field that holds a tuple of operations. The registry parses and checks it."""


@cache
def overlay_steps_fields(kind: type[Struct]) -> tuple[str, ...]:
    """The fields of an operation that hold the steps of an overlay."""
    return tuple(
        name
        for name, schemas in field_schemas(kind).items()
        if any(schema.get("format") == _FORMAT for schema in schemas)
    )
