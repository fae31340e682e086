"""The native link: its grammar, its signature, its refusals."""

import base64
import hmac
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from proxy.errors import (
    InvalidLink,
    InvalidOperation,
    InvalidSignature,
    InvalidSource,
    LinkExpired,
    ProxyError,
)
from proxy.image_request import ImageRequest, ResponseOptions
from proxy.links.native import NativeDialect
from proxy.links.signing import Keyring
from proxy.operations import OPERATIONS
from proxy.operations.plan import Operation, OperationRegistry, Plan
from proxy.originals import SourceRef, Upload

Side = Annotated[int, Meta(ge=1, le=8192)]


class Frame(Operation, frozen=True):
    """Sides, one of them left out or not, and a word of a list."""

    width_in_px: Side | None = None
    height_in_px: Side | None = None
    fit: Literal["cover", "inside"] = "cover"


class Soften(Operation, frozen=True):
    """A number that must be given."""

    sigma: Annotated[float, Meta(gt=0, le=100)]


class Caption(Operation, frozen=True):
    """Any text, a place, a switch."""

    text: Annotated[str, Meta(min_length=1, max_length=40)]
    at: tuple[float, float] | None = None
    bold: bool = True
    language: Annotated[str, Meta(min_length=2, max_length=8)] = "en"


class Mirror(Operation, frozen=True):
    """Nothing to say."""


class Package(Operation, frozen=True):
    """A word with a default, and a number that may be left to us."""

    format: Literal["webp", "auto"] = "auto"
    quality: Annotated[int, Meta(ge=1, le=100)] | None = None


KINDS = (Frame, Soften, Caption, Mirror, Package)
KEY = b"k" * 16
URL = "https://images.example/u/42.jpg"


def native(**options: object) -> NativeDialect:
    options = {"sources": strategies.SOURCES, "now": lambda: 1000.0, **options}
    return NativeDialect(OperationRegistry(KINDS), Keyring([KEY]), **options)  # type: ignore[arg-type]


def unsigned(rest: str, **options: object) -> ImageRequest:
    return native(allow_unsigned=True, **options).parse(f"/_/{rest}".encode())


def refusal(rest: str, **options: object) -> ProxyError:
    with pytest.raises(ProxyError) as caught:
        unsigned(rest, **options)
    return caught.value


def signature(rest: bytes, key: bytes = KEY, taken: int = 16) -> bytes:
    mac = hmac.digest(key, rest, "sha256")[:taken]
    return base64.urlsafe_b64encode(mac).rstrip(b"=")


@given(strategies.jobs(KINDS))
def test_what_is_written_is_read(job: ImageRequest) -> None:
    assert native().parse(native().build(job).encode()) == job


@given(strategies.jobs(KINDS))
def test_a_link_travels_as_it_was_written(job: ImageRequest) -> None:
    """Nothing in it that a client would resolve, a proxy merge or a server strip."""
    link = native().build(job)
    assert link.isascii()
    path, _, query = link.partition("?")
    assert not {".", "..", "%2e", "%2e%2e"} & {part.lower() for part in path.split("/")}
    assert path.replace("://", ":/", 1).count("//") == 0
    assert "?" not in link or query


@given(st.binary(max_size=60))
def test_any_bytes_are_a_job_or_a_refusal(rest: bytes) -> None:
    with suppress(ProxyError):
        assert native(allow_unsigned=True).parse(b"/_/" + rest)


@given(strategies.jobs(OPERATIONS))
def test_every_operation_on_offer_can_be_written_and_read(job: ImageRequest) -> None:
    real = NativeDialect(OperationRegistry(OPERATIONS), Keyring([KEY]), sources=strategies.SOURCES)
    assert real.parse(real.build(job).encode()) == job


@given(strategies.operations(OPERATIONS))
def test_every_operation_says_the_same_in_json_as_in_a_link(operation: Operation) -> None:
    catalogue = OperationRegistry(OPERATIONS)
    told = msgspec.to_builtins(operation)
    assert catalogue.plan([told]).operations == (operation,)


# What equal wishes look like.

SAME = (
    f"frame:200:100:inside/{URL}",
    f"frame:200:100:fit=inside/{URL}",
    f"frame:width_in_px=200:height_in_px=100:fit=inside/{URL}",
    f"frame:fit=inside:height=100:width=200/{URL}",
    f"frame:2%300:100:%69nside/{URL}",
    f"fr%61me:200:100:inside/{URL}",
    f"frame:200:100:inside/{URL.replace('//', '/')}",
    f"frame:200:100:inside/{URL.replace('https', 'HTTPS')}",
    f"frame:200:100:inside/{quote(URL, safe='')}",
    f"frame:200:100:inside/{quote(URL, safe='').lower()}",
    f"frame:200:100:inside/b64:{base64.urlsafe_b64encode(URL.encode()).decode().rstrip('=')}",
    f"expires:2000/frame:200:100:inside/{URL}",
    f"filename:a.jpg/tag:x/frame:200:100:inside/{URL}",
    f"preset:small/{URL}",
)


@pytest.mark.parametrize("rest", SAME)
def test_equal_wishes_have_equal_keys(rest: str) -> None:
    assert (
        unsigned(rest, presets={"small": "frame:200:100:inside"}).key
        == ImageRequest(SourceRef(URL), Plan((Frame(200, 100, "inside"),))).key
    )


def test_defaults_spelled_out_change_nothing() -> None:
    assert unsigned(f"frame:200::cover/package:auto:/{URL}") == unsigned(f"frame:200/package/{URL}")


@pytest.mark.parametrize(
    "rest",
    [
        f"frame:200:101:inside/{URL}",
        f"frame:200:100:inside/mirror/{URL}",
        f"frame:200:100:inside/{URL}?v=2",
        f"v:2/frame:200:100:inside/{URL}",
        f"frame:200:100:inside/{URL.replace('https', 'http')}",
        "frame:200:100:inside/media:u/42.jpg",
    ],
)
def test_other_wishes_have_other_keys(rest: str) -> None:
    assert unsigned(rest).key != unsigned(SAME[0]).key


@given(strategies.jobs(KINDS), strategies.deliveries)
def test_what_is_said_of_the_answer_is_no_part_of_the_key(
    job: ImageRequest, delivery: ResponseOptions
) -> None:
    assert ImageRequest(job.source, job.plan, delivery).key == job.key


# Steps.


def test_steps_are_done_in_the_order_of_the_link() -> None:
    job = unsigned(f"mirror/soften:2/mirror/frame:10/{URL}")
    assert job.plan.operations == (Mirror(), Soften(2.0), Mirror(), Frame(10))


def test_a_value_may_hold_everything_when_percent_encoded() -> None:
    text = "50 % of a/b: c=d? #1, für Äpfel"
    assert unsigned(f"caption:{quote(text, safe='')}/{URL}").plan.operations == (Caption(text),)


def test_lists_and_switches() -> None:
    job = unsigned(f"caption:hi:0.25,1:false/{URL}")
    assert job.plan.operations == (Caption("hi", at=(0.25, 1.0), bold=False),)


def test_an_original_may_be_asked_for_as_it_is() -> None:
    assert unsigned(URL) == ImageRequest(SourceRef(URL))


# Sources.


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("https://a.example/x/y.jpg", "https://a.example/x/y.jpg"),
        ("http://a.example/x", "http://a.example/x"),
        ("http:/a.example/x", "http://a.example/x"),
        ("https://a.example/x?w=1&u=/b/c?d", "https://a.example/x?w=1&u=/b/c?d"),
        ("https://a.example/x%2Fy%20z?q=%2F", "https://a.example/x%2Fy%20z?q=%2F"),
        ("https://a.example//x//y", "https://a.example//x//y"),
        ("https://a.example/http:/y", "https://a.example/http:/y"),
        ("https%3A%2F%2Fa.example%2Fx%20y%3Fz%3D1", "https://a.example/x y?z=1"),
        ("media:a/b.jpg", "media:a/b.jpg"),
        ("media:a%2Fb%3F.jpg", "media:a/b?.jpg"),
        ("media%3Aa%2Fb.jpg", "media:a/b.jpg"),
        ("bucket-2:a:b=c", "bucket-2:a:b=c"),
        ("b64:bWVkaWE6YS9iLmpwZw", "media:a/b.jpg"),
        ("https://a.example/ä", "https://a.example/ä"),
    ],
)
def test_sources(word: str, text: str) -> None:
    assert unsigned(f"mirror/{word}").source == SourceRef(text)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("", "segment 3: the source is missing"),
        ("https://", "segment 3 ('https:'): a source is http(s)://"),
        ("media:", "a path is missing: media:PATH"),
        ("media", "a path is missing: media:PATH"),
        ("media:a?b", "write ? as %3F"),
        ("other:a/b", "no operation, link word or source is named 'other'"),
        ("b64:", "b64: takes base64url without padding"),
        ("b64:a+b", "b64: takes base64url without padding"),
        ("b64:bWVkaWE6YS9iLmpwZw==", "b64: takes base64url without padding"),
        ("b64:_____w", "b64: does not decode to UTF-8 text"),
        ("b64:bWVkaWE6YS9iLmpwZw/more", "nothing may follow an encoded source"),
        ("b64:Zm9vOmJhcg", "a source is http(s)://"),
        ("https%3A%2F%2Fa.example/x", "nothing may follow an encoded source"),
        ("https%3A%2F%2Fa.example?x", "write ? as %3F"),
        ("https%3A%2F%2F%ff", "percent-encoded bytes are not UTF-8"),
        ("media:a%00b", "control characters are not accepted"),
        ("media:100%", "after % stand two hexadecimal digits"),
        ("file:///etc/passwd", "no operation, link word or source is named 'file'"),
    ],
)
def test_what_is_no_source_is_refused(word: str, reason: str) -> None:
    assert reason in str(refusal(f"mirror/{word}"))


def test_a_job_can_be_told_by_its_parts() -> None:
    job = native(presets=PRESETS).make_request(URL, ["preset:card", "soften:sigma=2", "filename:a.webp"])
    assert job == unsigned(f"preset:card/soften:2/filename:a.webp/{URL}", presets=PRESETS)


def test_a_wrong_part_is_named() -> None:
    with pytest.raises(InvalidOperation, match=r"step 2 \('soften:0'\): soften: sigma: "):
        native().parse_plan(["mirror", "soften:0"])
    with pytest.raises(InvalidSource, match="a source is http"):
        native().make_request("example.com/a.jpg", [])


def test_an_upload_has_no_link() -> None:
    with pytest.raises(InvalidSource):
        native().build(ImageRequest(Upload(b"bytes")))


def test_an_address_of_an_unknown_source_has_no_link() -> None:
    with pytest.raises(InvalidSource):
        native().build(ImageRequest(SourceRef("other:a")))


# Refusals of steps.


@pytest.mark.parametrize(
    ("rest", "kind", "reason"),
    [
        ("", InvalidLink, "segment 2: the source is missing"),
        ("mirror", InvalidLink, "segment 3: the source is missing"),
        (f"frmae:200/{URL}", InvalidLink, "segment 2 ('frmae:200'): no operation"),
        (f"frmae:200/{URL}", InvalidLink, "did you mean 'frame'?"),
        (f"mirror//{URL}", InvalidLink, "segment 3 (''): an empty segment"),
        (f"frame:0:200/{URL}", InvalidOperation, "segment 2 ('frame:0:200'): frame: width_in_px: "),
        (f"frame:0:200/{URL}", InvalidOperation, ">= 1"),
        (f"frame:9000/{URL}", InvalidOperation, "<= 8192"),
        (f"frame:2e2/{URL}", InvalidOperation, "width_in_px"),
        (f"frame:1:1:cover:1/{URL}", InvalidOperation, "frame takes at most 3 values, not 4"),
        (f"frame:1:fit=cover:1/{URL}", InvalidOperation, "stands after a named value"),
        (f"frame:1:width=2/{URL}", InvalidOperation, "width_in_px is given twice"),
        (f"frame:colour=red/{URL}", InvalidOperation, "frame has no field 'colour'"),
        (f"soften/{URL}", InvalidOperation, "sigma is missing"),
        (f"mirror/soften:101/{URL}", InvalidOperation, "segment 3 ('soften:101'): soften: sigma: "),
        (f"caption:%zz/{URL}", InvalidLink, "after % stand two hexadecimal digits"),
        (f"caption:%ff/{URL}", InvalidLink, "not UTF-8"),
        (f"caption:a?b/{URL}", InvalidLink, "write ? as %3F"),
        (f"preset:none/{URL}", InvalidLink, "preset: there is none named 'none'"),
        (f"expires:soon/{URL}", InvalidLink, "expires: Unix seconds, a whole number"),
        (f"expires:-1/{URL}", InvalidLink, "expires: Unix seconds"),
        (f"expires:253402300800/{URL}", InvalidLink, "to 253402300799"),
        (
            f"expires:2000/expires:2000/{URL}",
            InvalidLink,
            "segment 3 ('expires:2000'): expires is given",
        ),
        (f"v:/{URL}", InvalidLink, "v: 1 to 64 characters, not 0"),
        (f"v:{'x' * 65}/{URL}", InvalidLink, "v: 1 to 64 characters, not 65"),
        (f"filename:a%0d%0ab/{URL}", InvalidLink, "control characters"),
        (f"debug:1/{URL}", InvalidLink, "debug: it takes no value"),
        (f"debug/debug/{URL}", InvalidLink, "debug is given twice"),
        (f"filename:a%2Fb/{URL}", InvalidLink, "filename: no slashes"),
        (f"filename:a%22b/{URL}", InvalidLink, "filename: no slashes, backslashes, quotes"),
        (f"filename:{'x' * 201}/{URL}", InvalidLink, "filename: 1 to 200 characters"),
        (f"tag:a,b/{URL}", InvalidLink, "tag: 1 to 64 visible ASCII"),
        (f"{'tag:x/' * 17}{URL}", InvalidLink, "segment 18 ('tag:x'): tag: at most 16"),
        (
            f"{'mirror/' * 31}{URL}",
            InvalidOperation,
            "segment 32 ('mirror'): a plan has at most 30",
        ),
    ],
)
def test_wrong_links_are_answered_with_segment_reason_and_bound(
    rest: str, kind: type[ProxyError], reason: str
) -> None:
    error = refusal(rest)
    assert isinstance(error, kind)
    assert reason in str(error)


def test_thirty_operations_and_any_link_words_pass() -> None:
    assert len(unsigned(f"v:1/{'mirror/' * 30}tag:x/{URL}").plan.operations) == 30


def test_nothing_of_a_link_comes_back_as_markup() -> None:
    assert "<" not in str(refusal(f"<script>alert(1)<%2Fscript>/{URL}"))


def test_a_long_segment_comes_back_short() -> None:
    assert len(str(refusal(f"{'x' * 5000}/{URL}"))) < 200


def test_a_refused_operation_says_which_and_which_field() -> None:
    error = refusal(f"mirror/frame:0/{URL}")
    assert isinstance(error, InvalidOperation)
    assert (error.operation, error.field) == (1, "width_in_px")


# Link words.


def test_what_a_link_says_of_its_answer() -> None:
    job = unsigned(f"v:7/expires:2000/filename:m%C3%BCtze.jpg/tag:u42/debug/{URL}")
    assert job == ImageRequest(
        SourceRef(URL, version="7"),
        response_options=ResponseOptions(
            expires=2000, filename="mütze.jpg", tags=("tag:u42",), debug=True
        ),
    )


def test_an_expired_link_says_until_when_it_was_good() -> None:
    assert unsigned(f"expires:1001/{URL}").response_options.expires == 1001
    error = refusal(f"expires:1000/{URL}")
    assert isinstance(error, LinkExpired)
    assert "1970-01-01 00:16:40 UTC" in str(error)


PRESETS = {
    "card": "preset:base/package:webp",
    "base": "frame:400:300/v:3/tag:cards",
    "other": "/soften:1/",
}


def test_presets_expand_in_place_and_label_what_they_made() -> None:
    job = unsigned(f"mirror/preset:card/preset:other/{URL}", presets=PRESETS)
    assert job.plan.operations == (Mirror(), Frame(400, 300), Package("webp"), Soften(1.0))
    assert job.source == SourceRef(URL, version="3")
    assert job.response_options.tags == ("preset:card", "preset:base", "tag:cards", "preset:other")


def test_operations_of_presets_count() -> None:
    assert "at most 30" in str(refusal(f"{'mirror/' * 29}preset:card/{URL}", presets=PRESETS))


@pytest.mark.parametrize(
    ("presets", "reason"),
    [
        ({"a": "preset:b", "b": "preset:c", "c": "preset:a"}, "a > b > c > a is a circle"),
        ({"a": "preset:a"}, "presets: a > a is a circle"),
        ({"a": "frame:0"}, "preset 'a': 'frame:0': frame: width_in_px"),
        ({"a": "preset:b"}, "preset 'a': 'preset:b': preset: there is none named 'b'"),
        ({"a": ""}, "preset 'a': '': an empty segment"),
        ({"a/b": "mirror"}, "a name is 1 to 64 of"),
    ],
)
def test_wrong_presets_are_refused_at_the_start(presets: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("(", r"\(")):
        native(presets=presets)


@pytest.mark.parametrize("name", ["frame", "preset", "b64", "https", "upload"])
def test_a_source_cannot_take_a_word_of_the_grammar(name: str) -> None:
    with pytest.raises(ValueError, match=f"cannot be named '{name}'"):
        native(sources=(name,))


# Signatures.

REST = f"/frame:200:100/{URL}?a=1&b=/2".encode()


@pytest.mark.parametrize("taken", [16, 32])
def test_a_signed_link_is_read(taken: int) -> None:
    assert native().parse(b"/" + signature(REST, taken=taken) + REST).source.key


def test_merged_slashes_are_restored_before_the_signature_is_checked() -> None:
    merged = REST.replace(b"://", b":/")
    assert native().parse(b"/" + signature(REST) + merged) == native().parse(
        b"/" + signature(REST) + REST
    )


def test_a_signature_over_merged_slashes_is_none() -> None:
    merged = REST.replace(b"://", b":/")
    with pytest.raises(InvalidSignature):
        native().parse(b"/" + signature(merged) + merged)


def variants() -> Iterator[bytes]:
    """Paths that nobody signed, near to one that somebody did."""
    good = signature(REST)
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    yield from (b"/" + good[:-1] + bytes([last]) + REST for last in alphabet if last != good[-1])
    for at in range(len(good)):
        yield b"/" + good[:at] + good[at + 1 :] + REST
        yield (
            b"/" + good[:at] + (b"A" if good[at : at + 1] != b"A" else b"B") + good[at + 1 :] + REST
        )
        yield b"/" + good[:at] + b"%%%02X" % good[at] + good[at + 1 :] + REST
    yield from (
        b"/" + signature(REST, taken=taken) + REST for taken in (*range(16), *range(17, 32))
    )
    yield from (
        b"/" + signature(REST) + REST[:at] + b"x" + REST[at:] for at in range(1, len(REST) + 1)
    )
    yield from (b"/" + signature(REST) + REST[:at] for at in range(len(REST)))
    whole = hmac.digest(KEY, REST, "sha256")
    for spelling in (
        *(good + tail for tail in (b"=", b"==", b"\n", b"A", b"/" + good)),
        *(b" " + good, good.lower(), good.upper()),
        *(b"", b"_", b"__", b"unsafe", b"insecure"),
        signature(REST, key=b"o" * 16),
        signature(REST[1:]),
        signature(b"/" + good + REST),
        signature(REST.partition(b"?")[0]),
        signature(URL.encode()),
        signature(REST, taken=32)[:-1],
        signature(REST, taken=32) + b"=",
        base64.b64encode(whole),
        whole.hex().encode(),
        base64.urlsafe_b64encode(hmac.digest(KEY, REST, "sha1")),
    ):
        if spelling != good:
            yield b"/" + spelling + REST
    yield b"//" + good + REST
    yield good + REST
    yield b"/" + good + b"/" + REST
    yield REST
    yield b""
    yield b"/"
    yield b"/" + good + REST.replace(b"frame", b"fr%61me")
    yield b"/" + good + REST + b"#"
    yield b"/" + good + REST.replace(b"https", b"HTTPS")


def test_there_are_many_variants() -> None:
    assert len(set(variants())) > 250


@pytest.mark.parametrize("path", sorted(set(variants())))
def test_what_nobody_signed_is_refused(path: bytes) -> None:
    with pytest.raises(InvalidSignature):
        native().parse(path)


@pytest.mark.parametrize("path", [b"/", b"/frame:200/" + URL.encode(), b"/favicon.ico", b""])
def test_a_link_without_a_signature_says_so(path: bytes) -> None:
    with pytest.raises(InvalidSignature, match="the signature segment is missing"):
        native(allow_unsigned=True).parse(path)


def test_unsigned_links_need_the_operators_word() -> None:
    with pytest.raises(InvalidSignature, match="unsigned links are not accepted here"):
        native().parse(b"/_/" + URL.encode())


def test_strangers_do_not_reach_the_grammar() -> None:
    with pytest.raises(InvalidSignature):
        native().parse(b"/" + b"A" * 22 + b"/no-such-operation/%zz/\xff")


def test_the_length_is_bounded_before_anything_is_looked_at() -> None:
    with pytest.raises(InvalidLink, match="at most 300 bytes, not 301"):
        native(path_bytes=300).parse(b"/" + b"x" * 300)


def test_without_keys_links_are_written_unsigned() -> None:
    open_native = NativeDialect(OperationRegistry(KINDS), Keyring([]), allow_unsigned=True)
    assert (
        open_native.build(ImageRequest(SourceRef(URL), Plan((Frame(10),)))) == f"/_/frame:10/{URL}"
    )
