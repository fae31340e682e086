"""Fallback images: what links answer where their original cannot be fetched or read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2 as httpx
import pytest
from live_server import LiveServer, live_server
from pictures import decode, encode, plain, scene

from proxy.cache.cache_tags import cdn_tag
from proxy.cli.startup_checks import run_startup_checks
from proxy.config import load
from proxy.errors import ConfigError
from proxy.links.config import LinksConfig

PNG = encode(scene())
RED, BLUE = (encode(plain(60, 60, color)) for color in ((255, 0, 0), (0, 0, 255)))
ADMIN = {"Authorization": "Bearer admin"}


class Site(NamedTuple):
    client: httpx.Client
    server: LiveServer

    def url(self, path: str) -> str:
        return self.server.origin.url(path)

    def serve(self, path: str, body: bytes = b"", status: int = 200) -> str:
        return self.server.origin.serve(path, body, status=status)

    def get(self, link: str, **headers: str) -> httpx.Response:
        return self.client.get(link, headers=headers)

    def purge(self, **selectors: list[str]) -> None:
        assert self.client.post("/admin/purge", json=selectors, headers=ADMIN).status_code == 200


def site(folder: Path, **settings: str) -> Iterator[Site]:
    placeholders = folder / "placeholders"
    placeholders.mkdir()
    (placeholders / "red.png").write_bytes(RED)
    (placeholders / "blue.png").write_bytes(BLUE)
    environment = {
        "FRAMEKEEP_SOURCES_ALIASES": json.dumps({"media": f"file://{placeholders}"}),
        "FRAMEKEEP_LINKS_FALLBACKS": json.dumps(
            {"red": "media:red.png", "blue": "media:blue.png", "gone": "media:gone.png"}
        ),
        "FRAMEKEEP_LINKS_PRESETS": json.dumps({"avatar": "resize:40:40:cover/fallback:blue"}),
        "FRAMEKEEP_ADMIN_KEYS": "admin",
        "FRAMEKEEP_CACHE_TTL_MIN": "0",
        **{f"FRAMEKEEP_{name}": value for name, value in settings.items()},
    }
    with live_server(folder / "cache", environment) as server:
        client = httpx.Client(base_url=server.url, timeout=60, trust_env=False)
        yield Site(client, server)
        client.close()


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Links name their fallback."""
    yield from site(tmp_path_factory.mktemp("named"))


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Every link has a fallback, with the status of the error."""
    yield from site(
        tmp_path_factory.mktemp("everywhere"),
        LINKS_FALLBACK="red",
        LINKS_FALLBACK_STATUS="0",
        LINKS_FALLBACK_TTL="5",
    )


def color(response: httpx.Response) -> str:
    return {(255, 0, 0): "red", (0, 0, 255): "blue"}[tuple(decode(response.content)[3, 3][:3])]


def test_a_missing_original_is_replaced_in_size_and_format(named: Site) -> None:
    response = named.get(f"/_/resize:30:20:fill/fallback:red/convert:png/{named.url('/none')}")
    assert response.status_code == 200
    assert decode(response.content).shape[:2] == (20, 30)
    assert color(response) == "red"
    assert response.headers["x-fallback"] == "source-not-found"
    assert response.headers["content-type"] == "image/png"
    assert response.headers["cache-control"] == (
        "public, max-age=60, stale-while-revalidate=0, stale-if-error=0"
    )
    assert response.headers["age"] == "0"
    assert "last-modified" not in response.headers


def test_the_fallback_is_rendered_once_for_all_originals(named: Site) -> None:
    states = [
        named.get(f"/_/resize:31/fallback:red/{named.url(f'/none-{number}')}").headers["x-cache"]
        for number in range(3)
    ]
    assert states == ["miss", "hit", "hit"]
    own = named.get("/_/resize:31/media:red.png")
    assert own.headers["x-cache"] == "hit"
    assert "x-fallback" not in own.headers


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        (b"", 404, "source-not-found"),
        (b"", 403, "source-refused"),
        (b"", 500, "source-failed"),
        (b"text", 200, "not-an-image"),
        (PNG[:200], 200, "broken-image"),
    ],
)
def test_what_is_replaced(named: Site, body: bytes, status: int, problem: str) -> None:
    source = named.serve(f"/{problem}", body, status)
    response = named.get(f"/_/resize:20/fallback:red/{source}")
    assert (response.status_code, color(response)) == (200, "red")
    assert response.headers["x-fallback"] == problem
    refused = named.get(f"/_/resize:20/fallback:red/http://169.254.169.254/{problem}")
    assert refused.headers["x-fallback"] == "source-forbidden"


@pytest.mark.parametrize(
    ("link", "status"), [("resize:0/fallback:red/", 400), ("expires:1/fallback:red/", 410)]
)
def test_a_bad_link_is_an_error(named: Site, link: str, status: int) -> None:
    response = named.get(f"/_/{link}{named.url('/none')}")
    assert response.status_code == status
    assert "x-fallback" not in response.headers


def test_an_original_that_can_be_read_is_not_replaced(named: Site) -> None:
    response = named.get(f"/_/resize:20/fallback:red/{named.serve('/good.png', PNG)}")
    assert response.status_code == 200
    assert "x-fallback" not in response.headers


def test_a_link_is_its_own_image_as_soon_as_its_original_is_there(named: Site) -> None:
    source = named.serve("/late.png", status=404)
    link = f"/_/resize:20/fallback:red/{source}"
    before = named.get(link)
    named.serve("/late.png", PNG)
    named.purge(sources=[source])
    after = named.get(link, **{"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert "x-fallback" not in after.headers
    assert after.headers["x-cache"] == "miss"


def test_a_purge_of_either_source_reaches_it(named: Site) -> None:
    source = named.url("/never")
    link = f"/_/resize:33/fallback:red/tag:mine/{source}"
    tags = named.get(link).headers["cache-tag"].split(",")
    assert {"mine", cdn_tag(f"source:{source}"), cdn_tag("source:media:red.png")} <= set(tags)
    named.purge(sources=["media:red.png"])
    assert named.get(link).headers["x-cache"] == "miss"


def test_a_stale_rendition_goes_before_the_fallback(named: Site) -> None:
    source = named.server.origin.serve(
        "/old.png", PNG, headers={"Cache-Control": "max-age=0", "ETag": '"1"'}
    )
    link = f"/_/resize:20/fallback:red/{source}"
    assert named.get(link).headers["x-cache"] == "miss"
    named.serve("/old.png", status=500)
    response = named.get(link)
    assert response.headers["x-cache"] == "stale"
    assert "x-fallback" not in response.headers


def test_conditional_requests_and_head(named: Site) -> None:
    link = f"/_/resize:20/fallback:red/{named.url('/none')}"
    etag = named.get(link).headers["etag"]
    unchanged = named.get(link, **{"If-None-Match": etag})
    assert unchanged.status_code == 304
    assert unchanged.headers["x-fallback"] == "source-not-found"
    assert named.get(link, Range="bytes=0-9").status_code == 206
    head = named.client.head(link)
    assert head.headers["x-fallback"] == "source-not-found"
    assert not head.content


def test_a_preset_names_a_fallback(named: Site) -> None:
    response = named.get(f"/_/preset:avatar/convert:png/{named.url('/none')}")
    assert color(response) == "blue"
    twice = named.get(f"/_/preset:avatar/fallback:red/{named.url('/none')}")
    assert "fallback is given twice" in twice.json()["detail"]


def test_an_unknown_name_is_refused_with_the_known_ones(named: Site) -> None:
    response = named.get(f"/_/fallback:green/{named.url('/none')}")
    assert response.status_code == 400
    assert "are: blue, gone, red (FRAMEKEEP_LINKS_FALLBACKS)" in response.json()["detail"]


def test_a_fallback_that_fails_leaves_the_error(named: Site) -> None:
    response = named.get(f"/_/resize:20/fallback:gone/{named.url('/none')}")
    assert response.status_code == 404
    assert response.json()["type"].endswith("source-not-found")
    assert "x-fallback" not in response.headers


def test_info_has_no_fallback(named: Site, everywhere: Site) -> None:
    assert named.get(f"/_/info/fallback:red/{named.url('/none')}").status_code == 400
    assert everywhere.get(f"/_/info/{everywhere.url('/none')}").status_code == 404


def test_a_fallback_for_all_links_with_the_status_of_the_error(everywhere: Site) -> None:
    link = f"/_/resize:20/convert:png/{everywhere.url('/none')}"
    response = everywhere.get(link)
    assert (response.status_code, color(response)) == (404, "red")
    assert response.headers["cache-control"].startswith("public, max-age=5,")
    # Conditions and ranges apply only where the status would be 200.
    for headers in ({"If-None-Match": response.headers["etag"]}, {"Range": "bytes=0-9"}):
        again = everywhere.get(link, **headers)
        assert (again.status_code, again.content) == (404, response.content)
    blue = everywhere.get(f"/_/fallback:blue/convert:png/{everywhere.url('/none')}")
    assert (blue.status_code, color(blue)) == (404, "blue")
    assert everywhere.get("/_/resize:20/media:red.png").status_code == 200


def test_the_fallback_of_a_link_that_expires_is_not_cached_longer(named: Site) -> None:
    link = f"/_/expires:4102444800/debug/fallback:red/{named.url('/none')}"
    assert named.get(link).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"FALLBACK": "x"}, "FRAMEKEEP_LINKS_FALLBACK.*unknown name 'x'.* has: a"),
        ({"FALLBACKS": '{"a/b": "media:c"}'}, "FRAMEKEEP_LINKS_FALLBACKS.*a name is 1 to 64"),
        ({"FALLBACK_STATUS": "204"}, "FRAMEKEEP_LINKS_FALLBACK_STATUS.*must be 200"),
    ],
)
def test_wrong_settings_stop_the_start(settings: dict[str, str], reason: str) -> None:
    table = {"FRAMEKEEP_LINKS_FALLBACKS": '{"a": "media:b"}'}
    with pytest.raises(ConfigError, match=reason):
        load({**table, **{f"FRAMEKEEP_LINKS_{name}": value for name, value in settings.items()}})


def test_an_unknown_source_stops_the_start(tmp_path: Path) -> None:
    settings = load(
        {
            "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
            "FRAMEKEEP_CACHE_DIR": str(tmp_path),
            "FRAMEKEEP_LINKS_FALLBACKS": '{"a": "nowhere:b.png"}',
        }
    ).settings
    results = {result.name: result for result in run_startup_checks(settings)}
    assert results["links"].state == "bad"
    assert "FRAMEKEEP_LINKS_FALLBACKS: 'a': invalid source" in results["links"].message


def test_by_default_there_is_none() -> None:
    assert LinksConfig().fallback == ""
