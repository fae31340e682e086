"""The registry parses operations from links and JSON, and rejects by name."""

from typing import Annotated, Literal

import pytest
from msgspec import Meta

from proxy.errors import InvalidOperation
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation, format_operation
from proxy.operations.plan import Plan
from proxy.operations.registry import OperationRegistry


class Soften(Operation, frozen=True):
    """Make edges softer."""

    size_in_px: Annotated[int, Meta(ge=1, le=10)]
    strength: Annotated[float, Meta(gt=0, le=2)] = 0.5
    shape: Literal["round", "square"] = "round"
    twice: bool = False
    at: tuple[float, ...] | None = None

    def apply(self, picture: Picture) -> Picture:
        return picture


class Convert(Operation, frozen=True):
    """Write another format."""

    format: Literal["auto", "png"]

    def apply(self, picture: Picture) -> Picture:
        return picture


registry = OperationRegistry((Soften, Convert), max_operations=3)


def args(text: str) -> list[tuple[str | None, str]]:
    pairs = (arg.partition("=") for arg in text.split(":"))
    return [(name, value) if equals else (None, name) for name, equals, value in pairs]


@pytest.mark.parametrize(
    "text",
    ["3", "3:0.5", "3:::", "size=3", "size_in_px=3:strength=0.5", "3:shape=round:twice=false"],
)
def test_equal_arguments_give_equal_operations(text: str) -> None:
    assert registry.from_args("soften", args(text)) == Soften(3)


def test_json_and_links_give_the_same_plan() -> None:
    plan = registry.plan([{"type": "soften", "size": 3, "at": [0.25, 1]}])
    assert plan == Plan((registry.from_args("soften", args("3:at=0.25,1")),))


def test_a_float_without_fraction_is_an_integer_in_json() -> None:
    assert registry.plan([{"type": "soften", "size_in_px": 3.0}]) == Plan((Soften(3),))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("11", "soften: size_in_px: must be a whole number from 1 to 10, not '11'"),
        ("", "soften: size_in_px is missing"),
        ("2e0", "soften: size_in_px: must be a whole number from 1 to 10, not '2e0'"),
        ("3:1:round:so", "soften: twice: must be true or false (also yes, no, on, off), not 'so'"),
        ("3:size=4", "soften: size_in_px is given twice"),
        ("3:colour=red", "soften has no field 'colour'; its fields: size_in_px, strength"),
        ("size=3:4", "soften: '4' follows a named value and has no name"),
        ("3:1:round:true:1:9", "soften takes at most 5 values, not 6"),
    ],
)
def test_a_wrong_argument_is_rejected_by_name(text: str, sentence: str) -> None:
    with pytest.raises(InvalidOperation) as caught:
        registry.from_args("soften", args(text))
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ("soften", "operations must be a list"),
        ([3], "operations[0] must be an object"),
        ([{"size": 3}], "operations[0].type must name an operation"),
        ([{"type": "harden"}], "operations[0] there is no operation 'harden'"),
        ([{"type": "soften", "size": "3"}], "operations[0] soften: size_in_px: must be a whole"),
        ([{"type": "convert", "format": "auto"}] * 4, "a plan has at most 3 operations, not 4"),
    ],
)
def test_wrong_json_is_rejected_by_position(steps: object, sentence: str) -> None:
    with pytest.raises(InvalidOperation) as caught:
        registry.plan(steps)
    assert str(caught.value).startswith(sentence)


def test_the_canonical_text_includes_defaults() -> None:
    assert format_operation(Soften(3)) == "soften:3"
    assert format_operation(Soften(3, twice=True)) == "soften:3:0.5:round:true"
    assert Plan((Soften(3),)).canonical == "soften:3:0.5:round:false:/accept:"


def test_accepted_formats_count_only_where_the_format_is_negotiated() -> None:
    negotiating = Plan((Convert("auto"),))
    assert negotiating.with_accepted_formats(["webp"]) == Plan(
        (Convert("auto"),), accepted_formats=("webp",)
    )
    assert Plan((Convert("png"),)).with_accepted_formats(["webp"]) == Plan((Convert("png"),))
