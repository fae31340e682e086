"""What Chromium sends of client hints, and which image it gets for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pictures
import pytest
from live_server import LiveServer, live_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PNG = pictures.encode(pictures.plain(1600, 8))
STEPS = "resize:{auto,800,320,640,1280}"
NAMES = ("sec-ch-width", "sec-ch-dpr", "sec-ch-viewport-width")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("cache")) as served:
        yield served


@contextmanager
def opened(
    browser: "Browser", server: LiveServer, path: str, tag: str, *, head: str = "", **headers: str
) -> Iterator["Page"]:
    """Open a page of the origin with one image, on a screen of two pixels for each CSS pixel."""
    page_html = f"<!doctype html><head>{head}</head><body>{tag}".encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    url = server.origin.serve(path, page_html, headers={"Content-Type": "text/html", **named})
    context = browser.new_context(viewport={"width": 500, "height": 400}, device_scale_factor=2)
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(url)
    yield page
    context.close()


def image_of(server: LiveServer, name: str, steps: str = STEPS) -> str:
    return f"{server.url}/_/{steps}/{server.origin.serve(f'/{name}.png', PNG)}"


def widths_of(page: "Page") -> list[int]:
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    widths: list[int] = page.evaluate("[...document.images].map((image) => image.naturalWidth)")
    return widths


def delegate_by_meta(url: str) -> str:
    listed = "; ".join(f"{name} {url}" for name in NAMES)
    return f'<meta http-equiv="Delegate-CH" content="{listed}">'


def test_an_image_with_sizes_gets_the_width_that_it_has_on_the_page(
    browser: "Browser", server: LiveServer
) -> None:
    tags = [
        f'<img src="{image_of(server, "narrow")}" sizes="150px" width="150">',
        f'<img src="{image_of(server, "wide")}" sizes="301px" width="301">',
        f'<img src="{image_of(server, "lazy")}" sizes="auto" width="600" loading="lazy">',
        f'<img src="{image_of(server, "attribute")}" width="150">',
        # Chromium does not know yet what a style says, only that the window has 1,000 pixels.
        f'<img src="{image_of(server, "style")}" style="width: 150px">',
    ]
    head = delegate_by_meta(server.url)
    with opened(browser, server, "/delegated", "".join(tags), head=head) as page:
        assert widths_of(page) == [320, 640, 1280, 320, 1280]


def test_headers_of_the_page_delegate_hints_too(browser: "Browser", server: LiveServer) -> None:
    allowed = ", ".join(f'{name[4:]}=(self "{server.url}")' for name in NAMES)
    with opened(
        browser,
        server,
        "/headers",
        f'<img src="{image_of(server, "headers")}" sizes="150px" width="150">',
        Accept_CH=", ".join(NAMES),
        Permissions_Policy=allowed,
    ) as page:
        assert widths_of(page) == [320]


def test_without_delegation_the_first_width_of_the_list_is_sent(
    browser: "Browser", server: LiveServer
) -> None:
    tag = f'<img src="{image_of(server, "plain")}" sizes="150px" width="150">'
    with opened(browser, server, "/plain", tag) as page:
        assert widths_of(page) == [800]
    with opened(browser, server, "/accepting", tag, Accept_CH=", ".join(NAMES)) as page:
        assert widths_of(page) == [800]


def test_the_device_pixel_ratio_multiplies_the_width(
    browser: "Browser", server: LiveServer
) -> None:
    steps = "resize:200/dpr:{auto,1,2,3}"
    tag = f'<img src="{image_of(server, "dpr", steps)}" width="200">'
    head = delegate_by_meta(server.url)
    with opened(browser, server, "/dpr", tag, head=head) as page:
        assert widths_of(page) == [400]
