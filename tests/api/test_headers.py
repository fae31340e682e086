"""Request headers whose value is given in several lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.api.http.accept import accepted_formats
from proxy.api.http.conditional import not_modified
from proxy.api.http.headers import combine_headers

ACCEPT = (b"image/avif", b"image/webp", b"image/apng", b"image/webp;q=0", b"*/*;q=0.8")


@given(st.lists(st.tuples(st.sampled_from((b"accept", b"via", b"a")), st.sampled_from(ACCEPT))))
def test_lines_of_one_name_are_one_list(lines: list[tuple[bytes, bytes]]) -> None:
    combined = combine_headers(lines)
    assert combined.keys() == {name for name, _ in lines}
    for name, value in combined.items():
        assert value == b", ".join(line for other, line in lines if other == name)


def test_accept_in_two_lines_is_one_list() -> None:
    headers = combine_headers([(b"accept", b"image/avif,image/webp"), (b"accept", b"*/*;q=0.8")])
    assert accepted_formats(headers[b"accept"]) == ("avif", "webp")


@pytest.mark.parametrize("at", [0, 1])
def test_an_etag_matches_in_any_line(at: int) -> None:
    etags = [b'"other"', b'"other"']
    etags[at] = b'"mine"'
    headers = combine_headers([(b"if-none-match", etag) for etag in etags])
    assert not_modified(headers, '"mine"', "")
