"""A link that asks about an original, through the whole house."""

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
        httpx.AsyncClient(transport=transport, base_url="http://test") as asking,
    ):
        yield asking


async def test_info_tells_what_there_is_to_know(tmp_path: Path) -> None:
    async with client(tmp_path) as asking:
        answer = await asking.get("/_/info:1x1:1200x630/photos:portrait.jpg")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        told = answer.json()
        assert (told["width"], told["height"], told["format"]) == (256, 384, "jpeg")
        assert (told["frames"], told["alpha"]) == (1, False)
        assert told["size_in_bytes"] == (PHOTOGRAPHS / "portrait.jpg").stat().st_size
        assert told["focus"][0]["kind"] == "face"
        square, card = told["windows"]
        assert square["ratio"] == "1x1"
        assert (square["width"], square["height"], square["decided"]) == (256, 256, "face")
        assert (card["width"], card["height"]) == (256, 134)
        assert 0 < told["area_of_interest"]["width"] < 256
        assert len(told["blurhash"]) == 28
        assert told["colors"][0]["hex"].startswith("#")

        again = await asking.get(
            "/_/info:1x1:1200x630/photos:portrait.jpg",
            headers={"if-none-match": answer.headers["etag"]},
        )
        assert (again.status_code, again.content) == (304, b"")


async def test_the_window_told_is_the_window_cut(tmp_path: Path) -> None:
    async with client(tmp_path) as asking:
        told = (await asking.get("/_/info:256x134/photos:portrait.jpg")).json()
        top = told["windows"][0]["top"]
        cut = await asking.get(f"/_/crop:0:{top}:256:134/convert:png/photos:portrait.jpg")
        smart = await asking.get("/_/smart_crop:256:134/convert:png/photos:portrait.jpg")
        assert smart.headers["x-focus"] == "face"
        assert smart.content == cut.content


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("info:16-9", "a ratio is two whole numbers"),
        ("info:0x9", "a ratio is two whole numbers"),
        ("info:" + ":".join(["1x1"] * 17), "at most 16 ratios"),
        ("info/info", "given twice"),
        ("info/rotate:90", "without operations"),
    ],
)
async def test_a_wrong_question_is_refused(tmp_path: Path, link: str, reason: str) -> None:
    async with client(tmp_path) as asking:
        answer = await asking.get(f"/_/{link}/photos:portrait.jpg")
        assert answer.status_code == 400
        assert reason in answer.json()["detail"]
