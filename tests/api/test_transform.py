"""The transform API over HTTP, where the official client does not show it."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import photos
import pytest
from live_server import KEY, OTHER_KEY, LiveServer, live_server

PATH = "/image-transformation/v1/transform"
IMAGE = photos.encode_scene("PNG", 60, 40)
INLINE = {"type": "base64", "base64": base64.b64encode(IMAGE).decode()}
FLIP = [{"type": "flip"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    settings = {"FRAMEKEEP_TRANSFORM_ALLOW_HTTP": "true"}
    with live_server(tmp_path_factory.mktemp("cache"), settings) as served:
        yield served


def post(server: LiveServer, body: object, path: str = PATH, key: str = KEY) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    return httpx.post(server.url + path, content=content, headers=headers, timeout=60)


def transform(
    server: LiveServer, file: object = INLINE, operations: object = FLIP
) -> httpx.Response:
    return post(server, {"file": file, "operations": operations})


def result_of(response: httpx.Response) -> bytes:
    assert response.status_code == 200, response.text
    assert response.json()["success"] is True
    return base64.b64decode(response.json()["data"]["buffer"], validate=True)


def test_the_response_has_the_published_shape(server: LiveServer) -> None:
    response = transform(server)
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"success", "data"}
    assert response.json()["data"]["mime_type"] == "image/png"
    assert photos.decode(result_of(response)).size == (60, 40)


@pytest.mark.parametrize("path", ["/" + PATH, PATH + "/", PATH.replace("/v1", "//v1")])
def test_extra_slashes_do_not_matter(server: LiveServer, path: str) -> None:
    assert post(server, {"file": INLINE, "operations": FLIP}, path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/image-transformation/v2/transform",
        "/image-transformation",
        "/document-extraction/v1/extract",
        "/image-generation/v1/generate",
    ],
)
def test_other_paths_are_not_found_in_json(server: LiveServer, path: str) -> None:
    response = post(server, b"", path)
    assert response.status_code == 404
    assert response.json() == {"success": False, "error": "Not found", "code": "NOT_FOUND"}


def test_only_post_is_allowed(server: LiveServer) -> None:
    response = httpx.get(server.url + PATH)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json()["success"] is False


@pytest.mark.parametrize(("key", "status"), [(KEY, 200), (OTHER_KEY, 200), ("other", 401)])
def test_keys(server: LiveServer, key: str, status: int) -> None:
    response = post(server, {"file": INLINE, "operations": FLIP}, key=key)
    assert response.status_code == status
    if status == 401:
        assert response.json()["error"] == "Invalid API key"


@pytest.mark.parametrize(
    "file",
    [
        {"base64": base64.b64encode(IMAGE).decode()},
        {"type": "base64", "name": "a.tiff", "base64": base64.urlsafe_b64encode(IMAGE).decode()},
        {"type": "base64", "base64": "data:image/png;base64," + base64.b64encode(IMAGE).decode()},
        {"type": "base64", "base64": base64.encodebytes(IMAGE).decode()},
        {"type": "base64", "base64": base64.b64encode(IMAGE).decode().rstrip("=")},
        {"type": "base64", "base64": base64.b64encode(IMAGE).decode(), "other": {"deep": [1]}},
    ],
)
def test_variants_of_base64(server: LiveServer, file: object) -> None:
    assert result_of(transform(server, file)) == result_of(transform(server))


def test_slashes_in_json_may_be_escaped(server: LiveServer) -> None:
    body = json.dumps({"file": INLINE, "operations": FLIP}).replace("/", "\\/").encode()
    assert result_of(post(server, body)) == result_of(transform(server))


def test_a_file_with_a_url_needs_no_type(server: LiveServer) -> None:
    url = server.origin.serve("/typeless.png", IMAGE)
    assert result_of(transform(server, {"url": url})) == result_of(transform(server))


def test_unknown_members_and_nulls_are_ignored(server: LiveServer) -> None:
    operations = [
        {
            "type": "resize", "width_in_px": 30, "height": 30.0, "fit": "cover",
            "position": None, "gravity": "north",
        },
        {"type": "convert", "format": "webp", "quality": None},
    ]  # fmt: skip
    response = post(server, {"file": INLINE, "operations": operations, "project": {"id": 7}})
    assert photos.decode(result_of(response)).size == (30, 30)


def test_the_position_of_a_cover_may_be_smart_crop(server: LiveServer) -> None:
    crop = {"width_in_px": 100, "height_in_px": 100}
    file = {"type": "base64", "base64": base64.b64encode(photos.off_center()).decode()}
    by_position = [{"type": "resize", "fit": "cover", "position": "smart_crop"} | crop]
    smart = [{"type": "smart_crop"} | crop]
    assert result_of(transform(server, file, by_position)) == result_of(
        transform(server, file, smart)
    )


@pytest.mark.parametrize(
    ("body", "error", "field"),
    [
        (b"{", "body is not valid JSON", None),
        (b"[]", "must be a table (a JSON object), not a list", None),
        (b'{"a":' * 100_000, "nested too deeply", None),
        ({"operations": FLIP}, "Missing required field: file", "file"),
        ({"file": INLINE}, "Missing required field: operations", "operations"),
        ({"file": 7, "operations": FLIP}, "file: must be a table", "file"),
        ({"file": {}, "operations": FLIP}, "Missing required field: file.url", "file.url"),
        (
            {"file": {"type": "uri"}, "operations": FLIP},
            "file.type must be one of url, base64, not 'uri'; did you mean 'url'?",
            "file.type",
        ),
        (
            {
                "file": {"url": "https://a.example/b", "fetch_options": {"auth": {"type": "baer"}}},
                "operations": FLIP,
            },
            "must be one of bearer, basic, custom_header, not 'baer'; did you mean 'bearer'?",
            "file.fetch_options.auth.type",
        ),
        (
            {"file": INLINE, "operations": [{"type": "watermark", "source": "m:a", "steps": [
                {"type": "resize", "width": 8, "fit": "covr"}]}]},
            "resize: fit: must be one of contain, cover, fill, inside, outside, not 'covr'",
            "steps",
        ),
        ({"file": {"type": "base64"}, "operations": FLIP}, "file.base64", "file.base64"),
        ({"file": {"base64": 7}, "operations": FLIP}, "must be text", "file.base64"),
        ({"file": {"base64": "*"}, "operations": FLIP}, "is not base64", "file.base64"),
        ({"file": {"url": 7}, "operations": FLIP}, "file: url: must be text or null, not", "file"),
        ({"file": {"url": "nonsense"}, "operations": FLIP}, "file.url: ", "file.url"),
        ({"file": INLINE, "operations": {}}, "operations must be a list", "operations"),
        ({"file": INLINE, "operations": []}, "operations must be a list of 1", "operations"),
        ({"file": INLINE, "operations": FLIP, "webhook_url": 7}, "must be text", "webhook_url"),
        (
            {"file": INLINE, "operations": FLIP, "webhook_url": "http://a.example/"},
            "webhook_url must be an https:// URL",
            "webhook_url",
        ),
        (
            {"file": INLINE, "operations": FLIP, "webhook_url": "https://10.1.2.3/"},
            "webhook_url is not allowed (source address not allowed: it is not public",
            "webhook_url",
        ),
    ],
)  # fmt: skip
def test_invalid_json_and_members_are_rejected(
    server: LiveServer, body: object, error: str, field: str | None
) -> None:
    response = post(server, body)
    assert response.status_code == 400
    response_body = response.json()
    assert response_body["success"] is False
    assert response_body["code"] == "VALIDATION_ERROR"
    assert error in response_body["error"]
    assert response_body.get("details", {}).get("field") == field


@pytest.mark.parametrize(
    ("step", "status", "error", "field"),
    [
        (7, 400, "operations[1] must be an object", None),
        ({}, 400, "operations[1].type must name", "type"),
        ({"type": "paint"}, 400, "operations[1] there is no operation", None),
        ({"type": ["flip"]}, 400, "operations[1].type must name", "type"),
        ({"type": "sharpen"}, 400, "operations[1].sigma is missing", "sigma"),
        ({"type": "blur", "sigma": 0}, 400, "sigma", "sigma"),
        ({"type": "blur", "sigma": "1"}, 400, "sigma", "sigma"),
        ({"type": "resize", "width": 5, "height": 5}, 400, "fit is missing", "fit"),
        ({"type": "modulate"}, 400, "operations[1]", None),
        ({"type": "tint", "hex_color": "nice"}, 422, "hex_color", "hex_color"),
        ({"type": "tint"}, 400, "hex_color is missing", "hex_color"),
        (
            {"type": "remove_background", "background_hex_color": "nice"},
            *(422, "background_hex_color", "background_hex_color"),
        ),
    ],
)
def test_invalid_operations_are_rejected(
    server: LiveServer, step: object, status: int, error: str, field: str | None
) -> None:
    response = transform(server, operations=[*FLIP, step])
    assert response.status_code == status
    response_body = response.json()
    assert error in response_body["error"]
    assert response_body["details"] == {"operation_index": 1, "field": field}


def test_files_are_fetched_over_https_by_default(tmp_path: Path) -> None:
    with live_server(tmp_path) as strict:
        url = strict.origin.serve("/plain.png", IMAGE)
        response = transform(strict, {"type": "url", "url": url})
    assert response.status_code == 400
    assert response.json()["error"] == (
        "file.url: URL must be https://, not http:// (FRAMEKEEP_TRANSFORM_ALLOW_HTTP)"
    )


OPTIONS = {
    "auth": {"type": "bearer", "token": "t0ken"},
    "headers": {"X-Tenant": "7"},
    "locale": "de-CH",
    "timeout_ms": 5000,
    "user_agent": "Robot/1",
    "should_render_javascript": True,
}


def test_fetch_options_become_request_headers(server: LiveServer) -> None:
    url = server.origin.serve("/guarded.png", IMAGE)
    assert result_of(transform(server, {"url": url, "fetch_options": OPTIONS}))
    (sent,) = [sent for sent in server.origin.requests if sent.target == "/guarded.png"]
    assert sent.headers["authorization"] == "Bearer t0ken"
    assert sent.headers["x-tenant"] == "7"
    assert sent.headers["accept-language"] == "de-CH"
    assert sent.headers["user-agent"] == "Robot/1"


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"type": "basic", "username": "u", "password": "p"}, "authorization", "Basic dTpw"),
        ({"type": "custom_header", "name": "X-Key", "value": "k"}, "x-key", "k"),
    ],
)
def test_other_kinds_of_authorization(
    server: LiveServer, auth: dict[str, str], header: str, value: str
) -> None:
    path = f"/{auth['type']}.png"
    file = {"url": server.origin.serve(path, IMAGE), "fetch_options": {"auth": auth}}
    assert result_of(transform(server, file))
    (sent,) = [sent for sent in server.origin.requests if sent.target == path]
    assert sent.headers[header] == value


@pytest.mark.parametrize(
    "options",
    [
        7,
        {"auth": {"type": "magic"}},
        {"auth": {"type": "custom_header", "name": "Host", "value": "x"}},
        {"auth": {"type": "bearer", "token": "a\r\nb"}},
        {"headers": {"Cookie": "a=b"}},
        {"headers": {"Connection": "close"}},
        {"headers": {"X": 7}},
        {"timeout_ms": 999},
        {"timeout_ms": 60_001},
        {"user_agent": ""},
        {"user_agent": "x" * 501},
        {"locale": "x\r\ny"},
    ],
)
def test_invalid_fetch_options_are_rejected(server: LiveServer, options: Any) -> None:
    response = transform(server, {"url": "http://127.0.0.1:1/a", "fetch_options": options})
    assert response.status_code == 400
    assert response.json()["error"].startswith("file")


def test_the_body_size_is_limited(tmp_path: Path) -> None:
    small = {"FRAMEKEEP_TRANSFORM_MAX_BODY_BYTES": "1000"}
    with live_server(tmp_path, small) as strict:
        response = post(strict, b" " * 1001)
    assert response.status_code == 413
    assert response.json()["success"] is False


def test_a_file_of_50_mb_is_accepted(server: LiveServer) -> None:
    """Exactly 50 MiB: bytes behind the end of an image are ignored."""
    large = IMAGE + b"\0" * (52_428_800 - len(IMAGE))
    file = {"type": "base64", "base64": base64.b64encode(large).decode()}
    assert result_of(transform(server, file)) == result_of(transform(server))
    file = {"type": "base64", "base64": base64.b64encode(large + b"\0").decode()}
    assert transform(server, file).status_code == 413


def test_the_rate_limit_counts_requests_of_each_key(tmp_path: Path) -> None:
    with live_server(
        tmp_path, {"FRAMEKEEP_TRANSFORM_RATE_LIMIT_PER_MINUTE_PER_WORKER": "2"}
    ) as limited:
        first, second, third = (transform(limited) for _ in range(3))
        other = post(limited, {"file": INLINE, "operations": FLIP}, key=OTHER_KEY)
    assert [first.status_code, second.status_code, third.status_code] == [200, 200, 429]
    assert [first.headers["x-ratelimit-remaining"], second.headers["x-ratelimit-remaining"]] == [
        *("1", "0")
    ]
    assert third.json() == {"success": False, "error": "Rate limited", "code": "RATE_LIMITED"}
    assert 1 <= int(third.headers["retry-after"]) <= 60
    assert other.status_code == 200


def test_without_a_rate_limit_there_are_no_rate_limit_headers(server: LiveServer) -> None:
    assert "x-ratelimit-limit" not in transform(server).headers
