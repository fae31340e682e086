"""Models are installed whole and right, or not at all."""

import hashlib
import threading
from argparse import ArgumentParser
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from proxy.cli import models
from proxy.cli.models import KNOWN, Model, install
from proxy.errors import SourceFailed

BODY = b"a model, for the sake of argument"


def known(address: str = "", body: bytes = BODY) -> tuple[Model, ...]:
    return (Model("a.onnx", "finds things", "none", address, hashlib.sha256(body).hexdigest()),)


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


def test_a_model_comes_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(BODY)
    install(tmp_path / "new" / "models", tmp_path, known())
    assert (tmp_path / "new" / "models" / "a.onnx").read_bytes() == BODY


def test_a_model_comes_from_its_address(tmp_path: Path, origin: str) -> None:
    install(tmp_path / "models", None, known(origin))
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["a.onnx"]
    assert (tmp_path / "models" / "a.onnx").read_bytes() == BODY


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(BODY)
    install(tmp_path, None, known("http://127.0.0.1:9/nobody-there"))


@pytest.mark.parametrize("at_hand", [True, False])
def test_another_file_is_refused_and_not_kept(tmp_path: Path, origin: str, at_hand: bool) -> None:
    (tmp_path / "a.onnx").write_bytes(BODY)
    with pytest.raises(SourceFailed, match="SHA-256 differs"):
        install(tmp_path / "models", tmp_path if at_hand else None, known(origin, b"other"))
    assert list((tmp_path / "models").iterdir()) == []


def test_an_address_without_an_answer_says_what_else_can_be_done(tmp_path: Path) -> None:
    with pytest.raises(SourceFailed, match="--from FOLDER"):
        install(tmp_path, None, known("http://127.0.0.1:9/nobody-there"))


def test_the_command_says_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = ArgumentParser()
    models.arguments(parser)
    assert models.run(parser.parse_args(["list", "--dir", str(tmp_path)]), {}) == 0
    told = capsys.readouterr().out
    assert all(f"{model.file:<22}is not there" in told for model in KNOWN)


def test_addresses_are_pinned() -> None:
    for model in KNOWN:
        assert model.address.startswith("https://")
        assert model.address.endswith(model.file)
        assert "/main/" not in model.address
        assert "/master/" not in model.address
