"""The catalogue reads operations from links and from JSON, and refuses by name."""

from typing import Annotated, Literal

import pytest
from msgspec import Meta

from proxy.errors import InvalidOperation
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation, OperationRegistry, Plan, written


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


catalogue = OperationRegistry((Soften, Convert), at_most=3)


def words(text: str) -> list[tuple[str | None, str]]:
    pairs = (word.partition("=") for word in text.split(":"))
    return [(name, value) if equals else (None, name) for name, equals, value in pairs]


@pytest.mark.parametrize(
    "text",
    ["3", "3:0.5", "3:::", "size=3", "size_in_px=3:strength=0.5", "3:shape=round:twice=false"],
)
def test_equal_wishes_are_equal_operations(text: str) -> None:
    assert catalogue.from_args("soften", words(text)) == Soften(3)


def test_a_plan_from_json_is_the_plan_from_words() -> None:
    plan = catalogue.plan([{"type": "soften", "size": 3, "at": [0.25, 1]}])
    assert plan == Plan((catalogue.from_args("soften", words("3:at=0.25,1")),))


def test_a_whole_float_is_an_integer_in_json() -> None:
    assert catalogue.plan([{"type": "soften", "size_in_px": 3.0}]) == Plan((Soften(3),))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("11", "soften: size_in_px: expected `int` <= 10"),
        ("", "soften: size_in_px is missing"),
        ("2e0", "soften: size_in_px: expected `int`, got `str`"),
        ("3:1:round:yes", "soften: twice: expected `bool`, got `str`"),
        ("3:size=4", "soften: size_in_px is given twice"),
        ("3:colour=red", "soften has no field 'colour'; its fields: size_in_px, strength"),
        ("size=3:4", "soften: '4' stands after a named value and has no name"),
        ("3:1:round:true:1:9", "soften takes at most 5 values, not 6"),
    ],
)
def test_a_wrong_word_is_refused_by_name(text: str, sentence: str) -> None:
    with pytest.raises(InvalidOperation) as caught:
        catalogue.from_args("soften", words(text))
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ("soften", "operations must be a list"),
        ([3], "operations[0] must be an object"),
        ([{"size": 3}], "operations[0].type must name an operation"),
        ([{"type": "harden"}], "operations[0] there is no operation 'harden'"),
        ([{"type": "soften", "size": "3"}], "operations[0] soften: size_in_px: expected `int`"),
        ([{"type": "convert", "format": "auto"}] * 4, "a plan has at most 3 operations, not 4"),
    ],
)
def test_wrong_json_is_refused_by_position(steps: object, sentence: str) -> None:
    with pytest.raises(InvalidOperation) as caught:
        catalogue.plan(steps)
    assert str(caught.value).startswith(sentence)


def test_the_canonical_text_spells_defaults_out() -> None:
    assert written(Soften(3)) == "soften:3"
    assert written(Soften(3, twice=True)) == "soften:3:0.5:round:true"
    assert Plan((Soften(3),)).text == "soften:3:0.5:round:false:/offer:"


def test_an_offer_counts_only_where_the_format_is_open() -> None:
    open_plan = Plan((Convert("auto"),))
    assert open_plan.offered(["webp"]) == Plan((Convert("auto"),), offer=("webp",))
    assert Plan((Convert("png"),)).offered(["webp"]) == Plan((Convert("png"),))
