"""The link option `info` returns what is known of an original, through the running app."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
from starlette.routing import Router

from proxy.app import create_app
from proxy.config import Settings, load

pytestmark = pytest.mark.anyio

PHOTOGRAPHS = Path(__file__).parents[1] / "photographs"


def settings(tmp_path: Path) -> Settings:
    return load(
        {
            "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
            "FRAMEKEEP_SOURCES_ALIASES": f'{{"photos": "file://{PHOTOGRAPHS}"}}',
            "FRAMEKEEP_CACHE_DIR": str(tmp_path),
            "FRAMEKEEP_RENDER_PROCESSES": "1",
        }
    ).settings


@asynccontextmanager
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings(tmp_path))
    assert isinstance(app, Router)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as http,
    ):
        yield http


async def test_info_describes_the_original(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        response = await http.get("/_/info:1x1:1200x630/photos:portrait.jpg")
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        info = response.json()
        assert (info["width"], info["height"], info["format"]) == (256, 384, "jpeg")
        assert (info["frames"], info["alpha"]) == (1, False)
        assert info["size_in_bytes"] == (PHOTOGRAPHS / "portrait.jpg").stat().st_size
        assert info["focus"][0]["kind"] == "face"
        square, card = info["windows"]
        assert square["ratio"] == "1x1"
        assert (square["width"], square["height"], square["decided"]) == (256, 256, "face")
        assert (card["width"], card["height"]) == (256, 134)
        assert 0 < info["area_of_interest"]["width"] < 256
        assert len(info["blurhash"]) == 28
        assert info["colors"][0]["hex"].startswith("#")

        again = await http.get(
            "/_/info:1x1:1200x630/photos:portrait.jpg",
            headers={"if-none-match": response.headers["etag"]},
        )
        assert (again.status_code, again.content) == (304, b"")


async def test_a_window_in_info_is_the_window_of_smart_crop(tmp_path: Path) -> None:
    async with client(tmp_path) as http:
        info = (await http.get("/_/info:256x134/photos:portrait.jpg")).json()
        top = info["windows"][0]["top"]
        cropped = await http.get(f"/_/crop:0:{top}:256:134/convert:png/photos:portrait.jpg")
        smart = await http.get("/_/smart_crop:256:134/convert:png/photos:portrait.jpg")
        assert smart.headers["x-focus"] == "face"
        assert smart.content == cropped.content


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("info:16-9", "an aspect ratio must be two whole numbers"),
        ("info:0x9", "an aspect ratio must be two whole numbers"),
        ("info:" + ":".join(["1x1"] * 17), "at most 16 aspect ratios"),
        ("info/info", "given twice"),
        ("info/rotate:90", "cannot be combined with operations"),
    ],
)
async def test_a_wrong_info_option_is_rejected(tmp_path: Path, link: str, reason: str) -> None:
    async with client(tmp_path) as http:
        response = await http.get(f"/_/{link}/photos:portrait.jpg")
        assert response.status_code == 400
        assert reason in response.json()["detail"]
