"""imgproxy links on a running app: at the root or at a prefix, with own keys, sources and tags."""

import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from links.imgproxy_fixture import KEY, SALT, sign
from PIL import Image

from proxy.app import create_app
from proxy.config import load
from proxy.errors import ConfigError

pytestmark = pytest.mark.anyio

PHOTOGRAPHS = Path(__file__).parent.parent / "photographs"


@asynccontextmanager
async def running(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    environment = {
        "FRAMEKEEP_IMGPROXY_KEYS": KEY,
        "FRAMEKEEP_IMGPROXY_SALTS": SALT,
        "FRAMEKEEP_IMGPROXY_SOURCE_PREFIXES": '{"local:///": "photos:"}',
        "FRAMEKEEP_ADMIN_KEYS": "admin",
        "FRAMEKEEP_CACHE_DIR": str(folder / "cache"),
        "FRAMEKEEP_SOURCES_ALIASES": json.dumps({"photos": f"file://{PHOTOGRAPHS}"}),
        "FRAMEKEEP_RENDER_PROCESSES": "1",
        **{f"FRAMEKEEP_{name}": value for name, value in settings.items()},
    }
    app = create_app(load(environment).settings)
    async with (
        app.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app), base_url="http://test", timeout=60
        ) as client,
    ):
        yield client


AT_ROOT = {"LINKS_MOUNTS": '{"": "imgproxy"}'}
AT_PREFIX = {
    "LINKS_MOUNTS": '{"": "native", "old": "imgproxy"}',
    "LINKS_ALLOW_UNSIGNED": "true",
}
PORTRAIT = "/rs:fill:64:64/plain/local:///portrait.jpg@png"


def size(response: httpx.Response) -> tuple[int, int]:
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.content)).size


async def test_imgproxy_links_at_the_root_need_no_native_keys(tmp_path: Path) -> None:
    async with running(tmp_path, **AT_ROOT) as client:
        assert size(await client.get(sign(PORTRAIT))) == (64, 64)
        assert (await client.get("/health")).status_code == 200
        assert (await client.get(f"/unsafe{PORTRAIT}")).status_code == 403
        assert (await client.get(sign(PORTRAIT, salt="00" * 32))).status_code == 403
        for path in ("/insecure", "/.well-known/security.txt"):
            assert (await client.get(path)).status_code in (400, 403, 404)


async def test_equal_requests_share_a_result_with_native_links(tmp_path: Path) -> None:
    async with running(tmp_path, **AT_PREFIX) as client:
        native = await client.get("/_/thumbnail:64:64:fill/convert:png/photos:portrait.jpg")
        imgproxy = await client.get(f"/old{sign(PORTRAIT)}")
        assert size(native) == size(imgproxy) == (64, 64)
        assert native.content == imgproxy.content
        assert imgproxy.headers["x-cache"] == "hit"
        assert "dialect-imgproxy" in imgproxy.headers["cache-tag"]
        metrics = (await client.get("/metrics")).text
        assert 'framekeep_dialect_requests_total{dialect="imgproxy"} 1.0' in metrics


async def test_a_purge_by_dialect_reaches_what_came_by_it(tmp_path: Path) -> None:
    async with running(tmp_path, **AT_PREFIX) as client:
        await client.get(f"/old{sign(PORTRAIT)}")
        await client.get("/_/resize:10/photos:portrait.jpg")
        purge = await client.post(
            "/admin/purge",
            headers={"Authorization": "Bearer admin"},
            json={"dialects": ["imgproxy"]},
        )
        assert purge.json()["entries"]["rendition"] == 1
        assert (await client.get(f"/old{sign(PORTRAIT)}")).headers["x-cache"] == "miss"
        kept = await client.get("/_/resize:10/photos:portrait.jpg")
        assert kept.headers["x-cache"] == "hit"


async def test_a_local_source_stays_below_its_root(tmp_path: Path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes((PHOTOGRAPHS / "portrait.jpg").read_bytes())
    root = tmp_path / "media"
    root.mkdir()
    (root / "link.jpg").symlink_to(secret)
    aliases = json.dumps({"photos": f"file://{root}", "private": f"file://{tmp_path}"})
    async with running(tmp_path, **AT_ROOT, SOURCES_ALIASES=aliases) as client:
        for source in (
            "local:///../secret.jpg",
            "local:///link.jpg",
            "local:////etc/passwd",
            "private:secret.jpg",
            "file:///etc/passwd",
        ):
            # In Base64, since a client resolves dot segments of a plain one.
            encoded = base64.urlsafe_b64encode(source.encode()).decode().rstrip("=")
            refused = await client.get(sign(f"/{encoded}"))
            assert refused.status_code in (400, 403, 404), source
            assert "signature" not in refused.json()["detail"]


async def test_an_original_is_sent_as_it_is(tmp_path: Path) -> None:
    original = (PHOTOGRAPHS / "portrait.jpg").read_bytes()
    async with running(tmp_path, **AT_ROOT) as client:
        for options in ("raw:1", "skp:jpg", "raw:1/w:10/f:png"):
            sent = await client.get(sign(f"/{options}/plain/local:///portrait.jpg"))
            assert sent.content == original, options
            assert sent.headers["content-type"] == "image/jpeg"
        converted = await client.get(sign("/skp:jpg/w:10/plain/local:///portrait.jpg@png"))
        assert size(converted)[0] == 10


async def test_an_attachment_has_its_name(tmp_path: Path) -> None:
    async with running(tmp_path, **AT_ROOT) as client:
        sent = await client.get(sign("/att:1/w:10/plain/local:///portrait.jpg@webp"))
        assert sent.headers["content-disposition"] == 'attachment; filename="portrait.webp"'
        named = await client.get(sign("/fn:me/w:10/plain/local:///portrait.jpg@webp"))
        assert named.headers["content-disposition"] == 'inline; filename="me.webp"'


async def test_limits_of_a_link_are_enforced(tmp_path: Path) -> None:
    allowed = {"IMGPROXY_ALLOW_SECURITY_OPTIONS": "true"}
    async with running(tmp_path, **AT_ROOT, **allowed) as client:
        link = "/{}/w:10/plain/local:///portrait.jpg"
        small = await client.get(sign(link.format("msr:0.001")))
        assert (small.status_code, "limit: megapixels" in small.text) == (422, True)
        short = await client.get(sign(link.format("msfs:100")))
        assert (short.status_code, "limit: size_in_bytes" in short.text) == (422, True)
        assert size(await client.get(sign(link.format("msr:1/msfs:1000000"))))[0] == 10


async def test_without_keys_the_server_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FRAMEKEEP_IMGPROXY_KEYS is not set"):
        async with running(tmp_path, **AT_ROOT, IMGPROXY_KEYS="", IMGPROXY_SALTS=""):
            pass
