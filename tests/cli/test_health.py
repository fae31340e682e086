"""`framekeep health` finds the server by its settings, and exits with 1 where it is not ready."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest


@contextmanager
def health_server(status: int, host: str = "127.0.0.1") -> Iterator[int]:
    """Answer every request with this status; the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ready = self.path == "/health/ready"
            self.send_response(status if ready else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"status": "ok" if status == 200 else "stopping"}).encode())

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer((host, 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def health(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "proxy", "health"],
        capture_output=True,
        check=False,
        text=True,
        env={"PATH": "", **environment},
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_ready_server_is_healthy(host: str) -> None:
    with health_server(200) as port:
        found = health(FRAMEKEEP_SERVER_PORT=str(port), FRAMEKEEP_SERVER_HOST=host)
    assert (found.returncode, found.stdout) == (0, '{"status": "ok"}\n')


def test_the_port_of_the_file_is_followed(tmp_path: Path) -> None:
    with health_server(200) as port:
        file = tmp_path / "framekeep.toml"
        file.write_text(f"[server]\nport = {port}\n")
        # This is the variable of a Service in Kubernetes, and not the setting.
        link = "tcp://10.0.0.1:8080"
        found = health(FRAMEKEEP_CONFIG=str(file), FRAMEKEEP_SERVER_PORT=link)
    assert found.returncode == 0


def test_a_server_that_stops_is_not_healthy() -> None:
    with health_server(503) as port:
        found = health(FRAMEKEEP_SERVER_PORT=str(port))
    assert (found.returncode, found.stdout) == (1, '{"status": "stopping"}\n')


def test_without_a_server_the_address_is_named() -> None:
    with socket.socket() as silent:  # nobody else gets a port that is bound, and nobody listens
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        found = health(FRAMEKEEP_SERVER_PORT=str(port))
    assert found.returncode == 1
    assert found.stdout.startswith(f"no answer from 127.0.0.1 port {port}: ")
