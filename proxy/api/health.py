"""The health face: whether this process is alive, and whether it should be sent requests.

``/health/live`` answers as long as there is a loop to answer; who gets no answer should start the
process anew. ``/health/ready``, also as ``/health``, ``/healthz`` and ``/healthcheck``, turns red
while the server goes down or cannot work, and says why.
"""

from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from proxy.api.http.problems import Headers, json_bytes

LIVE = "/health/live"
READY = ("/health/ready", "/health", "/healthz", "/healthcheck")

_HEADERS: Headers = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


class Health:
    def __init__(self, unready: Callable[[], str]) -> None:
        """``unready`` says why no requests should be sent here; an empty text where they may."""
        self._unready = unready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        reason = "" if path == LIVE else self._unready()
        if path != LIVE and path not in READY:
            status, body = 404, {"status": "health is told at /health/live and /health/ready"}
        elif scope["method"] not in ("GET", "HEAD"):
            status, body = 405, {"status": "health is read with GET and HEAD"}
        elif reason:
            status, body = 503, {"status": reason}
        else:
            status, body = 200, {"status": "ok"}
        sent = json_bytes(body)
        headers = [*_HEADERS, (b"content-length", str(len(sent)).encode())]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else sent}
        )
