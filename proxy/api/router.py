"""Which face a request belongs to: that of its path's first segment, else the links' own."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class Front:
    def __init__(self, faces: Mapping[str, ASGIApp], links: ASGIApp) -> None:
        """``faces`` by their first segment in small letters; no signature is as short as these.

        Clients that glue an address and a path together send slashes in a row; faces see them as
        they came.
        """
        self._faces = dict(faces)
        self._links = links

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        segment = scope["path"].lstrip("/").partition("/")[0].lower()
        await self._faces.get(segment, self._links)(scope, receive, send)
