"""Requests that come back to us."""

import pytest

from proxy.sources.net.via import PSEUDONYM, came_from_us


@pytest.mark.parametrize(
    ("via", "ours"),
    [
        ("", False),
        ("1.1 varnish", False),
        ("1.1 framekeeper", False),
        ("1.1 varnish (framekeep)", False),
        (f"1.1 {PSEUDONYM}", True),
        (f"1.0 fred, 1.1 {PSEUDONYM} (comment), 2 cdn", True),
        ("HTTP/1.1 FrameKeep", True),
        ("framekeep", False),
    ],
)
def test_we_know_our_own_requests(via: str, ours: bool) -> None:
    assert came_from_us(via) is ours
