"""The home page, what browsers ask every server for, and errors as pages."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pictures
import pytest
from live_server import LiveServer, live_server

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    directory: Path = tmp_path_factory.mktemp("cache")
    with live_server(directory) as served:
        yield served


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server below a path prefix and without a home page."""
    environment = {"FRAMEKEEP_SERVER_PATH_PREFIX": "/img", "FRAMEKEEP_PAGES_HOME": "false"}
    with live_server(tmp_path_factory.mktemp("cache"), environment) as served:
        yield served


@pytest.mark.parametrize("path", ["/", "//", "/?utm_source=x"])
def test_the_home_page_names_version_and_state(server: LiveServer, path: str) -> None:
    page = httpx.get(server.url + path, headers=BROWSER)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<dt>Version</dt><dd>0." in page.text
    assert "<dt>State</dt><dd>ok</dd>" in page.text
    assert httpx.head(server.url + path).status_code == 200


def test_every_link_of_the_home_page_works(server: LiveServer) -> None:
    links = re.findall(r'href="([^"]+)"', httpx.get(server.url + "/").text)
    assert {"/docs", "/openapi.json", "/health"} <= set(links)
    assert {httpx.get(server.url + link).status_code for link in links} == {200}


def test_what_browsers_ask_for_is_there(server: LiveServer) -> None:
    icon = httpx.get(server.url + "/favicon.ico")
    assert icon.content.startswith(b"\0\0\1\0")
    assert icon.headers["content-type"] == "image/x-icon"
    robots = httpx.get(server.url + "/robots.txt")
    assert robots.text.startswith("User-agent: *\nDisallow: /admin\n")


def test_no_visit_of_a_browser_counts_as_a_failure(server: LiveServer) -> None:
    def failures() -> list[str]:
        metrics = httpx.get(server.url + "/metrics").text
        return re.findall(r'^framekeep_http_requests_total{code="4.*$', metrics, re.MULTILINE)

    before = failures()
    for path in ("/", "/favicon.ico", "/robots.txt"):
        httpx.get(server.url + path, headers=BROWSER)
    assert failures() == before


def test_the_home_page_can_be_switched_off(moved: LiveServer) -> None:
    for path in ("/img", "/img/"):
        answer = httpx.get(moved.url + path)
        assert answer.status_code == 404
        assert "FRAMEKEEP_PAGES_HOME" in answer.json()["detail"]


def test_icon_and_robots_are_also_at_the_root(moved: LiveServer) -> None:
    for path in ("/favicon.ico", "/img/favicon.ico", "/robots.txt"):
        assert httpx.get(moved.url + path).status_code == 200
    assert "Disallow: /img/admin" in httpx.get(moved.url + "/robots.txt").text
    page = httpx.get(moved.url + "/other", headers=BROWSER)
    assert page.status_code == 404
    assert "/img/ (FRAMEKEEP_SERVER_PATH_PREFIX)" in page.text


def test_a_browser_gets_a_page_with_the_faulty_segment_marked(server: LiveServer) -> None:
    page = httpx.get(server.url + "/_/flip/blur:3000/demo:a.jpg?x=<b>", headers=BROWSER)
    assert page.status_code == 400
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<pre>/_/flip/<mark>blur:3000</mark>/demo:a.jpg" in page.text
    assert "blur: sigma: must be a number above 0, up to 100" in page.text
    assert "What to do" in page.text
    assert "/docs#problem-bad-plan" in page.text
    assert 'href="/docs/operations">reference</a>' in page.text
    assert page.headers["x-request-id"] in page.text
    assert "<b>" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'; img-src 'self'")
    assert page.headers["x-content-type-options"] == "nosniff"


def test_a_wrong_signature_is_marked(server: LiveServer) -> None:
    page = httpx.get(server.url + "/AAAAAAAAAAAAAAAAAAAAAA/flip/demo:a.jpg", headers=BROWSER)
    assert page.status_code == 403
    assert "<pre>/<mark>AAAAAAAAAAAAAAAAAAAAAA</mark>/flip" in page.text


@pytest.mark.parametrize(
    ("steps", "source", "status", "marked"),
    [
        ("flip", "absent.jpg", 404, "{source}"),
        ("flip", "page.html", 415, "{source}"),
        ("flip/crop:9000:9000:10:10", "small.png", 422, "crop:9000:9000:10:10"),
    ],
)
def test_a_source_that_fails_and_an_operation_that_does_not_fit_are_marked(
    server: LiveServer, steps: str, source: str, status: int, marked: str
) -> None:
    server.origin.serve("/page.html", b"<p>no picture</p>")
    server.origin.serve("/small.png", pictures.encode(pictures.plain(20, 20)))
    url = server.origin.url(f"/{source}")
    page = httpx.get(f"{server.url}/_/{steps}/{url}", headers=BROWSER)
    assert page.status_code == status
    assert f"<mark>{marked.format(source=url)}</mark>" in page.text


def test_a_page_that_the_manual_lacks_is_a_page_too(server: LiveServer) -> None:
    page = httpx.get(server.url + "/docs/nothing", headers=BROWSER)
    assert page.status_code == 404
    assert "The manual has no such page" in page.text


def test_an_error_of_another_dialect_is_marked(tmp_path: Path) -> None:
    environment = {
        "FRAMEKEEP_LINKS_MOUNTS": '{"": "native", "imgproxy": "imgproxy"}',
        "FRAMEKEEP_IMGPROXY_ALLOW_UNSIGNED": "true",
    }
    with live_server(tmp_path, environment) as server:
        path = "/imgproxy/unsafe/rs:fit:abc/plain/https://a.example/b.jpg"
        page = httpx.get(server.url + path, headers=BROWSER)
        assert page.status_code == 400
        assert "<mark>rs:fit:abc</mark>" in page.text


@pytest.mark.parametrize(
    "accept", ["*/*", "image/avif,image/webp,*/*;q=0.8", "application/json, text/html;q=0.5"]
)
def test_programs_and_images_get_problem_json(server: LiveServer, accept: str) -> None:
    for path in ("/_/blur:3000/demo:a.jpg", "/admin/cache", "/robots.txt/x"):
        answer = httpx.get(server.url + path, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers.get("vary") == ("Accept" if answer.status_code == 404 else None)


def test_a_long_url_is_cut(server: LiveServer) -> None:
    page = httpx.get(f"{server.url}/_/flip/{'x' * 5000}/demo:a.jpg", headers=BROWSER)
    assert page.status_code == 400
    assert len(page.text) < 8000
