"""The load generator checks every response, and stops at the first that is wrong."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from load_generator import (
    Request,
    WrongResponse,
    generate_load,
    get_request,
    load_beside,
    send_once,
)

RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"


@contextmanager
def responding(*responses: bytes) -> Iterator[int]:
    """A server that sends these responses on each connection, then repeats the last one."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            sent = 0
            while self.request.recv(65536):
                response = responses[min(sent, len(responses) - 1)]
                # In two parts, as networks do.
                self.request.sendall(response[:7])
                self.request.sendall(response[7:])
                sent += 1

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_every_request_is_sent_once_and_timed_in_its_group() -> None:
    with responding(RIGHT) as port:
        requests = [Request(get_request("/", port), body=b"right", group=name) for name in "aab"]

        result = generate_load(port, requests, connections=2)

    assert {name: len(values) for name, values in result.groups.items()} == {"a": 2, "b": 1}


def test_processes_share_the_connections_and_the_requests() -> None:
    with responding(RIGHT) as port:
        requests = [Request(get_request("/", port), body=b"right")] * 7

        result = generate_load(port, requests, connections=4, processes=2)

        wrong = [Request(get_request("/", port), body=b"wrong")] * 2
        with pytest.raises(WrongResponse, match="another body"):
            generate_load(port, wrong, connections=4, processes=2)

    assert [len(values) for values in result.groups.values()] == [7]


def test_a_load_goes_on_beside_the_block() -> None:
    with responding(RIGHT) as port:
        endless = [Request(get_request("/", port), body=b"right")] * 100_000
        with load_beside(port, endless, connections=2):
            result = generate_load(port, endless[:3], connections=1)

    assert len(result.groups[""]) == 3


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong", "another body"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "got 503"),
        (b"HTTP/1.1 200 OK\r\n\r\nright", "without Content-Length"),
    ],
)
def test_a_wrong_response_among_right_ones_stops_the_run(wrong: bytes, error: str) -> None:
    with responding(RIGHT, RIGHT, wrong) as port:
        request = Request(get_request("/", port), body=b"right")

        with pytest.raises(WrongResponse, match=error):
            generate_load(port, [request], connections=1, seconds=60)


def test_a_304_has_no_body() -> None:
    with responding(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n") as port:
        status, _, body = send_once(port, Request(get_request("/", port), status=304))

    assert (status, body) == (304, b"")


def test_a_connection_that_is_done_may_be_closed_while_another_is_busy() -> None:
    closed = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if b"/slow" in self.request.recv(65536):
                assert closed.wait(60)
            self.request.sendall(RIGHT)

        def finish(self) -> None:
            self.request.close()
            closed.set()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        port = server.server_address[1]
        requests = [Request(get_request(path, port), body=b"right") for path in ("/slow", "/fast")]

        result = generate_load(port, requests, connections=2)

        server.shutdown()
        thread.join()
    assert len(result.all) == 2
