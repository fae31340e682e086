"""The playground: ``/playground`` is its page, ``/playground/api/…`` is what the page calls.

The page itself holds no secret and is open to everybody who may know that there is one. What it
calls needs an admin key, or `FRAMEKEEP_PAGES_PLAYGROUND=open`. Links are signed for callers with an
admin key only: an open playground must not sign for strangers.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy.api import info
from proxy.api.admin import AdminConfig
from proxy.api.context import ApiContext
from proxy.api.http.api_keys import ApiKeys, bearer_token
from proxy.api.http.disconnect import cancel_on_disconnect
from proxy.api.http.error_page import page_or_problem
from proxy.api.http.problems import html_safe_json
from proxy.api.http.request_body import decode_json, read_body
from proxy.api.http.routing import api_router
from proxy.api.pages.config import PagesConfig
from proxy.api.playground.assets import load_assets, sample_sources
from proxy.api.playground.links import LinkMaker, LinksRequest, Ratios
from proxy.errors import InvalidLink
from proxy.formats import FORMATS
from proxy.geometry import Size
from proxy.image_request import ImageRequest
from proxy.limits import Limits
from proxy.links.config import LinksConfig
from proxy.originals import Upload
from proxy.server.config import ServerConfig
from proxy.sources.config import SourceConfig
from proxy.validation import explain_error

PATH = "/playground"
MAX_BODY_BYTES = 1_000_000


class Access(NamedTuple):
    """What the caller of a request may do."""

    can_sign: bool
    can_link: bool
    can_upload: bool


def create_api(context: ApiContext) -> ASGIApp:
    playground = Playground(context)
    assets = load_assets(f"{playground.path_prefix}{PATH}")
    return api_router(
        [
            *(
                Route(f"{PATH}{path}", playground.asset(body, headers))
                for path, (body, headers) in assets.items()
            ),
            Route(f"{PATH}/api/config", playground.config),
            Route(f"{PATH}/api/links", playground.links, methods=["POST"]),
            Route(f"{PATH}/api/render", playground.render, methods=["POST"]),
            Route(f"{PATH}/api/info", playground.info, methods=["POST"]),
        ],
        partial(page_or_problem, playground.path_prefix),
    )


class Playground:
    def __init__(self, context: ApiContext) -> None:
        self._context = context
        config = context.section(PagesConfig)
        self._is_open = config.playground == "open"
        admin_keys = context.section(AdminConfig).keys
        self._exists = config.has_playground(admin_keys)
        self._admin_keys = ApiKeys(admin_keys)
        self._has_admin_keys = bool(admin_keys)
        self._max_bytes = context.section(Limits).max_source_bytes
        self._links = context.section(LinksConfig)
        self.path_prefix = context.section(ServerConfig).path_prefix
        self._maker = LinkMaker(context.dialects, context.operations, self._links.presets)

    def asset(
        self, body: bytes, headers: dict[str, str]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def respond(_: Request) -> Response:
            self._check_exists()
            return Response(body, headers=headers)

        return respond

    async def config(self, request: Request) -> Response:
        """Describe operations, sources and rights, for the page."""
        access = self._authorize(request)
        aliases = self._context.section(SourceConfig).aliases
        return _json(
            {
                "operations": list(self._context.operations.schemas().values()),
                "presets": sorted(self._links.presets),
                "link_base": self._context.dialects.native_base,
                "max_operations": self._context.operations.max_operations,
                "aliases": sorted(aliases),
                "samples": sample_sources(aliases),
                "signs": access.can_sign and bool(self._links.keys),
                "can_link": access.can_link,
                "can_upload": access.can_upload,
                "max_upload_bytes": self._max_bytes,
                "needs_key": self._has_admin_keys and not access.can_sign,
            }
        )

    async def links(self, request: Request) -> Response:
        """Make links; each has either a ``path`` and its ``steps``, or an ``error``."""
        access = self._authorize(request)
        body = decode_json(await read_body(request, MAX_BODY_BYTES), LinksRequest, InvalidLink)
        if not access.can_link:
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED,
                "links must be signed here: enter an admin key (FRAMEKEEP_ADMIN_KEYS)",
            )
        return _json(
            {"links": [self._maker.make(item, sign=access.can_sign) for item in body.items]}
        )

    async def render(self, request: Request) -> Response:
        """Render the image in the body with the operations of the query, a JSON list."""
        client = self._check_upload(request)
        steps = self._maker.write_steps(_decode_query(request, "operations"))
        plan = self._context.dialects.parse_steps(steps)
        async with self._context.uploads.accept(request, client, self._max_bytes) as room:
            upload = Upload(await room.receive(request, self._max_bytes))
            result = await cancel_on_disconnect(
                request.receive, self._context.service.get_or_render(ImageRequest(upload, plan))
            )
        rendition = result.rendition
        headers = {
            "content-type": FORMATS[rendition.format].media_type,
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
            "x-cache": result.state,
            "content-security-policy": "default-src 'none'; sandbox",
        }
        if rendition.crop_reason:
            headers["x-focus"] = rendition.crop_reason
        return Response(rendition.body, headers=headers)

    async def info(self, request: Request) -> Response:
        """Describe the image in the body, with the crop for each of the ``ratios``."""
        client = self._check_upload(request)
        try:
            ratios = msgspec.convert(_decode_query(request, "ratios"), Ratios)
        except msgspec.ValidationError as error:
            raise InvalidLink(f"ratios: {explain_error(error, Ratios).reason}") from None
        sizes = tuple(Size(*ratio) for ratio in ratios)
        async with self._context.uploads.accept(request, client, self._max_bytes) as room:
            upload = Upload(await room.receive(request, self._max_bytes))
            found = await cancel_on_disconnect(
                request.receive, self._context.service.info(upload, sizes)
            )
        return _respond(info.body(found, sizes))

    def _check_exists(self) -> None:
        if not self._exists:
            raise HTTPException(
                HTTPStatus.NOT_FOUND,
                "the playground is off: it needs FRAMEKEEP_ADMIN_KEYS, or "
                "FRAMEKEEP_PAGES_PLAYGROUND=open",
            )

    def _authorize(self, request: Request) -> Access:
        """Raise HTTPException where the caller may not use the playground."""
        self._check_exists()
        key = bearer_token(request.headers.get("authorization"))
        is_admin = self._admin_keys.verify(key)
        if key and not is_admin:
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED,
                "the admin key is wrong (FRAMEKEEP_ADMIN_KEYS)",
                {"www-authenticate": "Bearer"},
            )
        if not self._is_open and not is_admin:
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED,
                "the playground needs an admin key (FRAMEKEEP_ADMIN_KEYS)",
                {"www-authenticate": "Bearer"},
            )
        return Access(
            can_sign=is_admin,
            can_link=is_admin or self._links.allow_unsigned,
            can_upload=is_admin or self._context.keys.verify(None),
        )

    def _check_upload(self, request: Request) -> str:
        """Return whose turn the upload is. Raises HTTPException where it is not allowed."""
        if not self._authorize(request).can_upload:
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED,
                "uploads need an admin key (FRAMEKEEP_ADMIN_KEYS)",
                {"www-authenticate": "Bearer"},
            )
        return f"address {request.client.host if request.client else ''}"


def _decode_query(request: Request, name: str) -> Sequence[Any]:
    try:
        return msgspec.json.decode(request.query_params.get(name, "[]"), type=list[Any])
    except msgspec.MsgspecError as error:
        raise InvalidLink(f"{name}: must be a JSON list: {error}") from None


def _json(value: object) -> Response:
    return _respond(html_safe_json(value))


def _respond(body: bytes) -> Response:
    headers = {
        "content-type": "application/json",
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    return Response(body, headers=headers)
