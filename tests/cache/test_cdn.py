"""Each CDN's stand-in on loopback takes only the request that the CDN's own documents describe."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from origin_server import Origin

from proxy.cache.cdn import CdnFailed
from proxy.cache.cdn.cloudflare import Cloudflare
from proxy.cache.cdn.config import CdnConfig
from proxy.cache.cdn.fastly import Fastly
from proxy.cache.cdn.http_purge import Front
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import ANY_NETWORK, SsrfPolicy

pytestmark = pytest.mark.anyio

MANY = [f"tag-{number}" for number in range(300)]


@pytest.fixture
async def dialer() -> AsyncIterator[HttpClient]:
    dialer = HttpClient(SsrfPolicy(allow_nets=ANY_NETWORK))
    yield dialer
    await dialer.close()


class Taken(list[list[str]]):
    """The tags of each request that was taken."""


def zone(origin: Origin) -> Taken:
    taken = Taken()

    async def purge_cache(request: web.BaseRequest) -> web.StreamResponse:
        assert request.method == "POST"
        if request.headers["Authorization"] != "Bearer secret":
            return web.json_response({"success": False, "errors": []}, status=403)
        assert request.headers["Content-Type"] == "application/json"
        body = json.loads(await request.read())
        assert list(body) == ["tags"]
        assert 1 <= len(body["tags"]) <= 30
        taken.append(body["tags"])
        return web.json_response({"success": True, "errors": [], "result": {"id": "z"}})

    origin.handle("/client/v4/zones/z1/purge_cache", purge_cache)
    return taken


async def test_cloudflare(dialer: HttpClient, origin: Origin) -> None:
    taken = zone(origin)
    cdn = Cloudflare(dialer, zone="z1", token="secret", url=origin.url("/client/v4"))
    await cdn.purge(["a", "b"], soft=False)
    assert taken == [["a", "b"]]
    await cdn.purge(MANY, soft=True)
    assert [tag for tags in taken[1:] for tag in tags] == MANY


async def test_cloudflare_says_no(dialer: HttpClient, origin: Origin) -> None:
    zone(origin)
    cdn = Cloudflare(dialer, zone="z1", token="wrong", url=origin.url("/client/v4"))
    with pytest.raises(CdnFailed, match="403"):
        await cdn.purge(["a"], soft=False)
    origin.serve("/client/v4/zones/z1/purge_cache", b'{"success": false}')
    with pytest.raises(CdnFailed, match="not say"):
        await cdn.purge(["a"], soft=False)
    origin.serve("/client/v4/zones/z1/purge_cache", b"<html>")
    with pytest.raises(CdnFailed, match="not say"):
        await cdn.purge(["a"], soft=False)


async def test_fastly(dialer: HttpClient, origin: Origin) -> None:
    taken, soft = Taken(), []

    async def purge(request: web.BaseRequest) -> web.StreamResponse:
        assert request.method == "POST"
        assert request.headers["Fastly-Key"] == "secret"
        keys = json.loads(await request.read())["surrogate_keys"]
        assert 1 <= len(keys) <= 256
        taken.append(keys)
        soft.append(request.headers.get("Fastly-Soft-Purge"))
        return web.json_response(dict.fromkeys(keys, "108-1391560174-974124"))

    origin.handle("/service/s1/purge", purge)
    cdn = Fastly(dialer, service="s1", token="secret", url=origin.url("")[:])
    await cdn.purge(["a", "b"], soft=False)
    await cdn.purge(MANY, soft=True)
    assert taken == [["a", "b"], MANY[:256], MANY[256:]]
    assert soft == [None, "1", "1"]


async def test_a_front_server_is_sent_purges(dialer: HttpClient, origin: Origin) -> None:
    url = origin.serve("/purge", b"Invalidated 2 objects")
    front = Front(dialer, url, "PURGE")
    await front.purge(["a", "b"], soft=False)
    await front.purge(["c"], soft=True)
    first, second = origin.asked
    assert (first.method, first.headers["xkey"]) == ("PURGE", "a b")
    assert (second.method, second.headers["xkey-soft"]) == ("PURGE", "c")


async def test_a_front_server_is_sent_bans(dialer: HttpClient) -> None:
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 Banned\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await Front(dialer, f"http://127.0.0.1:{port}/", "BAN").purge(["a.b", "c"], soft=False)
    (request,) = asked
    assert request.startswith("BAN / HTTP/1.1\r\n")
    (pattern,) = re.findall("(?im)^x-ban-tags: (.*)\r$", request)
    ban = re.compile(pattern)
    for kept, meant in (("x a.b", True), ("c", True), ("cc axb", False), ("a.b-c", False)):
        assert bool(ban.search(kept)) == meant


async def test_a_cdn_that_is_not_there(dialer: HttpClient, origin: Origin) -> None:
    with pytest.raises(CdnFailed, match="404"):
        await Front(dialer, origin.url("/nothing"), "PURGE").purge(["a"], soft=False)
    with pytest.raises(CdnFailed):
        await Front(dialer, "http://127.0.0.1:1/", "PURGE").purge(["a"], soft=False)


async def test_settings_say_which(dialer: HttpClient) -> None:
    assert CdnConfig().cdns(dialer) == []
    settings = CdnConfig(
        purge_urls=("http://a:6081/x",),
        cloudflare_zone_id="z",
        cloudflare_api_token="t",
        fastly_service_id="s",
        fastly_api_token="t",
    )
    assert [cdn.name for cdn in settings.cdns(dialer)] == [
        "front http://a:6081/x",
        "cloudflare",
        "fastly",
    ]
    assert settings.complaint() == ""
    assert "FRAMEKEEP_CDN_FASTLY_API_TOKEN" in CdnConfig(fastly_service_id="s").complaint()
