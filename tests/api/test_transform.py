"""The transform face on the wire, where the official clients do not show it."""

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
PICTURE = photos.encode_scene("PNG", 60, 40)
INLINE = {"type": "base64", "base64": base64.b64encode(PICTURE).decode()}
FLIP = [{"type": "flip"}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    settings = {"FRAMEKEEP_TRANSFORM_ALLOW_HTTP": "true"}
    with live_server(tmp_path_factory.mktemp("cache"), settings) as served:
        yield served


def post(server: LiveServer, body: object, path: str = PATH, key: str = KEY) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    return httpx.post(server.url + path, content=content, headers=headers)


def transform(server: LiveServer, file: object = INLINE, operations: object = FLIP) -> httpx.Response:
    return post(server, {"file": file, "operations": operations})


def made(answer: httpx.Response) -> bytes:
    assert answer.status_code == 200, answer.text
    assert answer.json()["success"] is True
    return base64.b64decode(answer.json()["data"]["buffer"], validate=True)


def test_the_answer_is_read_as_the_published_example_reads_it(server: LiveServer) -> None:
    answer = transform(server)
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"success", "data"}
    assert answer.json()["data"]["mime_type"] == "image/png"
    assert photos.decode(made(answer)).size == (60, 40)


@pytest.mark.parametrize("path", ["/" + PATH, PATH + "/", PATH.replace("/v1", "//v1")])
def test_paths_are_read_generously(server: LiveServer, path: str) -> None:
    assert post(server, {"file": INLINE, "operations": FLIP}, path).status_code == 200


@pytest.mark.parametrize("path", ["/image-transformation/v2/transform", "/image-transformation"])
def test_other_paths_are_refused_in_json(server: LiveServer, path: str) -> None:
    answer = post(server, b"", path)
    assert answer.status_code == 404
    assert answer.json() == {"success": False, "error": "Not found", "code": "NOT_FOUND"}


def test_only_post_is_served(server: LiveServer) -> None:
    answer = httpx.get(server.url + PATH)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["success"] is False


@pytest.mark.parametrize(("key", "status"), [(KEY, 200), (OTHER_KEY, 200), ("other", 401)])
def test_keys(server: LiveServer, key: str, status: int) -> None:
    answer = post(server, {"file": INLINE, "operations": FLIP}, key=key)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["error"] == "Invalid API key"


@pytest.mark.parametrize(
    "file",
    [
        {"base64": base64.b64encode(PICTURE).decode()},
        {"type": "base64", "name": "a.tiff", "base64": base64.urlsafe_b64encode(PICTURE).decode()},
        {"type": "base64", "base64": "data:image/png;base64," + base64.b64encode(PICTURE).decode()},
        {"type": "base64", "base64": base64.encodebytes(PICTURE).decode()},
        {"type": "base64", "base64": base64.b64encode(PICTURE).decode().rstrip("=")},
        {"type": "base64", "base64": base64.b64encode(PICTURE).decode(), "other": {"deep": [1]}},
    ],
)
def test_forms_of_base64(server: LiveServer, file: object) -> None:
    assert made(transform(server, file)) == made(transform(server))


def test_slashes_may_be_escaped(server: LiveServer) -> None:
    body = json.dumps({"file": INLINE, "operations": FLIP}).replace("/", "\\/").encode()
    assert made(post(server, body)) == made(transform(server))


def test_a_url_needs_no_type(server: LiveServer) -> None:
    url = server.origin.serve("/typeless.png", PICTURE)
    assert made(transform(server, {"url": url})) == made(transform(server))


def test_unknown_members_and_nulls_are_passed_over(server: LiveServer) -> None:
    operations = [
        {
            "type": "resize", "width_in_px": 30, "height": 30.0, "fit": "cover",
            "position": None, "gravity": "north",
        },
        {"type": "convert", "format": "webp", "quality": None},
    ]  # fmt: skip
    answer = post(server, {"file": INLINE, "operations": operations, "project": {"id": 7}})
    assert photos.decode(made(answer)).size == (30, 30)


def test_a_cover_may_ask_for_the_subject(server: LiveServer) -> None:
    crop = {"width_in_px": 100, "height_in_px": 100}
    file = {"type": "base64", "base64": base64.b64encode(photos.off_center()).decode()}
    by_position = [{"type": "resize", "fit": "cover", "position": "smart_crop"} | crop]
    smart = [{"type": "smart_crop"} | crop]
    assert made(transform(server, file, by_position)) == made(transform(server, file, smart))


@pytest.mark.parametrize(
    ("body", "error", "field"),
    [
        (b"{", "the body is not JSON", None),
        (b"[]", "expected `object`", None),
        (b'{"a":' * 100_000, "nested too deeply", None),
        ({"operations": FLIP}, "Missing required field: file", "file"),
        ({"file": INLINE}, "Missing required field: operations", "operations"),
        ({"file": 7, "operations": FLIP}, "file: expected `object`", "file"),
        ({"file": {}, "operations": FLIP}, "Missing required field: file.url", "file.url"),
        ({"file": {"type": "ftp"}, "operations": FLIP}, "file.type must be", "file.type"),
        ({"file": {"type": "base64"}, "operations": FLIP}, "file.base64", "file.base64"),
        ({"file": {"base64": 7}, "operations": FLIP}, "must be a string", "file.base64"),
        ({"file": {"base64": "*"}, "operations": FLIP}, "is not base64", "file.base64"),
        ({"file": {"url": 7}, "operations": FLIP}, "file: url: expected `str", "file"),
        ({"file": {"url": "nonsense"}, "operations": FLIP}, "file.url: ", "file.url"),
        ({"file": INLINE, "operations": {}}, "operations must be a list", "operations"),
        ({"file": INLINE, "operations": []}, "operations must be a list of 1", "operations"),
        ({"file": INLINE, "operations": FLIP, "webhook_url": 7}, "must be a string", "webhook_url"),
        (
            {"file": INLINE, "operations": FLIP, "webhook_url": "http://a.example/"},
            "webhook_url must be an https:// URL",
            "webhook_url",
        ),
    ],
)  # fmt: skip
def test_what_the_json_alone_tells(
    server: LiveServer, body: object, error: str, field: str | None
) -> None:
    answer = post(server, body)
    assert answer.status_code == 400
    told = answer.json()
    assert told["success"] is False
    assert told["code"] == "VALIDATION_ERROR"
    assert error in told["error"]
    assert told.get("details", {}).get("field") == field


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
def test_what_is_wrong_with_an_operation(
    server: LiveServer, step: object, status: int, error: str, field: str | None
) -> None:
    answer = transform(server, operations=[*FLIP, step])
    assert answer.status_code == status
    told = answer.json()
    assert error in told["error"]
    assert told["details"] == {"operation_index": 1, "field": field}


def test_files_are_fetched_over_https_unless_the_operator_says_otherwise(tmp_path: Path) -> None:
    with live_server(tmp_path) as strict:
        url = strict.origin.serve("/plain.png", PICTURE)
        answer = transform(strict, {"type": "url", "url": url})
    assert answer.status_code == 400
    assert answer.json()["error"] == "file.url must be an https:// URL"


OPTIONS = {
    "auth": {"type": "bearer", "token": "t0ken"},
    "headers": {"X-Tenant": "7"},
    "locale": "de-CH",
    "timeout_ms": 5000,
    "user_agent": "Robot/1",
    "should_render_javascript": True,
}


def test_what_is_sent_along_to_the_source(server: LiveServer) -> None:
    url = server.origin.serve("/guarded.png", PICTURE)
    assert made(transform(server, {"url": url, "fetch_options": OPTIONS}))
    (asked,) = [asked for asked in server.origin.requests if asked.target == "/guarded.png"]
    assert asked.headers["authorization"] == "Bearer t0ken"
    assert asked.headers["x-tenant"] == "7"
    assert asked.headers["accept-language"] == "de-CH"
    assert asked.headers["user-agent"] == "Robot/1"


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        ({"type": "basic", "username": "u", "password": "p"}, "authorization", "Basic dTpw"),
        ({"type": "custom_header", "name": "X-Key", "value": "k"}, "x-key", "k"),
    ],
)
def test_ways_to_prove_oneself(
    server: LiveServer, auth: dict[str, str], header: str, value: str
) -> None:
    path = f"/{auth['type']}.png"
    file = {"url": server.origin.serve(path, PICTURE), "fetch_options": {"auth": auth}}
    assert made(transform(server, file))
    (asked,) = [asked for asked in server.origin.requests if asked.target == path]
    assert asked.headers[header] == value


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
def test_what_may_not_be_sent_along(server: LiveServer, options: Any) -> None:
    answer = transform(server, {"url": "http://127.0.0.1:1/a", "fetch_options": options})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("file")


def test_bodies_are_bounded(tmp_path: Path) -> None:
    small = {"FRAMEKEEP_TRANSFORM_MAX_BODY_BYTES": "1000"}
    with live_server(tmp_path, small) as strict:
        answer = post(strict, b" " * 1001)
    assert answer.status_code == 413
    assert answer.json()["success"] is False


def test_a_large_upload_is_taken(server: LiveServer) -> None:
    """Just within 50 MB: what is behind a picture's end is not looked at."""
    large = PICTURE + b"\0" * (52_428_800 - len(PICTURE))
    file = {"type": "base64", "base64": base64.b64encode(large).decode()}
    assert made(transform(server, file)) == made(transform(server))
    file = {"type": "base64", "base64": base64.b64encode(large + b"\0").decode()}
    assert transform(server, file).status_code == 413


def test_there_is_a_limit_of_requests_where_the_operator_sets_one(tmp_path: Path) -> None:
    with live_server(tmp_path, {"FRAMEKEEP_TRANSFORM_RATE_LIMIT_PER_MINUTE_PER_WORKER": "2"}) as slow:
        first, second, third = (transform(slow) for _ in range(3))
        other = post(slow, {"file": INLINE, "operations": FLIP}, key=OTHER_KEY)
    assert [first.status_code, second.status_code, third.status_code] == [200, 200, 429]
    assert [first.headers["x-ratelimit-remaining"], second.headers["x-ratelimit-remaining"]] == [
        *("1", "0")
    ]
    assert third.json() == {"success": False, "error": "Rate limited", "code": "RATE_LIMITED"}
    assert 1 <= int(third.headers["retry-after"]) <= 60
    assert other.status_code == 200


def test_without_one_nobody_is_told_of_any(server: LiveServer) -> None:
    assert "x-ratelimit-limit" not in transform(server).headers
