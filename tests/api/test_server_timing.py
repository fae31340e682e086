"""Links that ask how long an answer took, through the whole server."""

from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from live_server import LiveServer, live_server
from pictures import encode, scene

from proxy.links.signing import Keyring

KEY = "00112233445566778899aabbccddeeff"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[LiveServer]:
    signed_only = {"FRAMEKEEP_LINKS_KEYS": KEY, "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "false"}
    with live_server(tmp_path, signed_only) as server:
        yield server


def ask(served: LiveServer, steps: str, path: str = "/a.png", **headers: str) -> httpx.Response:
    rest = f"/{steps}/{served.origin.url(path)}"
    link = f"/{Keyring.from_hex([KEY]).sign(rest.encode())}{rest}"
    return httpx.get(served.url + link, headers=headers)


def test_a_debug_link_tells_of_each_stage_and_is_of_the_same_picture(served: LiveServer) -> None:
    served.origin.serve("/a.png", encode(scene()))
    made = ask(served, "debug/resize:40")
    assert made.headers["x-cache"] == "miss"
    assert {"fetch", "render", "total"} <= {
        part.partition(";")[0].strip() for part in made.headers["server-timing"].split(",")
    }

    plain = ask(served, "resize:40")
    assert "server-timing" not in plain.headers
    assert "max-age" in plain.headers["cache-control"]
    assert (plain.headers["x-cache"], plain.headers["etag"]) == ("hit", made.headers["etag"])

    for _ in range(2):
        kept = ask(served, "debug/resize:40")
        assert 'desc="hit"' in kept.headers["server-timing"]
        assert kept.headers["cache-control"] == "no-store"
    assert "server-timing" not in ask(served, "resize:40").headers
    unchanged = {"If-None-Match": made.headers["etag"]}
    assert "server-timing" in ask(served, "debug/resize:40", **unchanged).headers
    assert served.origin.count("/a.png") == 1


def test_a_debug_link_tells_of_failures_and_questions_too(served: LiveServer) -> None:
    served.origin.serve("/a.png", encode(scene()))
    missing = ask(served, "debug/resize:40", "/missing.png")
    assert missing.status_code == 404
    assert "fetch" in missing.headers["server-timing"]
    assert "server-timing" in ask(served, "debug/info").headers


def test_nobody_unsigned_is_told(served: LiveServer) -> None:
    served.origin.serve("/a.png", encode(scene()))
    link = f"/debug/resize:40/{served.origin.url('/a.png')}"
    for signature in ("_", "x" * 22):
        answer = httpx.get(f"{served.url}/{signature}{link}")
        assert answer.status_code == 403
        assert "server-timing" not in answer.headers
