"""A fake of each CDN on loopback accepts only requests as in the CDN's documentation."""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from xml.sax.saxutils import unescape

import pytest
from aiohttp import web
from origin_server import OriginServer

from proxy.cache.cdn import open_cdns
from proxy.cache.cdn.aws_signature import AwsCredentials, sign_post
from proxy.cache.cdn.bunny import BunnyCdn
from proxy.cache.cdn.cloudflare import CloudflareCdn
from proxy.cache.cdn.cloudfront import CloudFrontCdn
from proxy.cache.cdn.config import CdnConfig
from proxy.cache.cdn.fastly import FastlyCdn
from proxy.cache.cdn.http_purge import HttpPurgeCdn
from proxy.cache.cdn.protocol import CdnError
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import ANY_NETWORK, SsrfPolicy
from proxy.sources.net.url import parse_url

pytestmark = pytest.mark.anyio

MANY = [f"tag-{number}" for number in range(300)]


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient(SsrfPolicy(allow_nets=ANY_NETWORK))
    yield client
    await client.close()


class Purges(list[list[str]]):
    """The tags of each request that was accepted."""


def fake_zone(origin: OriginServer) -> Purges:
    purges = Purges()

    async def purge_cache(request: web.BaseRequest) -> web.StreamResponse:
        assert request.method == "POST"
        if request.headers["Authorization"] != "Bearer secret":
            return web.json_response({"success": False, "errors": []}, status=403)
        assert request.headers["Content-Type"] == "application/json"
        body = json.loads(await request.read())
        assert list(body) == ["tags"]
        assert 1 <= len(body["tags"]) <= 30
        purges.append(body["tags"])
        return web.json_response({"success": True, "errors": [], "result": {"id": "z"}})

    origin.handle("/client/v4/zones/z1/purge_cache", purge_cache)
    return purges


async def test_cloudflare_is_purged_by_cache_tag(client: HttpClient, origin: OriginServer) -> None:
    purges = fake_zone(origin)
    cdn = CloudflareCdn(client, zone_id="z1", api_token="secret", api_url=origin.url("/client/v4"))
    await cdn.purge(["a", "b"], soft=False)
    assert purges == [["a", "b"]]
    await cdn.purge(MANY, soft=True)
    assert [tag for tags in purges[1:] for tag in tags] == MANY


async def test_a_purge_that_cloudflare_does_not_confirm_fails(
    client: HttpClient, origin: OriginServer
) -> None:
    fake_zone(origin)
    cdn = CloudflareCdn(client, zone_id="z1", api_token="wrong", api_url=origin.url("/client/v4"))
    with pytest.raises(CdnError, match="403"):
        await cdn.purge(["a"], soft=False)
    origin.serve("/client/v4/zones/z1/purge_cache", b'{"success": false}')
    with pytest.raises(CdnError, match="not confirm"):
        await cdn.purge(["a"], soft=False)
    origin.serve("/client/v4/zones/z1/purge_cache", b"<html>")
    with pytest.raises(CdnError, match="not confirm"):
        await cdn.purge(["a"], soft=False)


async def test_fastly_is_purged_by_surrogate_key(client: HttpClient, origin: OriginServer) -> None:
    purges, soft = Purges(), []

    async def purge(request: web.BaseRequest) -> web.StreamResponse:
        assert request.method == "POST"
        assert request.headers["Fastly-Key"] == "secret"
        keys = json.loads(await request.read())["surrogate_keys"]
        assert 1 <= len(keys) <= 256
        purges.append(keys)
        soft.append(request.headers.get("Fastly-Soft-Purge"))
        return web.json_response(dict.fromkeys(keys, "108-1391560174-974124"))

    origin.handle("/service/s1/purge", purge)
    cdn = FastlyCdn(client, service_id="s1", api_token="secret", api_url=origin.url(""))
    await cdn.purge(["a", "b"], soft=False)
    await cdn.purge(MANY, soft=True)
    assert purges == [["a", "b"], MANY[:256], MANY[256:]]
    assert soft == [None, "1", "1"]


async def test_cloudfront_is_purged_by_cache_tag(client: HttpClient, origin: OriginServer) -> None:
    bodies: list[str] = []

    async def create_invalidation(request: web.BaseRequest) -> web.StreamResponse:
        assert request.method == "POST"
        body = await request.read()
        assert request.headers["X-Amz-Content-Sha256"] == hashlib.sha256(body).hexdigest()
        assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=key/")
        bodies.append(body.decode())
        return web.Response(status=201)

    origin.handle("/2020-05-31/distribution/E1/invalidation", create_invalidation)
    credentials = AwsCredentials("key", "secret")
    cdn = CloudFrontCdn(
        client, distribution_id="E1", credentials=credentials, api_url=origin.url("")
    )
    await cdn.purge(["a&b", "<c"], soft=True)
    await cdn.purge(MANY, soft=False)
    paths = [[*map(unescape, re.findall("<Path>(.*?)</Path>", body))] for body in bodies]
    assert paths[0] == ["#a&b", "#<c"]
    assert [path for some in paths[1:] for path in some] == [f"#{tag}" for tag in MANY]
    counts = [re.findall("<Quantity>(.*?)</Quantity>", body) for body in bodies]
    assert counts == [[str(len(some))] for some in paths]
    references = {re.findall("<CallerReference>.*?<", body)[0] for body in bodies}
    assert len(references) == len(bodies)


SIGNATURES = {
    "": "d530a8124e4a752fb98522b5a89627cd8cdf3b609eac9b8230b99fd750261591",
    "session/token=": "f3ac15c28730959aff12e3dc79ae6332412639b8d58b3d6416bf649039fc9534",
}
"""What botocore 1.44.8 (SigV4Auth) computes for the same request, by session token."""


@pytest.mark.parametrize("token", SIGNATURES)
def test_requests_to_aws_have_the_signature_that_its_own_library_computes(token: str) -> None:
    headers = sign_post(
        parse_url("https://cloudfront.amazonaws.com/2020-05-31/distribution/E1/invalidation"),
        b"<x/>",
        AwsCredentials("AKIDEXAMPLE", "secret/key+1", token),
        region="us-east-1",
        service="cloudfront",
        now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )
    assert dict(headers)["authorization"].endswith(f"Signature={SIGNATURES[token]}")


async def test_bunny_is_purged_by_tag(client: HttpClient, origin: OriginServer) -> None:
    purges = Purges()

    async def purge_cache(request: web.BaseRequest) -> web.StreamResponse:
        assert (request.method, request.headers["AccessKey"]) == ("POST", "secret")
        assert request.headers["Content-Type"] == "application/json"
        purges.append([json.loads(await request.read())["CacheTag"]])
        return web.Response(status=204)

    origin.handle("/pullzone/7/purgeCache", purge_cache)
    cdn = BunnyCdn(client, pull_zone_id="7", api_key="secret", api_url=origin.url(""))
    await cdn.purge(["a", "b"], soft=True)
    assert purges == [["*a*"], ["*b*"]]


async def test_a_caching_proxy_gets_purges(client: HttpClient, origin: OriginServer) -> None:
    url = origin.serve("/purge", b"Invalidated 2 objects")
    cdn = HttpPurgeCdn(client, url, "PURGE")
    await cdn.purge(["a", "b"], soft=False)
    await cdn.purge(["c"], soft=True)
    first, second = origin.requests
    assert (first.method, first.headers["xkey"]) == ("PURGE", "a b")
    assert (second.method, second.headers["xkey-soft"]) == ("PURGE", "c")


async def test_a_caching_proxy_gets_bans(client: HttpClient) -> None:
    requests: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 Banned\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await HttpPurgeCdn(client, f"http://127.0.0.1:{port}/", "BAN").purge(
            ["a.b", "c"], soft=False
        )
    (request,) = requests
    assert request.startswith("BAN / HTTP/1.1\r\n")
    (pattern,) = re.findall("(?im)^x-ban-tags: (.*)\r$", request)
    ban = re.compile(pattern)
    for tags, banned in (("x a.b", True), ("c", True), ("cc axb", False), ("a.b-c", False)):
        assert bool(ban.search(tags)) == banned


async def test_a_cdn_that_cannot_be_reached_fails(client: HttpClient, origin: OriginServer) -> None:
    with pytest.raises(CdnError, match="404"):
        await HttpPurgeCdn(client, origin.url("/nothing"), "PURGE").purge(["a"], soft=False)
    with pytest.raises(CdnError):
        await HttpPurgeCdn(client, "http://127.0.0.1:1/", "PURGE").purge(["a"], soft=False)


async def test_the_settings_name_the_cdns(client: HttpClient) -> None:
    assert open_cdns(CdnConfig(), client) == []
    config = CdnConfig(
        purge_urls=("http://a:6081/x",),
        cloudflare_zone_id="z",
        cloudflare_api_token="t",
        fastly_service_id="s",
        fastly_api_token="t",
        cloudfront_distribution_id="e",
        cloudfront_access_key_id="k",
        cloudfront_secret_access_key="s",
        bunny_pull_zone_id="1",
        bunny_api_key="k",
        tag_headers=("Cache-Tag", "Surrogate-Key", "CDN-Tag"),
    )
    assert [cdn.name for cdn in open_cdns(config, client)] == [
        "front http://a:6081/x",
        "cloudflare",
        "fastly",
        "cloudfront",
        "bunny",
    ]
    with pytest.raises(ValueError, match="fastly_api_token"):
        CdnConfig(fastly_service_id="s")
    with pytest.raises(ValueError, match="cloudfront_secret_access_key"):
        CdnConfig(cloudfront_distribution_id="e", cloudfront_access_key_id="k")
    with pytest.raises(ValueError, match=r"tag_headers: bunny_pull_zone_id needs CDN-Tag"):
        CdnConfig(bunny_pull_zone_id="1", bunny_api_key="k")
