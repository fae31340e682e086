"""The commands of the documentation work as they are printed.

A block of `sh` or `console` runs in bash, in an empty folder. The hosts of the examples are a
server on loopback, and a block that ends with a server has to become healthy. A block that cannot
run here is marked in the page: ``<!-- not run by the tests: REASON -->``.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2 as httpx
import pytest
from live_server import KEY, LiveServer, live_server

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]

_BLOCK = re.compile(
    r"(?:^ *<!-- not run by the tests: (?P<reason>.+?) -->\n)?"
    r"^(?P<indent> *)```(?P<kind>sh|console)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_HOSTS = re.compile(r"https://(?:img|images)\.example(?:\.com)?(?=/|\s|$)|http://127\.0\.0\.1:8080")
_SERVES = re.compile(r"^(?:\S+=\S+ )*(?:framekeep serve|\./scripts/serve)\b")


class Block(NamedTuple):
    page: str
    reason: str
    commands: str

    def serves(self) -> bool:
        """Whether its last command is a server, which runs until it is stopped."""
        return bool(_SERVES.match(self.commands.rstrip().splitlines()[-1]))


def blocks() -> Iterator[Block]:
    for page in PAGES:
        for match in _BLOCK.finditer(page.read_text(encoding="utf-8")):
            lines = [line.removeprefix(match["indent"]) for line in match["text"].splitlines()]
            if match["kind"] == "console":
                lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
            yield Block(str(page.relative_to(ROOT)), match["reason"] or "", "\n".join(lines))


def name(block: Block) -> str:
    return f"{block.page}: {block.commands.splitlines()[0][:50]}"


SETTINGS = {
    "FRAMEKEEP_LINKS_KEYS": "00" * 32,
    "FRAMEKEEP_LINKS_PRESETS": '{"card": "resize:20", "avatar": "resize:10"}',
    "FRAMEKEEP_SOURCES_ALIASES": f'{{"demo": "file://{ROOT}/proxy/data/demo"}}',
}
"""What the server and the commands have in common."""

RUNNABLE = [block for block in blocks() if not block.reason]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    settings = {
        **SETTINGS,
        "FRAMEKEEP_ADMIN_KEYS": KEY,
    }
    with live_server(tmp_path_factory.mktemp("server"), settings) as served:
        yield served


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a user has: the command on the path, a key, and the files of the examples."""
    (tmp_path / "cache").mkdir(mode=0o700)
    commands = tmp_path / "bin"
    commands.mkdir()
    for command in ("framekeep", "python"):
        (commands / command).symlink_to(Path(sys.executable).with_name(command))
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(ROOT / "proxy" / "data" / "demo" / "product.jpg", folder / "photo.jpg")
    (folder / "links.txt").write_text("/_/resize:20/convert:webp/demo:logo.png\n")
    (folder / "uploads.txt").write_text("demo:logo.png\n")
    (folder / "thumbor.conf").write_text("SECURITY_KEY = 'MY_SECURE_KEY'\n")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("FRAMEKEEP_")}
    return {
        **inherited,
        **SETTINGS,
        "FRAMEKEEP_IPX_BASE_URL": "demo:",  # local sources, as an IPX server has them
        "PATH": f"{commands}:{os.environ['PATH']}",
        "HOME": str(folder),
        "KEY": KEY,
        "FRAMEKEEP_CACHE_DIR": str(tmp_path / "cache"),
    }


def run(block: Block, folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    # curl answers an error of the server with exit status 0 unless it is told otherwise.
    script = f'curl() {{ command curl --fail-with-body -sS "$@"; }}\n{block.commands}\n'
    return subprocess.Popen(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT if "./scripts/" in block.commands else folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def test_every_page_with_commands_is_found() -> None:
    assert {"README.md", "docs/quick-start.md", "docs/cache.md"} <= {
        block.page for block in RUNNABLE
    }


@pytest.mark.parametrize("block", [b for b in RUNNABLE if not b.serves()], ids=name)
def test_the_commands_of_the_documentation_succeed(
    block: Block, server: LiveServer, environment: dict[str, str], tmp_path: Path
) -> None:
    here = block._replace(commands=_HOSTS.sub(server.url, block.commands))
    port = server.url.rpartition(":")[2]
    process = run(here, tmp_path / "folder", {**environment, "FRAMEKEEP_SERVER_PORT": port})
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output


@pytest.mark.parametrize("block", [b for b in RUNNABLE if b.serves()], ids=name)
def test_the_servers_of_the_documentation_start(
    block: Block, environment: dict[str, str], tmp_path: Path
) -> None:
    # A port that stays bound is given to nobody who asks for any; the server can listen there.
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        wait_served(block, port, tmp_path / "folder", environment)


def wait_served(block: Block, port: int, folder: Path, environment: dict[str, str]) -> None:
    process = run(block, folder, {**environment, "FRAMEKEEP_SERVER_PORT": str(port)})
    try:
        while process.poll() is None:
            try:
                answer = httpx.get(f"http://127.0.0.1:{port}/health", timeout=10)
            except httpx.TransportError:
                continue  # it does not listen yet
            if answer.status_code == 200:
                return
        output, _ = process.communicate()
        pytest.fail(f"it ended with {process.returncode}: {output}")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate()
