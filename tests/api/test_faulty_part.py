"""The part of a link that an error is about is found in its raw path."""

from base64 import urlsafe_b64encode

import pytest

from proxy import errors
from proxy.api.http.faulty_part import find_faulty_part

URL = "https://a.example/b c.jpg"
ENCODED = urlsafe_b64encode(URL.encode()).decode().rstrip("=")


def part_of(error: Exception, target: str) -> str | None:
    found = find_faulty_part(error, target)
    return target[slice(*found)] if found else None


def source_error(source: str) -> errors.SourceError:
    error = errors.SourceNotFound("the source has no such original")
    error.source = source
    return error


@pytest.mark.parametrize(
    ("target", "source", "part"),
    [
        ("/_/flip/demo:a/b.jpg", "demo:a/b.jpg", "demo:a/b.jpg"),
        ("/_/flip/https://a.example/b.jpg", "https://a.example/b.jpg", "https://a.example/b.jpg"),
        (f"/_/flip/b64:{ENCODED}", URL, f"b64:{ENCODED}"),
        ("/_/flip/https%3A%2F%2Fa.example%2Fb%20c.jpg", URL, "https%3A%2F%2Fa.example%2Fb%20c.jpg"),
        (
            "/imgproxy/unsafe/w:9/plain/https://a.example/b%20c.jpg@webp",
            URL,
            "https://a.example/b%20c.jpg@webp",
        ),
        (
            f"/imgproxy/unsafe/w:9/{ENCODED[:8]}/{ENCODED[8:]}.webp",
            URL,
            f"{ENCODED[:8]}/{ENCODED[8:]}.webp",
        ),
        ("/unsafe/300x200/a.example/b.jpg", "https://a.example/b.jpg", "a.example/b.jpg"),
        ("/_/flip/demo:other.jpg", "demo:a.jpg", None),
        ("/_/flip/demo:a.jpg", "", None),
    ],
)
def test_a_source_is_found_by_what_it_decodes_to(
    target: str, source: str, part: str | None
) -> None:
    assert part_of(source_error(source), target) == part


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("/_/crop:9:9:1:1/flip/demo:a.jpg", "crop:9:9:1:1"),
        ("/_/crop:9:9:1:1/crop:1:1:1:1/demo:a.jpg", None),
        ("/_/preset:card/demo:a.jpg", None),
    ],
)
def test_an_operation_is_found_by_its_name_where_there_is_one(
    target: str, part: str | None
) -> None:
    error = errors.OperationNotApplicable("crop: the rectangle is not inside the picture")
    assert part_of(error, target) == part


def test_errors_of_the_server_mark_nothing() -> None:
    assert part_of(errors.Overloaded("busy"), "/_/flip/demo:a.jpg") is None
