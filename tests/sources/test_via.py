"""Request loops."""

import pytest

from proxy.sources.net.via import PSEUDONYM, has_own_via


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
def test_own_requests_are_detected(via: str, ours: bool) -> None:
    assert has_own_via({b"via": via.encode()}) is ours


def test_a_request_without_via_is_not_ours() -> None:
    assert not has_own_via({})
