"""Cross-origin requests: which pages may read links, APIs and errors."""

from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from live_server import KEY, LiveServer, live_server
from pictures import encode, scene

from proxy.config import load
from proxy.errors import ConfigError

ONE, OTHER, STRANGER = "https://one.example", "http://localhost:3000", "https://stranger.example"
TRANSFORM = "/image-transformation/v1/transform"
HEALTH, METRICS, ADMIN = "/health/ready", "/metrics", "/admin/cache"


READABLE = (  # by every page (Fetch standard, "CORS-safelisted response-header name")
    *("cache-control", "content-language", "content-length", "content-type"),
    *("expires", "last-modified", "pragma"),
)
UNNEEDED = (  # by pages: browsers obey these
    *("access-control-allow-origin", "access-control-expose-headers", "timing-allow-origin"),
    *("content-security-policy", "cross-origin-resource-policy", "x-content-type-options"),
    *("connection", "date", "server", "vary"),
)


class Site:
    """A server, and a link that is a hit from its second request on."""

    def __init__(self, server: LiveServer) -> None:
        self.client = httpx.Client(base_url=server.url, timeout=60, trust_env=False)
        self.link = f"/_/resize:8/convert:auto/{server.origin.serve('/a.png', PNG)}"
        self.client.get(self.link)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.client.get(path, headers=headers)

    def preflight(self, path: str, origin: str = ONE) -> httpx.Response:
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        return self.client.options(path, headers=headers)


PNG = encode(scene())


def site(folder: Path, origins: str) -> Iterator[Site]:
    with live_server(folder, {"FRAMEKEEP_SERVER_ALLOW_ORIGINS": origins}) as server:
        served = Site(server)
        yield served
        served.client.close()


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from site(tmp_path_factory.mktemp("listed"), f"{ONE},{OTHER}")


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from site(tmp_path_factory.mktemp("single"), ONE)


@pytest.fixture(scope="module")
def open_to_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from site(tmp_path_factory.mktemp("open"), "*")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    yield from site(tmp_path_factory.mktemp("closed"), "")


def cors(response: httpx.Response) -> dict[str, str]:
    return {
        name: value
        for name, value in response.headers.items()
        if name.startswith("access-control-") or name in ("timing-allow-origin", "vary")
    }


@pytest.mark.parametrize("origin", [ONE, OTHER])
def test_a_listed_origin_may_read_hits_and_not_modified(listed: Site, origin: str) -> None:
    hit = listed.get(listed.link, Origin=origin)
    unchanged = listed.get(listed.link, **{"Origin": origin, "If-None-Match": hit.headers["etag"]})
    assert (hit.status_code, unchanged.status_code) == (200, 304)
    for response in (hit, unchanged):
        assert response.headers["x-cache"] == "hit"
        assert response.headers["access-control-allow-origin"] == origin
        assert response.headers["timing-allow-origin"] == origin
        assert response.headers.get_list("vary") == ["Accept, Origin"]
        assert "X-Focus" in response.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", [STRANGER, "null", f"{ONE}.evil.example", ONE.upper(), ""])
def test_no_other_origin_may(listed: Site, origin: str) -> None:
    response = listed.get(listed.link, **({"Origin": origin} if origin else {}))
    assert cors(response) == {"vary": "Accept, Origin"}


def test_the_fast_path_and_the_full_path_have_the_same_headers(
    listed: Site, single: Site, open_to_all: Site, closed: Site
) -> None:
    for served in (listed, single, open_to_all, closed):
        fast = served.get(served.link)
        full = served.get(served.link, Connection="close")
        assert cors(fast) == cors(full)
        assert fast.headers.keys() == full.headers.keys() - {"connection"}


@pytest.mark.parametrize("origin", [ONE, STRANGER, ""])
def test_the_response_is_the_same_for_all_where_all_or_one_are_allowed(
    open_to_all: Site, single: Site, origin: str
) -> None:
    headers = {"Origin": origin} if origin else {}
    for served, allowed in ((open_to_all, "*"), (single, ONE)):
        response = served.get(served.link, **headers)
        assert response.headers["access-control-allow-origin"] == allowed
        assert response.headers["timing-allow-origin"] == allowed
        assert response.headers["vary"] == "Accept"


def test_nothing_is_sent_by_default(closed: Site) -> None:
    assert cors(closed.get(closed.link, Origin=ONE)) == {"vary": "Accept"}
    assert closed.preflight(closed.link).status_code == 405


@pytest.mark.parametrize("origins", ["listed", "single", "open_to_all", "closed"])
def test_every_page_may_embed_images(origins: str, request: pytest.FixtureRequest) -> None:
    served: Site = request.getfixturevalue(origins)
    for path in (served.link, "/_/resize:0/a:b"):
        response = served.get(path)
        assert response.headers["cross-origin-resource-policy"] == "cross-origin"


@pytest.mark.parametrize(
    "path", ["/_/x", TRANSFORM, "/vision/v3.2/generateThumbnail", "/computervision/x", "/docs"]
)
def test_a_preflight_needs_no_key(listed: Site, path: str) -> None:
    response = listed.preflight(path)
    assert response.status_code == 204
    assert not response.content
    assert response.headers["access-control-allow-origin"] == ONE
    assert "POST" in response.headers["access-control-allow-methods"]
    assert response.headers["access-control-allow-headers"] == "authorization,content-type"
    assert response.headers["access-control-max-age"] == "7200"
    assert response.headers["vary"] == "Origin"


def test_a_preflight_of_another_origin_is_refused(listed: Site) -> None:
    response = listed.preflight(TRANSFORM, STRANGER)
    assert response.status_code == 403
    assert "FRAMEKEEP_SERVER_ALLOW_ORIGINS" in response.json()["detail"]
    assert cors(response) == {"vary": "Origin"}


def test_options_without_the_headers_of_a_preflight_is_not_one(listed: Site) -> None:
    assert listed.client.options(listed.link, headers={"Origin": ONE}).status_code == 405


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing-signed", 403),
        ("GET", "/_/resize:0/https://a.example/b", 400),
        ("GET", "/_/https://169.254.169.254/a", 403),
        ("PUT", "/_/https://a.example/b", 405),
        ("POST", TRANSFORM, 401),
        ("POST", "/vision/v3.2/generateThumbnail", 401),
        ("POST", "/computervision/imageanalysis:analyze", 404),
    ],
)
def test_a_page_may_read_errors(
    listed: Site, open_to_all: Site, method: str, path: str, status: int
) -> None:
    for served, allowed in ((listed, OTHER), (open_to_all, "*")):
        response = served.client.request(method, path, headers={"Origin": OTHER})
        assert response.status_code == status
        assert response.headers["access-control-allow-origin"] == allowed
        assert "X-Request-Id" in response.headers["access-control-expose-headers"]


def test_a_page_may_call_an_api_with_its_key(listed: Site) -> None:
    response = listed.client.post(
        "/vision/v3.2/areaOfInterest",
        content=PNG,
        headers={
            "Origin": ONE,
            "Ocp-Apim-Subscription-Key": KEY,
            "Content-Type": "application/octet-stream",
        },
    )
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ONE


def test_every_header_of_an_answer_can_be_read(open_to_all: Site) -> None:
    api = {"Ocp-Apim-Subscription-Key": KEY, "Content-Type": "application/octet-stream"}
    answers = [
        open_to_all.get(open_to_all.link),
        open_to_all.get(f"{open_to_all.link.replace('resize', 'smart_crop:9')}"),
        open_to_all.get("/_/debug/a:b"),
        open_to_all.client.put("/_/a:b"),
        open_to_all.client.post("/vision/v3.2/areaOfInterest", content=PNG, headers=api),
        open_to_all.client.post("/vision/v3.2/areaOfInterest"),
        open_to_all.client.post(TRANSFORM, headers={"Authorization": f"Bearer {KEY}"}),
        open_to_all.client.post(TRANSFORM),
    ]
    for answer in answers:
        exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
        assert answer.headers.keys() <= {*exposed, *READABLE, *UNNEEDED}


@pytest.mark.parametrize("path", [HEALTH, METRICS, ADMIN])
def test_what_the_operator_alone_needs_is_for_no_page(open_to_all: Site, path: str) -> None:
    assert not cors(open_to_all.get(path, Origin=ONE))
    assert not cors(open_to_all.preflight(path))


@pytest.mark.parametrize(
    "origins",
    [
        "one.example",
        "https://one.example/",
        "https://One.example",
        "https://one.example:443",
        "http://one.example:80",
        "https://*.one.example",
        "https://one.example/path",
        "*,https://one.example",
    ],
)
def test_an_origin_that_no_browser_sends_stops_the_start(origins: str) -> None:
    with pytest.raises(ConfigError, match="FRAMEKEEP_SERVER_ALLOW_ORIGINS"):
        load({"FRAMEKEEP_SERVER_ALLOW_ORIGINS": origins})
