"""The documentation API: complete, and without requests to others."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from live_server import KEY, LiveServer, live_server

from proxy.api.azure import analysis, vision
from proxy.api.health import LIVE, READY
from proxy.api.http.problems import problem_json
from proxy.api.openapi import openapi_document
from proxy.api.transform.endpoint import PATH
from proxy.errors import InvalidOperation
from proxy.operations import OPERATIONS
from proxy.operations.operation import operation_name
from proxy.operations.registry import OperationRegistry

DOCUMENT = openapi_document(OperationRegistry(OPERATIONS))
SCHEMAS = DOCUMENT["components"]["schemas"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    directory: Path = tmp_path_factory.mktemp("cache")
    with live_server(directory) as served:
        yield served


@pytest.mark.parametrize("kind", OPERATIONS)
def test_every_operation_is_in_the_document(kind: type) -> None:
    mapping = SCHEMAS["Operation"]["discriminator"]["mapping"]
    assert mapping[operation_name(kind)] == f"#/components/schemas/{kind.__name__}"


def test_every_reference_resolves() -> None:
    references = re.findall(r"#/components/schemas/(\w+)", str(DOCUMENT))
    assert references
    assert set(references) <= set(SCHEMAS)


def post_parameters(path: str) -> dict[str, dict[str, Any]]:
    parameters = DOCUMENT["paths"][path]["post"]["parameters"]
    return {parameter["name"]: parameter["schema"] for parameter in parameters}


def test_the_packaged_document_states_the_limits_of_the_code() -> None:
    thumbnail = post_parameters("/vision/v3.2/generateThumbnail")
    assert thumbnail["width"]["maximum"] == vision.MAX_THUMBNAIL_SIDE
    assert thumbnail["height"]["maximum"] == vision.MAX_THUMBNAIL_SIDE
    assert thumbnail["model-version"]["enum"] == ["latest", *vision.MODEL_VERSIONS]
    analyze = DOCUMENT["paths"]["/computervision/imageanalysis:analyze"]["post"]["parameters"]
    described = {parameter["name"]: parameter for parameter in analyze}
    assert described["api-version"]["schema"]["enum"] == list(analysis.API_VERSIONS)
    ratios = described["smartcrops-aspect-ratios"]["description"]
    for limit in (analysis.MIN_RATIO, analysis.MAX_RATIO, analysis.MAX_RATIOS):
        assert str(limit) in ratios
    versions = {
        path.split("/v")[2].split("/")[0] for path in DOCUMENT["paths"] if "/vision/" in path
    }
    assert versions == vision.VERSIONS - {"1.0"}
    assert {PATH, LIVE, READY[0]} <= set(DOCUMENT["paths"])


def test_the_page_loads_nothing_else(server: LiveServer) -> None:
    page = httpx.get(server.url + "/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.findall(r'(?:src|href|action)="(?![/#])[^"]*"', page.text)
    assert "<script" not in page.text
    assert "url(" not in page.text


def test_the_page_has_every_operation_and_problem(server: LiveServer) -> None:
    page = httpx.get(server.url + "/docs").text
    for kind in OPERATIONS:
        assert f'id="{operation_name(kind)}"' in page
    body = problem_json(InvalidOperation("x"), "y")[2].decode()
    anchor = re.search(r"/docs#([\w-]+)", body)
    assert anchor
    assert page.count(f'id="{anchor[1]}"') == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [("/docs/", 200), ("/openapi.json/", 200), ("/docs/other", 404), ("/openapi.json/x", 404)],
)
def test_paths(server: LiveServer, path: str, status: int) -> None:
    response = httpx.get(server.url + path)
    assert response.status_code == status
    assert response.headers["cache-control"] == "no-cache"


def test_only_get_and_head_are_allowed(server: LiveServer) -> None:
    response = httpx.post(server.url + "/openapi.json")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    assert httpx.head(server.url + "/openapi.json").content == b""


def test_the_document_has_no_key(server: LiveServer) -> None:
    assert KEY not in httpx.get(server.url + "/openapi.json").text
