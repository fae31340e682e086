"""Choose the API of a request by the first segment of its path."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class FirstSegmentRouter:
    def __init__(self, apis: Mapping[str, ASGIApp], default: ASGIApp) -> None:
        """``apis`` are by lower-case segment; no signature of an image URL is as short as these.

        Slashes in front do not count, as clients join base URL and path with too many; the API
        sees the path as it came.
        """
        self._apis = dict(apis)
        self._default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        segment = scope["path"].lstrip("/").partition("/")[0].lower()
        await self._apis.get(segment, self._default)(scope, receive, send)
