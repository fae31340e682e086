"""Signed paths that CDNs and proxies have rewritten verify, as what they were, and nothing else."""

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote

import pytest
import strategies
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.errors import InvalidSignature
from proxy.image_request import ImageRequest
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.native import NativeDialect
from proxy.links.repair import repaired_paths
from proxy.links.signing import Keyring
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry
from proxy.operations.resize import Resize
from proxy.operations.text import Text

MAX_REPAIRS = 12
KEY, OTHER_KEY = b"k" * 16, b"o" * 16
NATIVE = NativeDialect(
    DialectContext(
        OperationRegistry(OPERATIONS), LinksConfig((KEY.hex(),)), aliases=strategies.ALIASES
    )
)


def signature(rest: bytes, key: bytes = KEY) -> bytes:
    return Keyring([key]).sign(rest).encode()


class Rewriting(NamedTuple):
    """What a CDN or proxy does to a path, and what the path must not have had before."""

    rewrite: Callable[[bytes], bytes]
    unrepairable: bytes = b"(?!)"


def on_escapes(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    return lambda path: re.sub(rb"%[0-9A-F]{2}", lambda found: change(found[0]), path)


REWRITINGS = {
    "slashes merged": Rewriting(lambda path: re.sub(rb"//+", b"/", path)),
    "colon escaped": Rewriting(lambda path: path.replace(b":", b"%3A"), rb"%3A|%2F"),
    "colon escaped in lower case": Rewriting(lambda path: path.replace(b":", b"%3a")),
    "colon escaped, slashes merged": Rewriting(
        lambda path: path.replace(b"://", b"%3A/").replace(b":", b"%3A"), rb"%3A|%2F"
    ),
    "colon and slashes of the URL escaped": Rewriting(
        lambda path: path.replace(b"://", b"%3A%2F%2F"), rb"%3A|%2F"
    ),
    "colon and slashes of the URL escaped in lower case": Rewriting(
        lambda path: path.replace(b"://", b"%3a%2f%2f")
    ),
    "all slashes of the URL escaped": Rewriting(
        lambda path: (
            path[: (at := path.find(b"http"))] + quote(path[at:], safe="?&=").encode()
            if b"/http" in path
            else path
        ),
        rb"%",
    ),
    "everything escaped that may be": Rewriting(
        lambda path: quote(path, safe="/").encode(), rb"%(?!20)"
    ),
    "escaped once more": Rewriting(lambda path: quote(path, safe="/").encode()),
    "escapes in lower case": Rewriting(on_escapes(bytes.lower), rb"%(?:[a-f].|.[a-f])"),
    "plus for a space": Rewriting(lambda path: path.replace(b"%20", b"+"), rb"\+"),
    "space for a plus": Rewriting(lambda path: path.replace(b"+", b"%20"), rb"%20"),
}


@pytest.mark.parametrize("rewriting", REWRITINGS.values(), ids=REWRITINGS)
@given(request=strategies.image_requests((Resize, Text)))
def test_a_rewritten_link_is_the_same_request(rewriting: Rewriting, request: ImageRequest) -> None:
    _, signed_by, rest = NATIVE.build(request).encode().split(b"/", 2)
    rest = b"/" + rest
    assume(not re.search(rewriting.unrepairable, rest))
    parsed = NATIVE.parse(b"/" + signed_by + rewriting.rewrite(rest))
    assert parsed == request
    assert parsed.key == request.key


@pytest.mark.parametrize("rewriting", REWRITINGS.values(), ids=REWRITINGS)
@given(request=strategies.image_requests((Resize, Text)), data=st.data())
def test_a_changed_link_does_not_verify_however_it_is_rewritten(
    rewriting: Rewriting, request: ImageRequest, data: st.DataObject
) -> None:
    rest = b"/" + NATIVE.build(request).encode().split(b"/", 2)[2]
    at = data.draw(st.integers(1, len(rest)))
    changed = rest[:at] + data.draw(st.sampled_from([b"x", b"Z", b"7"])) + rest[at:]
    for path in (
        b"/" + signature(rest) + rewriting.rewrite(changed),
        b"/" + signature(rest, key=OTHER_KEY) + rewriting.rewrite(rest),
    ):
        with pytest.raises(InvalidSignature):
            NATIVE.parse(path)


@pytest.mark.parametrize(
    ("signed", "sent"),
    [
        (b"/resize:20/https%3A%2F%2Fa.example%2Fb", b"/resize%3A20/https%3A%2F%2Fa.example%2Fb"),
        (b"/resize:20/https%3A%2F%2Fa.example%2Fb", b"/resize:20/https%3a%2f%2fa.example%2fb"),
        (b"/resize:20/https%3a%2f%2fa.example%2fb", b"/resize:20/https%3A%2F%2Fa.example%2Fb"),
        (b"/resize:20/https://a.example/b?c=d", b"/resize:20/https%3A//a.example/b%3Fc%3Dd"),
        ("/resize:20/https://a.example/é".encode(), b"/resize:20/https://a.example/%C3%A9"),
        (b"/resize:20/https://a.example/%C3%A9", b"/resize%3a20/https:/a.example/%c3%a9"),
    ],
)
def test_rewritten_paths_of_other_signers(signed: bytes, sent: bytes) -> None:
    link = b"/" + signature(signed)
    assert NATIVE.parse(link + sent).key == NATIVE.parse(link + signed).key


@pytest.mark.parametrize(
    ("signed", "sent"),
    [
        (b"/resize:20/https%3A%2F%2Fa.example%2Fb", b"/resize:20/https://a.example/b"),
        (b"/text:a%3Ab/https://a.example/b", b"/text%3Aa%3Ab/https%3A//a.example/b"),
        (b"/resize:20/https://a.example/b", b"/r%65size:20/https://a.example/b"),
        (b"/resize:20/https://a.example/b", b"/resize:20/https://a.example/b?utm=1"),
    ],
)
def test_what_cannot_be_repaired_is_an_invalid_signature(signed: bytes, sent: bytes) -> None:
    with pytest.raises(InvalidSignature):
        NATIVE.parse(b"/" + signature(signed) + sent)


@given(st.binary(max_size=200))
def test_the_guesses_are_few_and_differ(path: bytes) -> None:
    guesses = list(repaired_paths(path))
    assert len(guesses) <= MAX_REPAIRS
    assert len({path, *guesses}) == len(guesses) + 1
