"""The reference: complete, and of itself."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from live_server import KEY, LiveServer, live_server

from proxy.api.http.problems import problem_json
from proxy.api.openapi import openapi_document
from proxy.errors import InvalidOperation
from proxy.operations import OPERATIONS
from proxy.operations.operation import operation_name
from proxy.operations.registry import OperationRegistry

CATALOGUE = OperationRegistry(OPERATIONS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder: Path = tmp_path_factory.mktemp("cache")
    with live_server(folder) as served:
        yield served


@pytest.mark.parametrize("kind", OPERATIONS)
def test_every_operation_is_in_the_document(kind: type) -> None:
    mapping = openapi_document(CATALOGUE)["components"]["schemas"]["Operation"]["discriminator"]["mapping"]
    assert mapping[operation_name(kind)] == f"#/components/schemas/{kind.__name__}"


def test_every_reference_leads_somewhere() -> None:
    described = openapi_document(CATALOGUE)
    names = set(described["components"]["schemas"])
    found = re.findall(r"#/components/schemas/(\w+)", str(described))
    assert found
    assert set(found) <= names


def test_the_page_asks_nobody_for_anything(server: LiveServer) -> None:
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
    leads_to = problem_json(InvalidOperation("x"), "y")[2].decode()
    anchor = re.search(r"/docs#([\w-]+)", leads_to)
    assert anchor
    assert f'id="{anchor[1]}"' in page


@pytest.mark.parametrize(("path", "status"), [("/docs/", 200), ("/docs/other", 404)])
def test_paths(server: LiveServer, path: str, status: int) -> None:
    assert httpx.get(server.url + path).status_code == status


def test_it_is_only_read(server: LiveServer) -> None:
    assert httpx.post(server.url + "/openapi.json").status_code == 405
    assert httpx.head(server.url + "/openapi.json").content == b""


def test_key_is_no_part_of_it(server: LiveServer) -> None:
    assert KEY not in httpx.get(server.url + "/openapi.json").text
