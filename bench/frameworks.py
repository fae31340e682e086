"""Build the sites of clients/javascript/examples, open them in Chromium, and look at every picture.

    python bench/frameworks.py

Needs Framekeep with what its tests need, npm and Chromium; takes a few minutes. Names choose sites:
``python bench/frameworks.py astro``. What is wrong is printed, and ends it with 1. With the
variable SCREENSHOTS, pictures of the pages are written to the folder that it names.
"""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urljoin

import httpx2 as httpx
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

CLIENT = Path(__file__).parents[1] / "clients" / "javascript"
DEMO = str(files("proxy").joinpath("data", "demo"))
KEY = "0f" * 32
HOST = "127.0.0.1"
SITES = {
    "next": ["npx", "next", "start", "--hostname", HOST, "--port", "{port}"],
    "nuxt": ["node", ".output/server/index.mjs"],
    "astro": ["npx", "astro", "preview", "--host", HOST, "--port", "{port}"],
}
QUIET = {f"{name}_TELEMETRY_DISABLED": "1" for name in ("NEXT", "NUXT", "ASTRO")}
START_SECONDS = 60

READ_IMAGES = """async () => {
    const images = [...document.images];
    await Promise.all(images.map((image) => {
        image.loading = "eager";
        return image.decode().catch(() => undefined);
    }));
    return images.map((image) => ({
        name: image.id || image.alt,
        url: image.currentSrc || image.src,
        width: image.naturalWidth,
        sets: [image, ...(image.parentNode.tagName === "PICTURE"
            ? image.parentNode.querySelectorAll("source") : [])].map((one) => one.srcset),
    }));
}"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and logs nothing."""

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def serve_originals() -> Iterator[str]:
    server = ThreadingHTTPServer((HOST, 0), partial(Quiet, directory=DEMO))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{HOST}:{server.server_port}/beach.jpg"
    finally:
        server.shutdown()


@contextmanager
def running(
    command: list[str], folder: Path, environment: Mapping[str, str], port: int
) -> Iterator[None]:
    """Run a server until the end of the block. Raises SystemExit where it does not listen."""
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment}, start_new_session=True
    )
    try:
        for _ in range(START_SECONDS * 10):
            with socket.socket() as probe:
                if probe.connect_ex((HOST, port)) == 0:
                    break
            time.sleep(0.1)
        else:
            raise SystemExit(f"{command[0]} does not listen on port {port}")
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def build(name: str, folder: Path, environment: Mapping[str, str]) -> None:
    shutil.copytree(CLIENT / "examples" / name, folder)
    if name == "astro":  # the only one that imports a picture
        shutil.copy(f"{DEMO}/beach.jpg", folder / "src")
    package = json.loads((folder / "package.json").read_text("utf-8"))
    package["dependencies"]["framekeep"] = f"file:{CLIENT}"
    (folder / "package.json").write_text(json.dumps(package), "utf-8")
    for command in (
        # Bundlers do not follow links out of the folder of a site.
        ["npm", "install", "--install-links", "--no-audit", "--no-fund", "--loglevel=error"],
        ["npm", "run", "build"],
    ):
        subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=True)


def faults_of(image: Mapping[str, Any], page_url: str) -> Iterator[str]:
    """Say what is wrong with a picture of a page, and with each of its candidates."""
    if not image["width"]:
        yield f"{image['url']} is not shown"
    for candidates in filter(None, image["sets"]):
        for candidate in candidates.split(", "):
            path, _, descriptor = candidate.strip().partition(" ")
            url = urljoin(page_url, path)
            answer = httpx.get(url, follow_redirects=True, timeout=60)
            if answer.status_code != httpx.codes.OK:
                yield f"{url} answers {answer.status_code}: {answer.text}"
            elif descriptor.endswith("w"):
                width = Image.open(io.BytesIO(answer.content)).width
                if f"{width}w" != descriptor:
                    yield f"{url} is {width} pixels wide, not {descriptor}"


def check_page(browser: Browser, url: str) -> int:
    """Open a page, press its buttons, print what its pictures are; return the number of faults."""
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    messages: list[str] = []
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("console", lambda message: messages.append(message.text))
    page.goto(url, wait_until="networkidle")
    for button in page.get_by_role("button").all():
        button.click()
    page.wait_for_load_state("networkidle")
    # Chromium asks for an icon, too. Pictures that are not there have no width.
    faults = [text for text in messages if "Failed to load resource" not in text]
    for image in page.evaluate(READ_IMAGES):
        print(f"  {image['name']}: {image['width']} pixels wide, {image['url']}")
        faults += faults_of(image, url)
    if path := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{path}/{url.rpartition(':')[2].strip('/')}.png", full_page=True)
    page.close()
    for fault in faults:
        print(f"  WRONG: {fault}")
    return len(faults)


def main(names: list[str]) -> int:
    faults = 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        source = stack.enter_context(serve_originals())
        port = free_port()
        settings = {
            "FRAMEKEEP_LINKS_KEYS": KEY,
            "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.0/8",
            "FRAMEKEEP_SOURCES_ALLOW_PORTS": "1-65535",
            "FRAMEKEEP_LOG_ACCESS": "none",
            "FRAMEKEEP_CACHE_DIR": str(folder / "cache"),
        }
        command = [sys.executable, "-m", "proxy", "serve", "--port", str(port)]
        stack.enter_context(running(command, folder, settings, port))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name in names:
            site_port = free_port()
            environment = {
                **QUIET,
                "FRAMEKEEP_URL": f"http://{HOST}:{port}",
                "FRAMEKEEP_KEY": KEY,
                "SOURCE": source,
                "SITE_URL": f"http://{HOST}:{site_port}",
                "HOST": HOST,
                "PORT": str(site_port),
            }
            site = folder / name
            build(name, site, environment)
            started = [part.format(port=site_port) for part in SITES[name]]
            with running(started, site, environment, site_port):
                print(f"{name}:")
                faults += check_page(browser, f"{environment['SITE_URL']}/")
        browser.close()
    print(f"{faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(SITES)))
