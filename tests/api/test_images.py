"""The images face over ASGI: answers, conditions, ranges, refusals."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2 as httpx
import msgspec
import pytest

from proxy.api.images import ImagesEndpoint, StaleConfig
from proxy.api.response_cache import ResponseCache
from proxy.errors import Overloaded, SourceNotFound
from proxy.geometry import Size
from proxy.image_request import ImageRequest
from proxy.imaging.results import Rendition
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.native import NativeDialect
from proxy.operations.operation import Operation
from proxy.operations.registry import OperationRegistry
from proxy.render.scheduling import Priority
from proxy.service import ImageResult

pytestmark = pytest.mark.anyio

BODY = bytes(range(100))
ETAG = '"abc"'
CHANGED = "Wed, 21 Oct 2015 07:28:00 GMT"
URL = "https://images.example/a.jpg"


class Package(Operation, frozen=True):
    """The format."""

    format: str = "webp"


class Kept:
    """A service that answers from memory, and remembers what it was asked for."""

    def __init__(self, **changes: Any) -> None:
        rendition = Rendition(BODY, "webp", Size(10, 10), changes.pop("decided", ""))
        self.answer = msgspec.structs.replace(
            ImageResult(rendition, ETAG, "hit", 7.9, 3600.0, 0.0, CHANGED), **changes
        )
        self.jobs: list[ImageRequest] = []

    async def get_or_render(self, job: ImageRequest, priority: Priority = "interactive") -> ImageResult:
        self.jobs.append(job)
        return self.answer


class Right:
    """Whether answers are still right, as the test has it."""

    def __init__(self) -> None:
        self.yes = True

    def __call__(self) -> bool:
        return self.yes


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def get_or_render(self, job: ImageRequest, priority: Priority = "interactive") -> ImageResult:
        raise self.error


def images(service: Any, recent: int = 0) -> ImagesEndpoint:
    context = DialectContext(
        OperationRegistry([Package]), LinksConfig(allow_unsigned=True), aliases=["a"]
    )
    native = NativeDialect(context, now=lambda: 1000.0)
    return ImagesEndpoint(native, service, stale=StaleConfig(300, 600), cache=ResponseCache(recent), now=lambda: 1000.0)


async def ask(service: Any, rest: str = URL, method: str = "GET", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx.ASGITransport(app=images(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, f"/_/{rest}", headers=named)


async def test_a_picture_comes_with_all_a_cdn_wants_to_know() -> None:
    answer = await ask(Kept(decided="face"), f"filename:a/{URL}")
    assert answer.status_code == 200
    assert answer.content == BODY
    headers = dict(answer.headers)
    assert len(headers.pop("x-request-id")) == 32
    assert headers == {
        "cache-control": "public, max-age=3600, stale-while-revalidate=300, stale-if-error=600",
        "age": "7",
        "etag": ETAG,
        "last-modified": CHANGED,
        "x-cache": "hit",
        "cache-tag": "framekeep",
        "surrogate-key": "framekeep",
        "x-focus": "face",
        "content-type": "image/webp",
        "content-length": "100",
        "content-disposition": 'inline; filename="a.webp"',
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
    }


async def test_what_is_not_known_is_not_said() -> None:
    answer = await ask(Kept(last_modified=""))
    assert not {"last-modified", "x-focus", "content-disposition", "vary"} & set(answer.headers)


async def test_head_has_the_headers_of_get() -> None:
    service = Kept()
    head, get = await ask(service, method="HEAD"), await ask(service)
    assert head.content == b""
    for headers in (head.headers, get.headers):
        del headers["x-request-id"]
    assert head.headers == get.headers


async def test_the_query_belongs_to_the_link() -> None:
    service = Kept()
    await ask(service, f"{URL}?a=%2F&b=//c?d")
    assert service.jobs[0].source.text == f"{URL}?a=%2F&b=//c?d"  # type: ignore[union-attr]


# Negotiation.


async def test_an_open_format_varies_by_what_the_asker_takes() -> None:
    service = Kept()
    answer = await ask(service, f"package:auto/{URL}", accept="image/avif,image/webp;q=0.9")
    assert answer.headers["vary"] == "Accept"
    assert service.jobs[0].plan.accepted_formats == ("avif", "webp")


async def test_a_named_format_does_not_vary() -> None:
    service = Kept()
    answer = await ask(service, f"package:webp/{URL}", accept="image/avif")
    assert "vary" not in answer.headers
    assert service.jobs[0].plan.accepted_formats == ()


# Conditions.


@pytest.mark.parametrize(
    "conditions",
    [
        {"if_none_match": ETAG},
        {"if_none_match": f"W/{ETAG}"},
        {"if_none_match": f'"x", {ETAG}'},
        {"if_none_match": "*"},
        {"if_modified_since": CHANGED},
        {"if_modified_since": "Thu, 22 Oct 2015 07:28:00 GMT"},
        {"if_none_match": ETAG, "if_modified_since": "Tue, 20 Oct 2015 07:28:00 GMT"},
        {"if_none_match": ETAG, "range": "bytes=0-1"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_has_it_is_told_so(conditions: dict[str, str], method: str) -> None:
    answer = await ask(Kept(), f"package:auto/{URL}", method, **conditions)
    assert answer.status_code == 304
    assert answer.content == b""
    told = {"etag", "cache-control", "vary", "last-modified", "age"}
    assert told <= set(answer.headers)
    assert not {"content-type", "content-length"} & set(answer.headers)


@pytest.mark.parametrize(
    "conditions",
    [
        {"if_none_match": '"ab"'},
        {"if_none_match": "abc"},
        {"if_none_match": ""},
        {"if_none_match": '"x"', "if_modified_since": CHANGED},
        {"if_modified_since": "Tue, 20 Oct 2015 07:28:00 GMT"},
        {"if_modified_since": "yesterday"},
        {"if_modified_since": ""},
    ],
)
async def test_who_has_it_not_gets_it(conditions: dict[str, str]) -> None:
    assert (await ask(Kept(), **conditions)).status_code == 200


async def test_without_a_date_nobody_is_told_that_nothing_changed_since() -> None:
    answer = await ask(Kept(last_modified=""), if_modified_since=CHANGED)
    assert answer.status_code == 200


# Ranges.


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=90-", 90, 99),
        ("bytes=-10", 90, 99),
        ("bytes=-1000", 0, 99),
        ("bytes=50-1000", 50, 99),
        ("bytes=99-99", 99, 99),
    ],
)
async def test_a_part(wanted: str, first: int, last: int) -> None:
    answer = await ask(Kept(), range=wanted)
    assert answer.status_code == 206
    assert answer.content == BODY[first : last + 1]
    assert answer.headers["content-range"] == f"bytes {first}-{last}/100"
    assert answer.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize(
    "wanted",
    [
        "bytes=0-1,3-4",
        "bytes=9-0",
        "bytes=-",
        "bytes=a-b",
        "lines=0-1",
        "0-1",
        "bytes=0-" * 9,
    ],
)
async def test_what_is_no_single_range_gets_the_whole(wanted: str) -> None:
    answer = await ask(Kept(), range=wanted)
    assert (answer.status_code, answer.content) == (200, BODY)


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=100-200", "bytes=-0"])
async def test_a_range_outside_is_refused(wanted: str) -> None:
    answer = await ask(Kept(), range=wanted)
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */100"


@pytest.mark.parametrize(
    ("condition", "status"),
    [(ETAG, 206), (CHANGED, 206), ('"other"', 200), (f"W/{ETAG}", 200), ("soon", 200)],
)
async def test_a_part_of_what_the_asker_has(condition: str, status: int) -> None:
    answer = await ask(Kept(), range="bytes=0-9", if_range=condition)
    assert answer.status_code == status


async def test_head_knows_no_ranges() -> None:
    assert (await ask(Kept(), method="HEAD", range="bytes=0-9")).status_code == 200


# Lifetimes.


async def test_what_holds_for_ever_is_said_to_hold_a_year() -> None:
    answer = await ask(Kept(ttl=float("inf")))
    assert "max-age=31536000," in answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("expires", "lifetimes"),
    [
        (1010, "max-age=17, stale-while-revalidate=0, stale-if-error=0"),
        (1000 + 3600, "max-age=3600, stale-while-revalidate=7, stale-if-error=7"),
        (1000 + 4000, "max-age=3600, stale-while-revalidate=300, stale-if-error=407"),
        (1000 + 9000, "max-age=3600, stale-while-revalidate=300, stale-if-error=600"),
    ],
)
async def test_no_cache_outlives_the_link(expires: int, lifetimes: str) -> None:
    """Caches count from when the source was asked, seven seconds ago."""
    answer = await ask(Kept(), f"expires:{expires}/{URL}")
    assert answer.headers["cache-control"] == f"public, {lifetimes}"


# Refusals.


async def test_a_refusal_is_a_problem_with_the_request_s_name() -> None:
    answer = await ask(Kept(), f"package:webp:1/{URL}", x_request_id="from-the-cdn-1")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json()["instance"] == "from-the-cdn-1"
    assert "segment 2 ('package:webp:1')" in answer.json()["detail"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["x" * 65, "short", "with space in it", "a<b>cdefgh"])
async def test_names_that_could_mean_more_are_not_taken_over(name: str) -> None:
    assert (await ask(Kept(), x_request_id=name)).headers["x-request-id"] != name


async def test_head_of_a_refusal_has_no_body() -> None:
    answer = await ask(Failing(SourceNotFound("nothing there")), method="HEAD")
    assert (answer.status_code, answer.content) == (404, b"")
    assert int(answer.headers["content-length"]) > 0


async def test_the_overloaded_say_when() -> None:
    answer = await ask(Failing(Overloaded("full", retry_after=3)))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")


async def test_the_unforeseen_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    answer = await ask(Failing(RuntimeError("the secret")))
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["instance"] in caplog.text
    assert "the secret" in caplog.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_links_are_only_read(method: str) -> None:
    answer = await ask(Kept(), method=method)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_what_we_asked_ourselves_is_a_loop() -> None:
    answer = await ask(Kept(), via="1.1 cdn.example, 1.1 framekeep")
    assert answer.status_code == 508


async def test_others_may_stand_between() -> None:
    assert (await ask(Kept(), via="1.1 cdn.example")).status_code == 200


# Callers who leave.


class Slow:
    """A service that works until it is told to stop."""

    def __init__(self) -> None:
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    async def get_or_render(self, job: ImageRequest, priority: Priority = "interactive") -> ImageResult:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()
        raise AssertionError


def scope() -> dict[str, Any]:
    path = f"/_/{URL}".encode()
    return {"type": "http", "method": "GET", "headers": [], "raw_path": path, "query_string": b""}


def hanging_up(after: asyncio.Event) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        await after.wait()
        return {"type": "http.disconnect"}

    return receive


async def nothing_is_sent(message: Any) -> None:
    raise AssertionError(message)


async def test_work_ends_when_its_caller_hangs_up() -> None:
    service = Slow()
    async with asyncio.timeout(20):
        await images(service)(scope(), hanging_up(service.begun), nothing_is_sent)
    assert service.ended.is_set()


async def test_who_ends_the_server_is_no_caller() -> None:
    service = Slow()
    running = asyncio.create_task(
        images(service)(scope(), hanging_up(asyncio.Event()), nothing_is_sent)
    )
    await service.begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert service.ended.is_set()


# What was answered lately.


def lately(service: Any, recent: int = 1_000_000) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=images(service, recent))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def test_what_is_still_right_is_answered_again_without_asking() -> None:
    service = Kept(is_current=Right())
    async with lately(service) as client:
        first, again = [await client.get(f"/_/{URL}") for _ in range(2)]
        known = await client.get(f"/_/{URL}", headers={"if-none-match": ETAG})
        head = await client.head(f"/_/{URL}")
    for answer in (first, again, head):
        assert answer.headers.pop("x-request-id")
    assert (again.status_code, again.headers, again.content) == (200, first.headers, BODY)
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", ETAG)
    assert (head.headers, head.content) == (first.headers, b"")
    assert len(service.jobs) == 1


async def test_what_is_right_no_more_is_asked_for_anew() -> None:
    right = Right()
    service = Kept(is_current=right)
    async with lately(service) as client:
        await client.get(f"/_/{URL}")
        right.yes = False
        await client.get(f"/_/{URL}")
    assert len(service.jobs) == 2
    assert service.jobs[0] == service.jobs[1]


@pytest.mark.parametrize(
    ("rest", "headers"), [(f"expires:2000/{URL}", {}), (URL, {"range": "bytes=0-9"})]
)
async def test_what_depends_on_more_than_the_link_goes_the_whole_way(
    rest: str, headers: dict[str, str]
) -> None:
    service = Kept(is_current=Right())
    async with lately(service) as client:
        for _ in range(2):
            await client.get(f"/_/{rest}", headers=headers)
    assert len(service.jobs) == 2


async def test_askers_who_take_other_formats_are_not_mixed_up() -> None:
    service = Kept(is_current=Right())
    async with lately(service) as client:
        for accept in ("image/avif", "image/webp", "image/avif"):
            await client.get(f"/_/package:auto/{URL}", headers={"accept": accept})
    assert [job.plan.accepted_formats for job in service.jobs] == [("avif",), ("webp",)]


async def test_what_was_answered_lately_has_a_bound() -> None:
    service = Kept(is_current=Right())
    async with lately(service, recent=10_000) as client:
        for _ in range(2):
            for number in range(4):
                await client.get(f"/_/{URL}?{number}")
    assert len(service.jobs) == 8
