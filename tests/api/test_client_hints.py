"""Client hints over ASGI: what a response says about them, and which of them is sent again."""

from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.api.images import ImagesEndpoint
from proxy.api.response_cache import CachedResponse, ResponseCache, response_head
from proxy.geometry import Size
from proxy.image_request import ImageRequest, ResponseOptions
from proxy.imaging.results import Rendition
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.hint_rule import HintRule
from proxy.links.native import NativeDialect
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry
from proxy.operations.resize import Resize
from proxy.originals import SourceRef
from proxy.render.scheduling import Priority
from proxy.service import ImageResult

pytestmark = pytest.mark.anyio

URL = "https://images.example/a.jpg"
ETAG = '"abc"'
WIDTH_HEADERS = (
    "Sec-CH-Width, Width, Sec-CH-Viewport-Width, Viewport-Width, Sec-CH-DPR, DPR"  # in this order
)
CONTEXT = DialectContext(OperationRegistry(OPERATIONS), LinksConfig(allow_unsigned=True))
WIDTHS = "resize:{auto,800,320,640}"


class WidthAsBody:
    """A service whose body is the width of the resize; it records its requests."""

    def __init__(self) -> None:
        self.widths: list[float | None] = []

    async def get_or_render(
        self, request: ImageRequest, priority: Priority = "interactive"
    ) -> ImageResult:
        width = next(one.width_in_px for one in request.plan if isinstance(one, Resize))
        self.widths.append(width)
        rendition = Rendition(f"{width}".encode(), "webp", Size(1, 1), "")
        always: Callable[[], bool] = lambda: True  # noqa: E731
        return ImageResult(rendition, ETAG, "hit", 0.0, 60.0, 0.0, "", (), always)


def client_of(service: Any, cache_bytes: int = 1_000_000) -> httpx.AsyncClient:
    images = ImagesEndpoint(NativeDialect(CONTEXT), service, cache=ResponseCache(cache_bytes))
    transport = httpx.ASGITransport(app=images)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def test_a_response_says_what_chose_it_and_what_was_chosen() -> None:
    async with client_of(WidthAsBody()) as client:
        for headers, width in (({}, "800"), ({"sec-ch-width": "500"}, "640")):
            response = await client.get(f"/_/{WIDTHS}/convert:auto/{URL}", headers=headers)
            assert response.text == width
            assert response.headers["x-choice"] == width
            assert response.headers["vary"] == f"Accept, {WIDTH_HEADERS}"
            assert response.headers["accept-ch"] == (
                "Sec-CH-Width, Sec-CH-Viewport-Width, Sec-CH-DPR"
            )


async def test_save_data_needs_no_asking_for() -> None:
    async with client_of(WidthAsBody()) as client:
        response = await client.get(f"/_/resize:80/convert:webp:{{auto,80,50}}/{URL}")
    assert (response.headers["vary"], response.headers["x-choice"]) == ("Save-Data", "80")
    assert "accept-ch" not in response.headers


@pytest.mark.parametrize("rest", ["resize:800", "choose:640/resize:{auto,800,640}"])
async def test_links_that_leave_nothing_to_hints_do_not_vary_by_them(rest: str) -> None:
    async with client_of(WidthAsBody()) as client:
        response = await client.get(f"/_/{rest}/{URL}", headers={"sec-ch-width": "100"})
    assert not {"vary", "accept-ch", "x-choice"} & set(response.headers)


async def test_head_conditions_and_ranges_vary_in_the_same_way() -> None:
    async with client_of(WidthAsBody()) as client:
        responses = [
            await client.request(method, f"/_/{WIDTHS}/{URL}", headers={"width": "300", **headers})
            for method, headers in [
                ("GET", {}),
                ("HEAD", {}),
                ("GET", {"if-none-match": ETAG}),
                ("GET", {"range": "bytes=0-1"}),
            ]
        ]
    assert [response.status_code for response in responses] == [200, 200, 304, 206]
    assert [response.text for response in responses] == ["320", "", "", "32"]
    for response in responses:
        assert (response.headers["vary"], response.headers["x-choice"]) == (WIDTH_HEADERS, "320")


async def test_each_choice_has_its_own_response_in_memory() -> None:
    service = WidthAsBody()
    async with client_of(service) as client:
        for width, body in (("300", "320"), ("x", "800"), ("310", "320"), ("600", "640")) * 2:
            response = await client.get(f"/_/{WIDTHS}/{URL}", headers={"sec-ch-width": width})
            assert response.text == body
    assert service.widths == [320, 800, 640]


def cached(target: bytes, choice: str, size: int) -> CachedResponse:
    rule = HintRule((), ()) if choice else None
    options = ResponseOptions(hint_rule=rule, hint_choice=choice)
    request = ImageRequest(SourceRef(target.decode()), response_options=options)
    rendition = Rendition(bytes(size), "webp", Size(1, 1), "")
    result = ImageResult(rendition, ETAG, "hit", 0.0, 60.0, 0.0, "")
    head = response_head([])
    return CachedResponse(request, result, lambda: True, head, head, 0.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from((b"/a", b"/b", b"/c")),
            st.sampled_from(("1", "2", "3")),
            st.sampled_from((0, 4000, 9000, 50_000)),
            st.booleans(),
        ),
        max_size=30,
    )
)
def test_rules_are_forgotten_with_the_last_response_of_their_link(
    steps: list[tuple[bytes, str, int, bool]],
) -> None:
    cache = ResponseCache(30_000, max_response_bytes=20_000)
    for target, choice, size, is_removed in steps:
        key = cache.key_of(target, {}, choice)
        if is_removed:
            cache.remove(key)
        else:
            cache.put(key, cached(target, choice, size))
        held = {target for target, _, _ in cache._responses}
        assert set(cache._hint_rules) == held
