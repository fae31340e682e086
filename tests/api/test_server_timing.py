"""Links with the option `debug`, through the whole server."""

from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from live_server import LiveServer, live_server
from pictures import encode, scene

from proxy.links.signing import Keyring

KEY = "00112233445566778899aabbccddeeff"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    signed_only = {"FRAMEKEEP_LINKS_KEYS": KEY, "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "false"}
    with live_server(tmp_path, signed_only) as running:
        yield running


def get(server: LiveServer, options: str, path: str = "/a.png", **headers: str) -> httpx.Response:
    rest = f"/{options}/{server.origin.url(path)}"
    link = f"/{Keyring.from_hex([KEY]).sign(rest.encode())}{rest}"
    return httpx.get(server.url + link, headers=headers)


def test_a_debug_link_times_each_stage_of_the_same_image(server: LiveServer) -> None:
    server.origin.serve("/a.png", encode(scene()))
    first = get(server, "debug/resize:40")
    assert first.headers["x-cache"] == "miss"
    assert {"fetch", "render", "total"} <= {
        part.partition(";")[0].strip() for part in first.headers["server-timing"].split(",")
    }

    plain = get(server, "resize:40")
    assert "server-timing" not in plain.headers
    assert "max-age" in plain.headers["cache-control"]
    assert (plain.headers["x-cache"], plain.headers["etag"]) == ("hit", first.headers["etag"])

    for _ in range(2):
        cached = get(server, "debug/resize:40")
        assert 'desc="hit"' in cached.headers["server-timing"]
        assert cached.headers["cache-control"] == "no-store"
    assert "server-timing" not in get(server, "resize:40").headers
    unchanged = {"If-None-Match": first.headers["etag"]}
    assert "server-timing" in get(server, "debug/resize:40", **unchanged).headers
    assert server.origin.count("/a.png") == 1


def test_a_debug_link_times_errors_and_info_too(server: LiveServer) -> None:
    server.origin.serve("/a.png", encode(scene()))
    missing = get(server, "debug/resize:40", "/missing.png")
    assert missing.status_code == 404
    assert "fetch" in missing.headers["server-timing"]
    assert "server-timing" in get(server, "debug/info").headers


def test_an_unsigned_debug_link_is_not_timed(server: LiveServer) -> None:
    server.origin.serve("/a.png", encode(scene()))
    link = f"/debug/resize:40/{server.origin.url('/a.png')}"
    for signature in ("_", "x" * 22):
        response = httpx.get(f"{server.url}/{signature}{link}")
        assert response.status_code == 403
        assert "server-timing" not in response.headers
