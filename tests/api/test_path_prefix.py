"""A server below a path prefix."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from live_server import KEY, LiveServer, live_server
from pictures import encode, scene

from proxy.app import create_app, open_dialects
from proxy.config import Settings, load
from proxy.errors import ConfigError, InvalidLink

PNG = encode(scene())
ENVIRONMENT = {
    "FRAMEKEEP_SERVER_PATH_PREFIX": "/media/img",
    "FRAMEKEEP_LINKS_MOUNTS": '{"": "native", "n": "native"}',
    "FRAMEKEEP_LINKS_KEYS": "ab" * 16,
    "FRAMEKEEP_METRICS_ACCESS": "open",
    "FRAMEKEEP_ADMIN_KEYS": "admin",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("cache"), ENVIRONMENT) as served:
        served.origin.serve("/a.png", PNG)
        yield served


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as opened:
        yield opened


def settings(**changes: str) -> Settings:
    return load({**ENVIRONMENT, **changes}).settings


def link(server: LiveServer, **changes: str) -> str:
    links = open_dialects(settings(**changes))
    return links.build_link(server.origin.url("/a.png"), ["resize:8"])


def test_links_are_served_below_the_prefix(client: httpx.Client, server: LiveServer) -> None:
    path = open_dialects(settings()).build_link(server.origin.url("/a.png"), ["resize:9"])
    assert path.startswith("/media/img/")
    answers = [client.get(path) for _ in range(3)]  # the last by the fast path
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [answer.headers["x-cache"] for answer in answers] == ["miss", "hit", "hit"]


def test_a_signature_does_not_cover_the_prefix(client: httpx.Client, server: LiveServer) -> None:
    bare = link(server, FRAMEKEEP_SERVER_PATH_PREFIX="")
    assert link(server) == f"/media/img{bare}"
    mounted = client.get(f"/media/img/n{bare}")
    assert mounted.status_code == 200
    assert client.get(bare).status_code == 404
    assert client.get(f"/n{bare}").status_code == 404


@pytest.mark.parametrize(
    "path", ["/docs", "/openapi.json", "/metrics", "/health", "/health/live", ""]
)
def test_apis_are_served_below_the_prefix(client: httpx.Client, path: str) -> None:
    assert client.get(f"/media/img{path}").status_code == 200


@pytest.mark.parametrize("path", ["/vision/v3.2/areaOfInterest", "//VISION/v3.2/areaOfInterest/"])
def test_an_api_is_called_below_the_prefix(client: httpx.Client, path: str) -> None:
    headers = {"Ocp-Apim-Subscription-Key": KEY, "Content-Type": "application/octet-stream"}
    assert client.post(f"/media/img{path}", content=PNG, headers=headers).status_code == 200
    assert client.post(path, content=PNG, headers=headers).status_code == 404


@pytest.mark.parametrize("path", ["/health", "/healthz", "/healthcheck", "/health/ready"])
def test_health_is_also_at_the_root(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/metrics",
        "/media",
        "/media/imgs/docs",
        "/media/im%67/docs",
        "/MEDIA/img/docs",
        "/media//img/docs",
    ],
)
def test_other_paths_are_not_found_with_the_reason(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert "/media/img/ (FRAMEKEEP_SERVER_PATH_PREFIX)" in response.json()["detail"]
    assert response.headers["x-request-id"] == response.json()["instance"]


def test_generated_urls_have_the_prefix(client: httpx.Client) -> None:
    document = client.get("/media/img/openapi.json").json()
    assert document["servers"] == [{"url": "/media/img"}]
    page = client.get("/media/img/docs").text
    assert 'href="/media/img/openapi.json"' in page
    for path in ("/media/img/x", "/media/img/admin/purge"):
        problem = client.post(path, headers={"Authorization": "Bearer admin"}, json={}).json()
        assert problem["type"] in ("about:blank", "/media/img/docs#problem-bad-purge")
    problem = client.get("/media/img/x").json()
    assert problem["type"] == "/media/img/docs#problem-bad-signature"


def test_the_dialects_parse_what_they_build(server: LiveServer) -> None:
    for mounts in ({"": "native"}, {"n": "native"}):
        dialects = open_dialects(settings(FRAMEKEEP_LINKS_MOUNTS=json.dumps(mounts)))
        request = dialects.make_request(server.origin.url("/a.png"), ["resize:8"])
        assert dialects.parse(dialects.build(request).encode()) == request
        with pytest.raises(InvalidLink, match="links begin with /media/img/"):
            dialects.parse(b"/media/imgs/x")


@pytest.mark.parametrize("prefix", ["img", "/img/", "/", "/a//b", "/a b", "/ä", "/../a", "/%61"])
def test_an_invalid_prefix_stops_the_start(prefix: str) -> None:
    with pytest.raises(ConfigError, match="FRAMEKEEP_SERVER_PATH_PREFIX"):
        load({"FRAMEKEEP_SERVER_PATH_PREFIX": prefix})


def test_a_prefix_cannot_hide_the_health_checks(tmp_path: Path) -> None:
    changes = {"SERVER_PATH_PREFIX": "/Health/img", "CACHE_DIR": str(tmp_path)}
    environment = {f"FRAMEKEEP_{name}": value for name, value in changes.items()}
    with pytest.raises(ConfigError, match=r"FRAMEKEEP_SERVER_PATH_PREFIX.*healthcheck"):
        create_app(settings(**environment))
