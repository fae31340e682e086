"""Pictures for the benchmarks of `framekeep prepare`, and an origin that serves them."""

import io
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from aiohttp import web
from PIL import Image

from proxy.geometry import Size


class Pictures:
    """Windows of photographs. Up to 400,000 of the same size, no two are equal."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._photos = []
        for name in ("balloon.jpg", "beach.jpg", "product.jpg"):
            with Image.open(Path(str(files("proxy") / "data" / "demo" / name))) as photo:
                self._photos.append(photo.resize((size.width + 640, size.height + 640)))

    def make(self, number: int) -> bytes:
        place = number * 262_147 % 640**2  # coprime to it, so places differ and lie far apart
        photo = self._photos[number % len(self._photos)]
        top, left = divmod(place, 640)
        box = (left, top, left + self._size.width, top + self._size.height)
        photo.crop(box).save(target := io.BytesIO(), "JPEG", quality=85, comment=str(number))
        return target.getvalue()

    def write(self, folder: Path, count: int) -> list[str]:
        """Write so many files; returns their names."""
        folder.mkdir(parents=True)
        names = [f"{number}.jpg" for number in range(count)]
        for number, name in enumerate(names):
            (folder / name).write_bytes(self.make(number))
        return names


@asynccontextmanager
async def origin(folder: Path, requests: Counter[str]) -> AsyncIterator[str]:
    async def respond(request: web.Request) -> web.StreamResponse:
        requests[request.path] += 1
        return web.FileResponse(folder / request.path.strip("/"))

    app = web.Application()
    app.router.add_get("/{name}", respond)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def presets(size: Size) -> str:
    return json.dumps({"card": f"resize:{size.width}:{size.height}:cover/convert:auto"})
