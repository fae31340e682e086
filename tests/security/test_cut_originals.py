"""The file of a cached original is cut while it is open: the next request fetches another one."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pictures
import pytest
from live_server import KEY, LiveServer, live_server
from render_processes import render_processes
from renderer_tasks import SIZES

from proxy.buffers import SharedBuffer
from proxy.errors import OriginalChanged

PHOTO = pictures.encode(pictures.scene(800, 600), "png", compress_level=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def client(folder: Path) -> Iterator[tuple[httpx.Client, LiveServer]]:
    with (
        live_server(folder) as server,
        httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http_client,
    ):
        yield http_client, server


def cut_originals(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file() and path.read_bytes() == PHOTO]
    assert files
    for path in files:
        os.truncate(path, 100_000)


def smart_crops(client: httpx.Client, source: str) -> httpx.Response:
    return client.post(
        "/vision/v3.2/generateThumbnail?width=64&height=64",
        json={"url": source},
        headers={"Ocp-Apim-Subscription-Key": KEY},
    )


def test_another_size_is_rendered_from_a_fresh_copy(
    client: tuple[httpx.Client, LiveServer], folder: Path
) -> None:
    http, server = client
    source = server.origin.serve("/a.png", PHOTO)
    for width in (40, 50):  # the second opens the file, and the cache keeps it open
        assert http.get(f"/_/resize:{width}/{source}").status_code == 200
    cut_originals(folder)
    assert http.get(f"/_/resize:60/{source}").status_code == 200
    assert server.origin.count("/a.png") == 2


def test_an_api_reads_a_fresh_copy_too(
    client: tuple[httpx.Client, LiveServer], folder: Path
) -> None:
    http, server = client
    source = server.origin.serve("/a.png", PHOTO)
    for _ in range(2):
        assert smart_crops(http, source).status_code == 200
        assert http.get(f"/_/info/{source}").status_code == 200
        cut_originals(folder)


@pytest.mark.anyio
async def test_a_file_that_is_cut_on_its_way_to_a_render_process_is_noticed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "original"
    path.write_bytes(PHOTO)
    buffer = SharedBuffer(os.open(path, os.O_RDONLY))
    async with render_processes() as (pool, _):
        assert await pool.run(SIZES, 0, [buffer]) == [0, len(PHOTO)]
        os.truncate(path, 100_000)
        with pytest.raises(OriginalChanged):
            await pool.run(SIZES, 0, [buffer])
