"""The playground in a real browser: Chromium, driven by Playwright."""

import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2 as httpx
import pytest
from live_server import LiveServer, live_server
from PIL import Image

from proxy.api.playground.assets import SAMPLES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

AXE = Path(sys.prefix) / "clients" / "node" / "node_modules" / "axe-core" / "axe.min.js"
DEMO = Path(__file__).parents[2] / "proxy" / "data" / "demo"
ADMIN_KEY = "playground-admin"
SIGNING_KEY = "0f" * 32


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    environment = {
        "FRAMEKEEP_PAGES_PLAYGROUND": "open",
        "FRAMEKEEP_API_ALLOW_ANONYMOUS": "true",
        "FRAMEKEEP_SOURCES_ALIASES": f'{{"demo": "file://{DEMO}"}}',
    }
    with live_server(tmp_path_factory.mktemp("cache"), environment) as served:
        yield served


@pytest.fixture(scope="module")
def closed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server as in production: signed links, no alias of the samples, an admin key."""
    environment = {
        "FRAMEKEEP_ADMIN_KEYS": ADMIN_KEY,
        "FRAMEKEEP_LINKS_KEYS": SIGNING_KEY,
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "false",
        "FRAMEKEEP_LINKS_PRESETS": '{"card": "smart_crop:600:600"}',
        "FRAMEKEEP_SERVER_PATH_PREFIX": "/img",
    }
    with live_server(tmp_path_factory.mktemp("cache"), environment) as served:
        yield served


@contextmanager
def opened(
    browser: "Browser", url: str, *, width: int = 1300, dark: bool = False
) -> Iterator["Page"]:
    """Open a page; at the end nothing was logged and nobody else was asked."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(url)
    yield page
    origin = re.match(r"https?://[^/]+/", url)
    assert origin is not None
    assert not [
        asked for asked in requests if not asked.startswith((origin[0], f"blob:{origin[0]}"))
    ]
    # A refused request is logged by the browser itself.
    assert not [text for text in messages if "Failed to load resource" not in text]
    context.close()


def wait_for_fact(page: "Page", text: str) -> None:
    page.wait_for_selector(f"#facts dd:text-is('{text}')")


def wait_for_size(page: "Page", width: int, height: int) -> None:
    wait_for_fact(page, f"{width} \N{MULTIPLICATION SIGN} {height}")


def wait_settled(page: "Page") -> None:
    """Wait until no picture is loading any more, so that nothing on the page moves."""
    page.wait_for_load_state("networkidle")
    # Not wait_for_function: the page's Content-Security-Policy stops its second attempt.
    page.evaluate(
        """async () => {
            while (![...document.images].every((image) => image.complete)) {
                await new Promise(requestAnimationFrame);
            }
        }"""
    )


def wait_for_snippet(page: "Page", pattern: str) -> str:
    snippet = page.locator("#snippet", has_text=re.compile(pattern))
    snippet.wait_for()
    return snippet.inner_text()


def test_a_chain_is_built_and_its_copied_url_answers_the_same_bytes(
    browser: "Browser", server: LiveServer
) -> None:
    with opened(browser, server.url + "/playground") as page:
        wait_for_size(page, 600, 600)
        page.select_option("#add-operation", "grayscale")
        page.get_by_role("button", name="Add operation").click()
        page.get_by_role("group", name=re.compile("^smart_crop")).get_by_label("width").fill("320")
        wait_for_size(page, 320, 600)
        url = page.inner_text("#snippet")
        assert url == f"{server.url}/_/smart_crop:320:600/convert:webp/grayscale/demo:beach.jpg"
        shown = page.evaluate(
            """async () => {
                const answer = await fetch(document.querySelector("#result").src);
                return [...new Uint8Array(await answer.arrayBuffer())];
            }"""
        )
        assert bytes(shown) == httpx.get(url, timeout=60).content


def test_operations_move_by_button_and_by_dragging(browser: "Browser", server: LiveServer) -> None:
    with opened(browser, server.url + "/playground") as page:
        wait_for_size(page, 600, 600)
        names = page.locator(".step-head .name")
        wait_settled(page)
        page.get_by_role("button", name="Move convert up").click()
        assert [name.strip() for name in names.all_inner_texts()] == ["convert", "smart_crop"]
        page.drag_and_drop(".step:nth-child(2) .handle", ".step:nth-child(1)")
        assert [name.strip() for name in names.all_inner_texts()] == ["smart_crop", "convert"]
        assert "operation 1 of 2" in page.inner_text("[role=status]")
        page.get_by_role("button", name="Remove convert").click()
        wait_for_fact(page, "jpeg")


def test_dragging_moves_the_focal_point(browser: "Browser", server: LiveServer) -> None:
    with opened(browser, server.url + "/playground") as page:
        wait_for_size(page, 600, 600)
        point = page.locator("#focal-point")
        point.wait_for()
        wait_settled(page)
        box = page.locator(".original").bounding_box()
        start = point.bounding_box()
        assert box is not None
        assert start is not None
        page.mouse.move(start["x"] + 16, start["y"] + 16)
        page.mouse.down()
        page.mouse.move(box["x"] + 5, box["y"] + box["height"] / 2, steps=4)
        page.mouse.up()
        wait_for_snippet(page, "/resize:600:600:cover:0(,|%2C)")
        resize = page.get_by_role("group", name=re.compile("^resize"))
        assert resize.get_by_label("position").input_value().startswith("0,")
        point.press("Shift+ArrowRight")
        wait_for_snippet(page, r"cover:0\.[1-9]")


def test_a_color_is_picked_or_named(browser: "Browser", server: LiveServer) -> None:
    with opened(browser, server.url + "/playground") as page:
        wait_for_size(page, 600, 600)
        page.select_option("#add-operation", "tint")
        page.get_by_role("button", name="Add operation").click()
        picked = page.get_by_label("hex color: pick")
        named = page.get_by_label("hex color", exact=True)
        for text, shown, written in (
            ("tomato", "#ff6347", "FF6347"),
            ("#0af", "#00aaff", "00AAFF"),
            ("336699", "#336699", "336699"),
        ):
            named.fill(text)
            wait_for_snippet(page, f"/tint:{written}/")
            assert picked.input_value() == shown
        picked.fill("#010203")
        wait_for_snippet(page, "/tint:010203/")


def test_an_error_names_the_field(browser: "Browser", server: LiveServer) -> None:
    with opened(browser, server.url + "/playground") as page:
        wait_for_size(page, 600, 600)
        width = page.get_by_role("group", name=re.compile("^smart_crop")).get_by_label("width")
        width.fill("99999")
        assert "from 1 to 16384" in page.locator("#error").inner_text()
        assert width.get_attribute("aria-invalid") == "true"
        width.fill("100")
        wait_for_size(page, 100, 600)


def test_formats_and_widths_are_compared(browser: "Browser", server: LiveServer) -> None:
    with opened(browser, server.url + "/playground") as page:
        wait_for_size(page, 600, 600)
        page.locator("#formats summary").click()
        page.locator("#formats meter").nth(6).wait_for()
        page.locator("#widths summary").click()
        page.locator("#widths img").nth(1).wait_for()
        assert page.locator("#widths strong").all_inner_texts() == ["320w", "600w"]
        page.get_by_role("tab", name="srcset").click()
        snippet = wait_for_snippet(page, " 600w")
        for candidate, width in re.findall(r"(http\S+) (\d+)w", snippet):
            assert Image.open(io.BytesIO(httpx.get(candidate, timeout=60).content)).width == int(
                width
            )


def test_a_link_with_open_fields_is_filled_in_without_a_key(
    browser: "Browser", closed_server: LiveServer
) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (90, 70), "green").save(picture, "PNG")
    source = closed_server.origin.serve("/rule.png", picture.getvalue())
    with opened(browser, closed_server.url + "/img/playground") as page:
        page.get_by_label("Admin key").fill(ADMIN_KEY)
        page.get_by_role("button", name="Use the key").click()
        wait_for_size(page, 600, 600)
        page.fill("#source", source)
        page.get_by_role("button", name="Use", exact=True).click()
        page.locator("#rule summary").click()
        page.select_option("#open-field", label="1. smart_crop: width")
        page.get_by_role("button", name="Leave it open").click()
        page.get_by_label("1. smart_crop: width", exact=True).fill("20..60..20")
        page.select_option("#open-field", label="2. convert: format")
        page.get_by_role("button", name="Leave it open").click()
        page.get_by_label("2. convert: format", exact=True).fill("webp, jpg")
        page.get_by_text("6 renditions of one original at most").wait_for()
        page.get_by_label("Choose smart_crop").select_option("40")
        page.get_by_label("Choose convert").select_option("jpeg")
        signed = page.inner_text("#rule-link")
        filled = page.locator("#chosen-link", has_text="/choose:40:jpeg/").inner_text()
        assert filled == re.sub("(/img/[^/]+)", r"\1/choose:40:jpeg", signed)
        assert "/smart_crop:%7B20..60..20%7D:600/convert:%7Bwebp,jpeg%7D/" in signed
        width = """async () => {
            const image = document.querySelector("img.chosen");
            await image.decode();
            return image.naturalWidth;
        }"""
        assert page.evaluate(width) == 40
        page.get_by_label("1. smart_crop: width", exact=True).fill("20..60..0")
        page.get_by_text("the end of a range is not below its start, its step above 0").wait_for()
        page.get_by_role("button", name="Close 1. smart_crop: width").click()
        page.get_by_text("2 renditions of one original at most").wait_for()
    answer = httpx.get(filled, timeout=60)
    rendered = Image.open(io.BytesIO(answer.content))
    assert (rendered.format, rendered.size) == ("JPEG", (40, 600))


def test_a_sample_that_loads_late_does_not_replace_what_was_chosen_meanwhile(
    browser: "Browser", closed_server: LiveServer
) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (90, 70), "yellow").save(picture, "PNG")
    source = closed_server.origin.serve("/late.png", picture.getvalue())
    held: list[Route] = []

    def hold(route: "Route") -> None:
        if route.request.resource_type == "fetch":
            held.append(route)
        else:
            route.continue_()  # the small picture on the button

    with opened(browser, closed_server.url + "/img/playground") as page:
        page.route("**/samples/beach.jpg", hold)
        page.get_by_label("Admin key").fill(ADMIN_KEY)
        with page.expect_request(
            lambda asked: asked.resource_type == "fetch" and "beach" in asked.url
        ):
            page.get_by_role("button", name="Use the key").click()
        page.fill("#source", source)
        page.get_by_role("button", name="Use", exact=True).click()
        wait_for_size(page, 600, 600)
        with page.expect_response("**/samples/beach.jpg") as late:
            held[0].continue_()
        late.value.finished()
        page.get_by_role("group", name=re.compile("^smart_crop")).get_by_label("width").fill("320")
        wait_for_size(page, 320, 600)
        assert page.input_value("#source") == source
        assert source in page.inner_text("#snippet")


def test_a_file_is_uploaded(browser: "Browser", server: LiveServer) -> None:
    with opened(browser, server.url + "/playground") as page:
        wait_for_size(page, 600, 600)
        picture = io.BytesIO()
        Image.new("RGB", (64, 48), "red").save(picture, "PNG")
        page.set_input_files(
            "#file", {"name": "a.png", "mimeType": "image/png", "buffer": picture.getvalue()}
        )
        page.get_by_text("Uploaded: a.png").wait_for()
        page.get_by_text(re.compile(r"^\s*64 \S 48 png")).wait_for()
        page.get_by_text("An uploaded picture has no link").wait_for()


def test_every_sample_is_shown(browser: "Browser", server: LiveServer) -> None:
    with opened(browser, server.url + "/playground") as page:
        for name, title in SAMPLES.items():
            page.get_by_role("button", name=title).click()
            wait_for_snippet(page, f"demo:{name}$")


def test_links_are_signed_with_the_admin_key_only(
    browser: "Browser", closed_server: LiveServer
) -> None:
    with opened(browser, closed_server.url + "/img/playground") as page:
        page.get_by_text("the playground needs an admin key").wait_for()
        page.get_by_label("Admin key").fill("wrong")
        page.get_by_role("button", name="Use the key").click()
        page.get_by_text("the admin key is wrong").wait_for()
        page.get_by_label("Admin key").fill(ADMIN_KEY)
        page.get_by_role("button", name="Use the key").click()
        wait_for_size(page, 600, 600)
        picture = io.BytesIO()
        Image.new("RGB", (900, 700), "red").save(picture, "PNG")
        source = closed_server.origin.serve("/a.png", picture.getvalue())
        page.fill("#source", source)
        page.get_by_role("button", name="Use", exact=True).click()
        answer = httpx.get(wait_for_snippet(page, "/img/"), timeout=60)
        assert answer.status_code == 200
        assert Image.open(io.BytesIO(answer.content)).size == (600, 600)


def test_a_preset_is_a_step_and_the_copied_programs_sign_it(
    browser: "Browser", closed_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (900, 700), "blue").save(picture, "PNG")
    source = closed_server.origin.serve("/preset.png", picture.getvalue())
    with opened(browser, closed_server.url + "/img/playground") as page:
        page.get_by_label("Admin key").fill(ADMIN_KEY)
        page.get_by_role("button", name="Use the key").click()
        wait_for_size(page, 600, 600)
        page.fill("#source", source)
        page.get_by_role("button", name="Use", exact=True).click()
        page.get_by_role("button", name="Remove smart_crop").click()
        page.select_option("#add-operation", "preset")
        page.get_by_role("button", name="Add operation").click()
        url = wait_for_snippet(page, "/convert:webp/preset:card/http")
        page.get_by_role("tab", name="Python").click()
        program = wait_for_snippet(page, "framekeep_links")
        page.get_by_role("tab", name="JavaScript").click()
        assert "preset:card" in wait_for_snippet(page, "framekeep/node")
    monkeypatch.setenv("FRAMEKEEP_KEY", SIGNING_KEY)
    names: dict[str, object] = {}
    exec(program, names)  # noqa: S102 - what the page offers to run
    assert names["url"] == url
    answer = httpx.get(url, timeout=60)
    assert Image.open(io.BytesIO(answer.content)).size == (600, 600)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1300, 380])
def test_axe_finds_no_serious_fault(
    browser: "Browser", server: LiveServer, width: int, *, dark: bool
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed; scripts/install-node-clients does it")
    with opened(browser, server.url + "/playground", width=width, dark=dark) as page:
        wait_for_size(page, 600, 600)
        page.locator("#focal-point").wait_for()
        for section in ("#formats", "#widths"):
            page.locator(f"{section} summary").click()
            page.locator(f"{section} img").first.wait_for()
        page.locator("#rule summary").click()
        page.get_by_role("button", name="Leave it open").click()
        page.locator("img.chosen").wait_for()
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run()")
        faults = [
            (fault["id"], [node["html"] for node in fault["nodes"]])
            for fault in found["violations"]
            if fault["impact"] in {"serious", "critical"}
        ]
        assert not faults
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_works_with_the_keyboard_alone(browser: "Browser", server: LiveServer) -> None:
    with opened(browser, server.url + "/playground") as page:
        wait_for_size(page, 600, 600)
        page.focus("#add-operation")
        page.keyboard.type("flop")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_role("group", name=re.compile("^flop")).wait_for()
        page.focus("#tab-URL")
        page.keyboard.press("ArrowRight")
        assert page.locator("#tab-img").get_attribute("aria-selected") == "true"
        assert page.evaluate("document.activeElement.id") == "tab-img"
