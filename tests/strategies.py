"""Hypothesis strategies: operations, plans, and image requests that a link can express."""

import string
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from proxy.errors import InvalidOperation
from proxy.image_request import ImageRequest, ResponseOptions
from proxy.operations.operation import Operation, operation_name
from proxy.operations.plan import Plan
from proxy.operations.registry import OperationRegistry
from proxy.operations.resize import Resize
from proxy.operations.rotate import Rotate
from proxy.operations.text import Text
from proxy.originals import SourceRef

ALIASES = ("media", "bucket-2")

printable = st.text(
    st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=20
)


def operations(kinds: Sequence[type[Operation]]) -> st.SearchStrategy[Operation]:
    return st.one_of([_operation(kind) for kind in kinds])


def plans(kinds: Sequence[type[Operation]], *, max_size: int = 6) -> st.SearchStrategy[Plan]:
    return st.lists(operations(kinds), max_size=max_size).map(lambda steps: Plan(tuple(steps)))


def _operation(kind: type[Operation]) -> st.SearchStrategy[Operation]:
    registry = OperationRegistry((kind,))
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in _fields(kind):
        (required if field.required else optional)[field.name] = _values(field.type)

    @st.composite
    def built(draw: st.DrawFn) -> Operation | None:
        values = draw(st.fixed_dictionaries(required, optional=optional))
        try:
            return registry.plan([{"type": operation_name(kind), **values}]).operations[0]
        except InvalidOperation:  # a combination of values that is not allowed
            return None

    return built().filter(lambda operation: operation is not None).map(_require)


def _require(operation: Operation | None) -> Operation:
    assert operation is not None
    return operation


def _fields(kind: type[Operation]) -> Sequence[msgspec.inspect.Field]:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)
    return info.fields


def _values(kind: msgspec.inspect.Type) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911 - a table
    match kind:
        case msgspec.inspect.Metadata():
            return _values(kind.type)
        case msgspec.inspect.UnionType():
            return st.one_of([_values(option) for option in kind.types])
        case msgspec.inspect.NoneType():
            return st.none()
        case msgspec.inspect.BoolType():
            return st.booleans()
        case msgspec.inspect.LiteralType():
            return st.sampled_from(kind.values)
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return _numbers(kind)
        case msgspec.inspect.StrType() if kind.pattern:
            return st.from_regex(kind.pattern, fullmatch=True).filter(str.isprintable)
        case msgspec.inspect.StrType():
            min_size, max_size = kind.min_length or 0, min(kind.max_length or 40, 40)
            characters = st.characters(exclude_categories=["C"])
            return st.text(characters, min_size=min_size, max_size=max_size)
        case msgspec.inspect.VarTupleType():
            return st.lists(_values(kind.item_type), min_size=1, max_size=4).map(tuple)
        case msgspec.inspect.AnyType():  # the steps of an overlay
            return st.lists(operations((Resize, Rotate, Text)), max_size=3).map(tuple)
        case msgspec.inspect.TupleType():
            return st.tuples(*(_values(item) for item in kind.item_types))
        case _:
            raise AssertionError(f"no strategy for {kind}")


def _numbers(
    kind: msgspec.inspect.IntType | msgspec.inspect.FloatType,
) -> st.SearchStrategy[int] | st.SearchStrategy[float]:
    lower = kind.ge if kind.ge is not None else kind.gt
    upper = kind.le if kind.le is not None else kind.lt
    minimum, maximum = -999 if lower is None else lower, 20_000 if upper is None else upper
    if isinstance(kind, msgspec.inspect.IntType):
        return st.integers(int(minimum), int(maximum)).filter(
            lambda number: number not in _exclusive_bounds(kind)
        )
    return st.floats(minimum, maximum).filter(lambda number: number not in _exclusive_bounds(kind))


def _exclusive_bounds(
    kind: msgspec.inspect.IntType | msgspec.inspect.FloatType,
) -> tuple[float | int | None, ...]:
    return kind.gt, kind.lt


_segment = st.text(string.ascii_letters + string.digits + "._~-/ %&=+?#:'äé漢", max_size=30)

source_refs = st.builds(
    SourceRef,
    st.one_of(
        st.builds("{}://{}".format, st.sampled_from(("http", "https")), _segment.filter(bool)),
        st.builds("https://{}/{}?{}".format, st.just("images.example"), _segment, _segment),
        st.builds("{}:{}".format, st.sampled_from(ALIASES), _segment.filter(bool)),
    ),
    st.one_of(st.just(""), printable),
)

response_options = st.builds(
    ResponseOptions,
    st.none() | st.integers(4_000_000_000, 253_402_300_799),
    st.one_of(st.just(""), printable.filter(lambda text: not set(text) & set('/\\"'))),
    st.lists(
        st.text(string.ascii_letters + string.digits + "/:%?&-", min_size=1, max_size=20).map(
            "tag:{}".format
        ),
        max_size=3,
        unique=True,
    ).map(tuple),
    st.booleans(),
)


def image_requests(kinds: Sequence[type[Operation]]) -> st.SearchStrategy[ImageRequest]:
    return st.builds(ImageRequest, source_refs, plans(kinds), response_options)
