"""Bodies of any kind to the APIs that take JSON: a proper response, never a server error."""

import json
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from live_server import KEY
from security.response_checks import check_error

from proxy.operations import OPERATIONS
from proxy.operations.operation import operation_name

TRANSFORM = "/image-transformation/v1/transform"
PATHS = (
    TRANSFORM,
    "/vision/v3.2/areaOfInterest",
    "/vision/v3.2/generateThumbnail?width=9&height=9",
    "/computervision/imageanalysis:analyze?features=smartCrops&api-version=2024-02-01",
    "/admin/purge",
)
KEYS = (
    "file",
    "type",
    "url",
    "base64",
    "operations",
    "webhook_url",
    "name",
    "width_in_px",
    "sources",
)

FUZZ = settings(
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        ["http://127.0.0.1:1/", "https://", "url", "base64", "AAAA", "A", "\u0000", "\ud83d"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text(max_size=6)), inner, max_size=4),
    ),
    max_leaves=12,
)
OPERATION = st.builds(
    lambda name, fields: {**fields, "type": name},
    st.sampled_from([operation_name(kind) for kind in OPERATIONS]),
    st.dictionaries(
        st.sampled_from(["width_in_px", "quality", "sigma", "angle", "format"]), SCALARS
    ),
)
TRANSFORMS = st.fixed_dictionaries(
    {
        "file": st.one_of(
            st.just({"type": "base64", "base64": "iVBORw0KGgo="}), VALUES, st.just({"type": "url"})
        ),
        "operations": st.one_of(st.lists(st.one_of(OPERATION, VALUES), max_size=4), VALUES),
    }
)

MALFORMED = {
    "empty": b"",
    "not JSON": b"{",
    "a number": b"1",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "not UTF-8": b'{"url":"\xff"}',
    "utf-16": '{"url":"x"}'.encode("utf-16"),
    "half a surrogate": b'{"url":"\\ud800"}',
    "not a number": b'{"operations":[{"type":"blur","sigma":NaN}]}',
    "a number out of range": b'{"operations":[{"type":"blur","sigma":1e999}]}',
    "a very long number": b'{"url":' + b"9" * 500_000 + b"}",
    "a very deep list": b"[" * 100_000 + b"]" * 100_000,
    "a very deep object": b'{"file":' * 50_000 + b"1" + b"}" * 50_000,
    "one key many times": b"{" + b",".join([b'"url":"x"'] * 100_000) + b"}",
    "many keys": b"{" + b",".join(b'"%d":1' % number for number in range(100_000)) + b"}",
    "many operations": b'{"file":1,"operations":['
    + b",".join([b'{"type":"flip"}'] * 50_000)
    + b"]}",
    "base64 of spaces": b'{"file":{"type":"base64","base64":"'
    + b" " * 500_000
    + b'"},"operations":[]}',
}


def post(client: httpx.Client, path: str, body: bytes) -> httpx.Response:
    headers = {
        "Authorization": f"Bearer {KEY}",
        "Ocp-Apim-Subscription-Key": KEY,
        "Content-Type": "application/json",
    }
    return client.post(path, content=body, headers=headers)


def check_client_error(response: httpx.Response) -> None:
    assert 400 <= response.status_code < 500, response.text
    check_error(response)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bodies_are_client_errors(client: httpx.Client, path: str, name: str) -> None:
    check_client_error(post(client, path, MALFORMED[name]))


@pytest.mark.parametrize("path", PATHS)
@FUZZ
@given(value=VALUES)
def test_any_json_gets_a_short_error(client: httpx.Client, path: str, value: Any) -> None:
    response = post(client, path, json.dumps(value).encode())
    assert response.status_code not in (500, 503), response.text
    if response.status_code >= 400:
        check_error(response)


@FUZZ
@given(request=TRANSFORMS)
def test_any_request_is_done_or_gets_a_short_error(client: httpx.Client, request: Any) -> None:
    response = post(client, TRANSFORM, json.dumps(request).encode())
    assert response.status_code not in (500, 503), response.text
    if response.status_code >= 400:
        check_error(response)
