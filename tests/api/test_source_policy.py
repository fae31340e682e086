"""The sources that callers of the APIs may name."""

import pytest

from proxy.api.http.source_policy import ApiSourcePolicy
from proxy.errors import InvalidSource, SourceForbidden
from proxy.originals import SourceRef, Upload

POLICY = ApiSourcePolicy(["logos"])


@pytest.mark.parametrize("text", ["https://a.example/b", "http://a.example/b", "logos:a/b.png"])
def test_urls_and_listed_aliases_are_allowed(text: str) -> None:
    POLICY.check(SourceRef(text))


@pytest.mark.parametrize("text", ["private:a.png", "Logos:a.png", "", "file:///a", "logos", ":a"])
def test_all_others_are_not(text: str) -> None:
    with pytest.raises(SourceForbidden, match="FRAMEKEEP_API_ALLOW_ALIASES"):
        ApiSourcePolicy().check(SourceRef(text))


def test_an_upload_is_allowed() -> None:
    POLICY.check(Upload.from_bytes(b"a"))


def test_http_can_be_off() -> None:
    policy = ApiSourcePolicy(allow_http=False)
    policy.check(SourceRef("https://a.example/"))
    with pytest.raises(SourceForbidden, match="must be https://"):
        policy.check(SourceRef("HTTP://a.example/"))


def test_a_url_must_be_valid() -> None:
    with pytest.raises(InvalidSource):
        POLICY.check(SourceRef("https://user@a.example/"))
