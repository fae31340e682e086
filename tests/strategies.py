"""Strategies: any operation of a catalogue, any plan, any job that a link can hold."""

import string
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from proxy.errors import InvalidOperation
from proxy.image_request import ImageRequest, ResponseOptions
from proxy.operations.plan import Operation, OperationRegistry, Plan, name_of
from proxy.originals import SourceRef

SOURCES = ("media", "bucket-2")

printable = st.text(
    st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=20
)


def operations(kinds: Sequence[type[Operation]]) -> st.SearchStrategy[Operation]:
    return st.one_of([_operation(kind) for kind in kinds])


def plans(kinds: Sequence[type[Operation]], *, most: int = 6) -> st.SearchStrategy[Plan]:
    return st.lists(operations(kinds), max_size=most).map(lambda steps: Plan(tuple(steps)))


def _operation(kind: type[Operation]) -> st.SearchStrategy[Operation]:
    catalogue = OperationRegistry((kind,))
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for field in _fields(kind):
        (required if field.required else optional)[field.name] = _values(field.type)

    @st.composite
    def built(draw: st.DrawFn) -> Operation | None:
        values = draw(st.fixed_dictionaries(required, optional=optional))
        try:
            return catalogue.plan([{"type": name_of(kind), **values}]).operations[0]
        except InvalidOperation:  # rules that stand between fields
            return None

    return built().filter(lambda operation: operation is not None).map(_given)


def _given(operation: Operation | None) -> Operation:
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
            least, most = kind.min_length or 0, min(kind.max_length or 40, 40)
            return st.text(st.characters(exclude_categories=["C"]), min_size=least, max_size=most)
        case msgspec.inspect.VarTupleType():
            return st.lists(_values(kind.item_type), min_size=1, max_size=4).map(tuple)
        case msgspec.inspect.TupleType():
            return st.tuples(*(_values(item) for item in kind.item_types))
        case _:
            raise AssertionError(f"no strategy for {kind}")


def _numbers(
    kind: msgspec.inspect.IntType | msgspec.inspect.FloatType,
) -> st.SearchStrategy[int] | st.SearchStrategy[float]:
    lower = kind.ge if kind.ge is not None else kind.gt
    upper = kind.le if kind.le is not None else kind.lt
    least, most = -999 if lower is None else lower, 20_000 if upper is None else upper
    if isinstance(kind, msgspec.inspect.IntType):
        return st.integers(int(least), int(most)).filter(lambda whole: whole not in _open(kind))
    return st.floats(least, most).filter(lambda number: number not in _open(kind))


def _open(
    kind: msgspec.inspect.IntType | msgspec.inspect.FloatType,
) -> tuple[float | int | None, ...]:
    """The ends that do not belong to the range."""
    return kind.gt, kind.lt


_segment = st.text(string.ascii_letters + string.digits + "._~-/ %&=+?#:'äé漢", max_size=30)

addresses = st.builds(
    SourceRef,
    st.one_of(
        st.builds("{}://{}".format, st.sampled_from(("http", "https")), _segment.filter(bool)),
        st.builds("https://{}/{}?{}".format, st.just("images.example"), _segment, _segment),
        st.builds("{}:{}".format, st.sampled_from(SOURCES), _segment.filter(bool)),
    ),
    st.one_of(st.just(""), printable),
)

deliveries = st.builds(
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


def jobs(kinds: Sequence[type[Operation]]) -> st.SearchStrategy[ImageRequest]:
    return st.builds(ImageRequest, addresses, plans(kinds), deliveries)
