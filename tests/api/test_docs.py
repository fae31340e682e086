"""The documentation API: complete, and without requests to others."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from live_server import KEY, LiveServer, live_server

from proxy.api.azure import analysis, vision
from proxy.api.docs.html import Layout
from proxy.api.docs.http_reference import problems_html
from proxy.api.docs.manual import Manual, find_manual, parse_page
from proxy.api.health import LIVE, READY
from proxy.api.http.problems import problem_json
from proxy.api.openapi import openapi_document
from proxy.api.transform.endpoint import PATH
from proxy.errors import InvalidOperation
from proxy.operations import OPERATIONS
from proxy.operations.operation import operation_name
from proxy.operations.registry import OperationRegistry
from proxy.prepare.outputs.output import NotStorable

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


def pages(server: LiveServer) -> dict[str, str]:
    """Every page of the manual that the contents name, by its path."""
    contents = httpx.get(server.url + "/docs").text.partition('<nav id="contents"')[2]
    paths = [path for path in re.findall(r'href="(/docs[^"#]*)"', contents) if path != "/docs"]
    return {path: httpx.get(server.url + path).text for path in ["/docs", *paths]}


def test_the_pages_run_no_script_and_load_from_nobody_else(server: LiveServer) -> None:
    response = httpx.get(server.url + "/docs")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path, page in pages(server).items():
        loaded = re.findall(r'(?:src|action|rel="stylesheet" href)="([^"]*)"', page)
        assert loaded
        assert all(target.startswith("/docs") for target in loaded), path
        assert "<script" not in page
        assert "style=" not in page
    assert "url(" not in httpx.get(server.url + "/docs/style.css").text


def test_every_page_of_the_documentation_is_in_the_manual(server: LiveServer) -> None:
    served = pages(server)
    root = find_manual()
    for path in [*(root / "docs").rglob("*.md"), root / "SECURITY.md"]:
        name = path.relative_to(root).with_suffix("").as_posix().removeprefix("docs/").lower()
        assert f"/docs/{name}" in served


def test_every_link_and_picture_of_the_manual_leads_somewhere(server: LiveServer) -> None:
    served = pages(server)
    pictures: set[str] = set()
    for path, page in served.items():
        for target in re.findall(r'href="(/docs[^"]*|#[^"]*)"', page):
            where, _, anchor = target.partition("#")
            if where.endswith(".css"):
                continue
            assert not anchor or f'id="{anchor}"' in served[where or path], f"{path}: {target}"
        pictures.update(re.findall(r'src="([^"]*)"', page))
    assert pictures
    for picture in pictures:
        response = httpx.get(server.url + picture)
        assert response.headers["content-type"].startswith("image/"), picture


def test_html_in_the_manual_is_text_and_comments_are_left_out() -> None:
    tokens = parse_page("# A <b>\n\n<!-- no -->\n\n<script>1</script>\n\n# A <b>\n")
    assert [token.attrs["id"] for token in tokens if token.type == "heading_open"] == [
        "a-b",
        "a-b-1",
    ]
    assert "<!--" not in "".join(token.content for token in tokens)


def test_the_search_finds_sections_by_words_in_any_case(server: LiveServer) -> None:
    page = httpx.get(server.url + "/docs/search", params={"q": "STALE-while-revalidate"}).text
    assert "<mark>stale-while-revalidate</mark>" in page
    first = httpx.get(server.url + "/docs/search", params={"q": "smart_crop"}).text
    assert re.search(r'<ol class="results"><li><a href="([^"]*)"', first)
    assert "/docs/operations#smart_crop" in first
    nothing = httpx.get(server.url + "/docs/search", params={"q": "<b>xyzzy"}).text
    assert "Nothing found for “&lt;b&gt;xyzzy”" in nothing
    assert "Write what to find" in httpx.get(server.url + "/docs/search").text


def test_the_manual_has_every_operation_and_problem(server: LiveServer) -> None:
    operations = httpx.get(server.url + "/docs/operations").text
    for kind in OPERATIONS:
        assert f'id="{operation_name(kind)}"' in operations
    start = httpx.get(server.url + "/docs").text
    body = problem_json(InvalidOperation("x"), "y")[2].decode()
    anchor = re.search(r"/docs#([\w-]+)", body)
    assert anchor
    assert start.count(f'id="{anchor[1]}"') == 1


def test_errors_that_only_reports_have_are_no_problems_of_the_manual() -> None:
    assert NotStorable.problem_type not in problems_html()
    assert InvalidOperation.problem_type in problems_html()


def test_links_to_examples_are_where_this_server_answers_them() -> None:
    manual = Manual(find_manual(), {})
    example = 'href="/img/_/smart_crop:'
    with_examples = Layout(manual, "/img", has_examples=True).manual_page("operations")
    assert example in with_examples.decode()
    without = Layout(manual, "/img", has_examples=False).manual_page("operations").decode()
    assert example not in without
    assert "<code>/_/smart_crop:" in without


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/docs/", 200),
        ("/openapi.json/", 200),
        ("/docs/links/", 200),
        ("/docs/other", 404),
        ("/docs/%2e%2e/README.md", 404),
        ("/openapi.json/x", 404),
    ],
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
