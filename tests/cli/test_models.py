"""Models are installed complete and verified, or not at all."""

import hashlib
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from proxy.cli import models
from proxy.cli.models import KNOWN, ModelFile, install
from proxy.errors import SourceFailed

BODY = b"a model, for the sake of argument"


def known(url: str = "", body: bytes = BODY) -> tuple[ModelFile, ...]:
    return (ModelFile("a.onnx", "detects things", "none", url, hashlib.sha256(body).hexdigest()),)


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "a.onnx").write_bytes(BODY)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/a.onnx"
        server.shutdown()
        thread.join()


def test_a_model_is_copied_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(BODY)
    install(tmp_path / "new" / "models", tmp_path, known())
    assert (tmp_path / "new" / "models" / "a.onnx").read_bytes() == BODY


def test_a_model_is_downloaded(tmp_path: Path, origin: str) -> None:
    install(tmp_path / "models", None, known(origin))
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["a.onnx"]
    assert (tmp_path / "models" / "a.onnx").read_bytes() == BODY


def test_an_installed_model_is_not_downloaded_again(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(BODY)
    install(tmp_path, None, known("http://127.0.0.1:9/nobody-there"))


@pytest.mark.parametrize("local", [True, False])
def test_a_file_with_another_digest_is_not_installed(
    tmp_path: Path, origin: str, local: bool
) -> None:
    (tmp_path / "a.onnx").write_bytes(BODY)
    with pytest.raises(SourceFailed, match="SHA-256 differs"):
        install(tmp_path / "models", tmp_path if local else None, known(origin, b"other"))
    assert list((tmp_path / "models").iterdir()) == []


def test_a_failed_download_mentions_the_offline_option(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="--from DIR"):
        install(tmp_path, None, known("http://127.0.0.1:9/nobody-there"))


def test_the_command_lists_what_is_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = ArgumentParser()
    models.add_arguments(parser)
    assert models.run(parser.parse_args(["list", "--dir", str(tmp_path)]), {}) == 0
    output = capsys.readouterr().out
    assert all(f"{model.file:<22}not installed" in output for model in KNOWN)


def test_urls_are_pinned() -> None:
    for model in KNOWN:
        assert model.url.startswith("https://")
        assert model.url.endswith(model.file)
        assert "/main/" not in model.url
        assert "/master/" not in model.url
