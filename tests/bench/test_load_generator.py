"""Callers check every answer, and stop at the first that is wrong."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from load_generator import Ask, WrongAnswer, call, get, once

RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """A server that answers in this order on each connection, and with the last one ever after."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            at = 0
            while self.request.recv(65536):
                answer = answers[min(at, len(answers) - 1)]
                # In two pieces, as networks do.
                self.request.sendall(answer[:7])
                self.request.sendall(answer[7:])
                at += 1

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_every_question_is_asked_once_and_timed_by_its_group() -> None:
    with answering(RIGHT) as port:
        asks = [Ask(get("/", port), body=b"right", group=name) for name in "aab"]

        times = call(port, asks, callers=2)

    assert {name: len(values) for name, values in times.groups.items()} == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong", "another body"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "503 Busy"),
        (b"HTTP/1.1 200 OK\r\n\r\nright", "without a length"),
    ],
)
def test_a_wrong_answer_among_right_ones_ends_it(wrong: bytes, sentence: str) -> None:
    with answering(RIGHT, RIGHT, wrong) as port:
        ask = Ask(get("/", port), body=b"right")

        with pytest.raises(WrongAnswer, match=sentence):
            call(port, [ask], callers=1, seconds=60)


def test_a_304_has_no_body() -> None:
    with answering(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n") as port:
        status, _, body = once(port, Ask(get("/", port), status=304))

    assert (status, body) == (304, b"")
