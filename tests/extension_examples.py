"""One small extension of each kind, as somebody outside the package would write it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import numpy as np
from msgspec import Meta
from msgspec.structs import replace
from pictures import encode, scene
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.api.context import Api, ApiContext
from proxy.buffers import SharedBuffer
from proxy.cache.store import Entry, Kind, Selector, selects
from proxy.errors import ProxyError, SourceNotFound
from proxy.image_request import ImageRequest
from proxy.imaging.picture import Picture
from proxy.links.dialect import DialectContext
from proxy.operations.operation import Operation
from proxy.originals import NotModified, Original, OriginalRef, SourceRef, Validators
from proxy.smartcrop.detector import RegionDetector
from proxy.smartcrop.frame import Frame
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.subject import Region
from proxy.sources.source import SourceContext


class Stripe(Operation, frozen=True):
    """Cut a stripe from the top."""

    height_in_px: Annotated[int, Meta(ge=1, le=100)]

    def apply(self, picture: Picture) -> Picture:
        return picture.with_frame(
            picture.map_frames(lambda frame: frame.crop(0, 0, frame.width, self.height_in_px))
        )


class ShortDialect:
    """``/WIDTH/SOURCE``, nothing else."""

    def __init__(self, context: DialectContext) -> None:
        self._context = context

    def parse(self, path: bytes) -> ImageRequest:
        _, width, source = path.decode().split("/", 2)
        return self._context.make_request(source, [f"resize:{width}"])

    def build(self, request: ImageRequest) -> str:
        raise NotImplementedError


class DrawnSource:
    """``drawn://NAME``: one picture, drawn for each request."""

    def __init__(self, context: SourceContext) -> None:
        self._name = context.location.removeprefix("drawn://")

    async def fetch(
        self, ref: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        if not ref.key or self._name != "scene":
            raise SourceNotFound("there is no such drawing")
        body = SharedBuffer.from_bytes(encode(scene()))
        return Original(body, body.digest)


class DictStore:
    """Keeps everything, in memory."""

    def __init__(self) -> None:
        self.entries: dict[tuple[Kind, str], Entry] = {}

    async def get(self, kind: Kind, key: str) -> Entry | None:
        return self.entries.get((kind, key))

    async def put(
        self, kind: Kind, key: str, entry: Entry, *, started_at: float | None = None
    ) -> None:
        self.entries[kind, key] = entry

    async def add_tags(self, kind: Kind, key: str, tags: Iterable[str]) -> None:
        entry = self.entries[kind, key]
        self.entries[kind, key] = replace(entry, tags=(*entry.tags, *tags))

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        purged = [key for key, entry in self.entries.items() if selects(selector, entry)]
        for key in purged:
            del self.entries[key]
        return Counter(kind for kind, _ in purged)

    async def close(self) -> None:
        self.entries.clear()


class RecordingCdn:
    name = "recording"

    def __init__(self) -> None:
        self.purged: list[str] = []

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        self.purged += tags


class _LeftEdge:
    """Finds an animal at the left edge of every picture."""

    def __call__(self, frames: Sequence[Frame], /) -> Sequence[Region]:
        assert frames[0].pixels.dtype == np.uint8
        return [Region(0.0, 0.0, 0.2, 1.0, 1.0, "animal")]


def load_detector(models: ModelsConfig) -> RegionDetector | None:
    return None if models.dir else _LeftEdge()


def _create_ping(context: ApiContext) -> ASGIApp:
    return PlainTextResponse(f"{len(context.operations.operations)} operations")


def _create_reader(context: ApiContext) -> ASGIApp:
    """Answers with the format of the picture whose source is the query."""

    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        source = SourceRef(scope["query_string"].decode())
        try:
            probed = await context.service.probe(source)
            await context.service.detect(source)
            await context.service.get_or_render(ImageRequest(source))
            answer = str(probed.header.format)
        except ProxyError as error:
            answer = str(error)
        await PlainTextResponse(answer)(scope, receive, send)

    return read


PING = Api("ping", ("ping",), _create_ping)
READER = Api("reader", ("reader",), _create_reader)
