"""Headers and credentials of single sources, and their caching."""

import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from origin_server import OriginServer

from proxy.config import load
from proxy.errors import ConfigError
from proxy.limits import Limits
from proxy.originals import Original, SourceRef
from proxy.sources.config import SourceConfig
from proxy.sources.net.url import parse_url
from proxy.sources.options import OptionsByOrigin, OriginKey, SourceOptions
from proxy.sources.router import SourceRouter

pytestmark = pytest.mark.anyio

SECRET = "s3cr3t-t0ken"


@pytest.fixture
async def origin() -> AsyncIterator[OriginServer]:
    async with OriginServer() as server:
        yield server


def make_router(**settings: Any) -> SourceRouter:
    config = SourceConfig(allow_nets=("127.0.0.1",), max_retries=0, **settings)
    return SourceRouter.from_config(config, Limits())


async def sent(router: SourceRouter, origin: OriginServer, ref: SourceRef) -> Mapping[str, str]:
    """Fetch, and return the headers of the last request."""
    await router.fetch(ref)
    return origin.requests[-1].headers


async def test_an_alias_has_headers_of_its_own(origin: OriginServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{SECRET}\n")
    options = SourceOptions(
        headers={"X-Key": "k", "Cookie": "a=b"},
        bearer_file=str(tmp_path / "token"),
        user_agent="Shop",
        referer="https://shop.example/",
    )
    origin.serve("/a.jpg", b"a")
    router = make_router(aliases={"shop": origin.url("/")}, alias_options={"shop": options})
    headers = await sent(router, origin, SourceRef("shop:a.jpg"))
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert (headers["x-key"], headers["cookie"]) == ("k", "a=b")
    assert (headers["user-agent"], headers["referer"]) == ("Shop", "https://shop.example/")
    plain = await sent(router, origin, SourceRef(origin.url("/a.jpg")))
    assert plain["user-agent"] == "Framekeep"
    assert not plain.keys() & {"authorization", "x-key", "cookie", "referer"}
    await router.close()


async def test_an_origin_has_headers_that_go_before_those_of_a_caller(
    origin: OriginServer,
) -> None:
    origin.serve("/a.jpg", b"a")
    key = origin.url("")
    router = make_router(origin_options={key: SourceOptions(basic="user:pass word")})
    ref = SourceRef(origin.url("/a.jpg"), headers=(("authorization", "x"), ("x-a", "b")))
    headers = await sent(router, origin, ref)
    assert headers["authorization"] == "Basic dXNlcjpwYXNzIHdvcmQ="
    assert headers["x-a"] == "b"
    await router.close()


async def test_nothing_is_sent_to_another_server_after_a_redirect(origin: OriginServer) -> None:
    async with OriginServer() as other:
        options = {
            server.url(""): SourceOptions(bearer=SECRET, user_agent="Ours")
            for server in (origin, other)
        }
        router = make_router(origin_options=options)
        target = other.serve("/b.jpg", b"b")
        url = origin.serve("/a.jpg", status=302, headers={"Location": target})
        await router.fetch(SourceRef(url))
        assert origin.requests[0].headers["authorization"] == f"Bearer {SECRET}"
        # Not even its own: whoever redirects would choose what is fetched with them.
        assert "authorization" not in other.requests[0].headers
        assert other.requests[0].headers["user-agent"] == "Framekeep"
        await router.close()


async def test_an_operator_can_say_how_a_source_is_cached(origin: OriginServer) -> None:
    url = origin.serve("/a.jpg", b"a", headers={"Cache-Control": "private", "Vary": "*"})
    options = SourceOptions(cache_control="max-age=600, stale-if-error=60")
    router = make_router(origin_options={origin.url(""): options})
    original = await router.fetch(SourceRef(url))
    assert isinstance(original, Original)
    assert original.metadata.ttl == 600
    assert original.metadata.directives.allows_storing
    assert original.metadata.directives.stale_if_error == 60
    await router.close()


@pytest.mark.parametrize(
    ("key", "url", "matches"),
    [
        ("https://cdn.example", "https://cdn.example/a", True),
        ("https://cdn.example", "https://cdn.example:444/a", False),
        ("https://cdn.example", "http://cdn.example/a", False),
        ("https://cdn.example", "https://a.cdn.example/a", False),
        ("https://*.example", "https://a.cdn.example/a", True),
        ("https://*.example", "https://example/a", False),
        ("https://*.example", "https://an-example/a", False),
        ("http://10.0.0.3:8080", "http://10.0.0.3:8080/", True),
        ("https://B\xdcCHER.example", "https://xn--bcher-kva.example/", True),
    ],
)
def test_an_origin_is_scheme_host_and_port(key: str, url: str, matches: bool) -> None:
    assert OriginKey.parse(key).matches(parse_url(url)) is matches


def test_the_most_specific_origin_counts() -> None:
    names = ("https://*.example", "https://a.b.example", "https://*.b.example")
    options = OptionsByOrigin({name: SourceOptions(cache_control=name) for name in names})
    found = [
        options.find(parse_url(f"https://{host}/")).cache_control
        for host in ("a.b.example", "x.b.example", "x.example", "other")
    ]
    assert found == [names[1], names[2], names[0], ""]


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"origin_options": '{"cdn.example": {}}'}, "no path belongs to it|is not an origin"),
        ({"origin_options": '{"https://a/b": {}}'}, "is not an origin"),
        ({"alias_options": '{"shop": {}}'}, "'shop' is not in FRAMEKEEP_SOURCES_ALIASES"),
        ({"origin_options": '{"https://a": {"barer": "x"}}'}, "barer"),
    ],
)
def test_wrong_settings_stop_the_start(settings: dict[str, str], error: str) -> None:
    environment = {f"FRAMEKEEP_SOURCES_{name.upper()}": text for name, text in settings.items()}
    with pytest.raises(ConfigError, match=error):
        load(environment)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (SourceOptions(headers={"Host": SECRET}), "header host is not allowed"),
        (SourceOptions(headers={"X-A": f"{SECRET}\r\nB: c"}), "invalid value of header x-a"),
        (SourceOptions(basic=SECRET), "basic: must be USER:PASSWORD"),
        (SourceOptions(bearer_file="/nothing/here"), "bearer_file: '/nothing/here' cannot be read"),
        (SourceOptions(bearer=SECRET, basic=f"a:{SECRET}"), "authorization is given twice"),
    ],
)
def test_a_wrong_option_is_an_error_without_its_value(options: SourceOptions, error: str) -> None:
    with pytest.raises(ConfigError, match=error) as raised:
        make_router(origin_options={"https://a.example": options})
    assert "FRAMEKEEP_SOURCES_ORIGIN_OPTIONS: https://a.example: " in str(raised.value)
    assert SECRET not in str(raised.value)


def test_headers_are_not_for_folders_and_buckets() -> None:
    aliases = {"files": "file:///srv", "bucket": "s3://bucket/a?skip_signature=true"}
    options = dict.fromkeys(aliases, SourceOptions(bearer=SECRET))
    with pytest.raises(ConfigError) as raised:
        make_router(aliases=aliases, alias_options=options)
    assert "files: alias_options are not for folders" in str(raised.value)
    assert "bucket: of alias_options only cache_control is for buckets" in str(raised.value)


async def test_secrets_are_neither_shown_nor_logged(
    origin: OriginServer, caplog: pytest.LogCaptureFixture
) -> None:
    options = SourceOptions(bearer=SECRET, headers={"X-A": SECRET})
    config = SourceConfig(origin_options={origin.url(""): options})
    assert SECRET not in repr(config) + repr(options)
    found = OptionsByOrigin({origin.url(""): options}).find(parse_url(origin.url("/")))
    assert SECRET in str(found.headers)
    assert SECRET not in repr(found)
    caplog.set_level(logging.DEBUG)
    router = make_router(origin_options={origin.url(""): options})
    await router.fetch(SourceRef(origin.serve("/a.jpg", b"a")))
    assert SECRET not in caplog.text
    await router.close()
