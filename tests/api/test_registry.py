"""The registry of APIs."""

from typing import Any

import pytest
from starlette.types import ASGIApp

from proxy.api.context import Api
from proxy.api.registry import APIS, mount

CONTEXT: Any = "context"


def api(name: str, *segments: str, observed: bool = True) -> Api:
    def create(context: Any) -> Any:
        return f"{name} with {context}"

    return Api(name, segments, create, observed=observed)


def observe(app: ASGIApp, name: str) -> Any:
    return f"observed {app} as {name}"


def test_an_api_is_mounted_on_all_its_segments_and_observed_where_it_says_so() -> None:
    apis = [api("one", "a", "b"), api("two", "c", observed=False)]
    mounted: dict[str, Any] = dict(mount(apis, CONTEXT, observe))
    one = "observed one with context as one"
    assert mounted == {"a": one, "b": one, "c": "two with context"}


def test_two_apis_cannot_have_the_same_segment() -> None:
    with pytest.raises(ValueError, match="API 'two': path segment 'b' is taken"):
        mount([api("one", "a", "b"), api("two", "b")], CONTEXT, observe)


def test_segments_are_in_lower_case_and_names_are_unique() -> None:
    assert all(segment == segment.lower() for api in APIS for segment in api.segments)
    assert len({api.name for api in APIS}) == len(APIS)
