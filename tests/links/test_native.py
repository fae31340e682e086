"""The native dialect: its grammar, its signature, its errors."""

import base64
import hmac
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal
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
from proxy.limits import Limits
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.native import NativeDialect
from proxy.operations import OPERATIONS
from proxy.operations.operation import Operation
from proxy.operations.plan import Plan
from proxy.operations.registry import OperationRegistry
from proxy.originals import SourceRef, Upload

Side = Annotated[int, Meta(ge=1, le=8192)]


class Frame(Operation, frozen=True):
    """Optional sides, and a literal."""

    width_in_px: Side | None = None
    height_in_px: Side | None = None
    fit: Literal["cover", "inside"] = "cover"


class Soften(Operation, frozen=True):
    """A required number."""

    sigma: Annotated[float, Meta(gt=0, le=100)]


class Caption(Operation, frozen=True):
    """Any text, a position, a flag."""

    text: Annotated[str, Meta(min_length=1, max_length=40)]
    at: tuple[float, float] | None = None
    bold: bool = True
    language: Annotated[str, Meta(min_length=2, max_length=8)] = "en"


class Mirror(Operation, frozen=True):
    """No arguments."""


class Package(Operation, frozen=True):
    """A literal with a default, and an optional number."""

    format: Literal["webp", "auto"] = "auto"
    quality: Annotated[int, Meta(ge=1, le=100)] | None = None


KINDS = (Frame, Soften, Caption, Mirror, Package)
KEY = b"k" * 16
URL = "https://images.example/u/42.jpg"


def context(
    kinds: Sequence[type[Operation]] = KINDS,
    *,
    keys: Sequence[bytes] = (KEY,),
    aliases: Collection[str] = strategies.ALIASES,
    presets: Mapping[str, str] | None = None,
    allow_unsigned: bool = False,
    max_url_bytes: int = 8192,
) -> DialectContext:
    config = LinksConfig(tuple(key.hex() for key in keys), allow_unsigned, dict(presets or {}))
    limits = Limits(max_url_bytes=max_url_bytes)
    return DialectContext(OperationRegistry(kinds), config, aliases=aliases, limits=limits)


def native(**options: Any) -> NativeDialect:
    return NativeDialect(context(**options), now=lambda: 1000.0)


def parse_unsigned(rest: str, **options: Any) -> ImageRequest:
    return native(allow_unsigned=True, **options).parse(f"/_/{rest}".encode())


def parse_error(rest: str, **options: Any) -> ProxyError:
    with pytest.raises(ProxyError) as caught:
        parse_unsigned(rest, **options)
    return caught.value


def signature(rest: bytes, key: bytes = KEY, taken: int = 16) -> bytes:
    mac = hmac.digest(key, rest, "sha256")[:taken]
    return base64.urlsafe_b64encode(mac).rstrip(b"=")


@given(strategies.image_requests(KINDS))
def test_a_built_link_parses_to_the_same_request(request: ImageRequest) -> None:
    assert native().parse(native().build(request).encode()) == request


@given(strategies.image_requests(KINDS))
def test_a_built_link_survives_clients_and_proxies(request: ImageRequest) -> None:
    """It has nothing that a client would resolve, a proxy merge or a server strip."""
    link = native().build(request)
    assert link.isascii()
    path, _, query = link.partition("?")
    assert not {".", "..", "%2e", "%2e%2e"} & {part.lower() for part in path.split("/")}
    assert path.replace("://", ":/", 1).count("//") == 0
    assert "?" not in link or query


@given(st.binary(max_size=60))
def test_any_bytes_are_a_request_or_an_error(rest: bytes) -> None:
    with suppress(ProxyError):
        assert native(allow_unsigned=True).parse(b"/_/" + rest)


@given(strategies.image_requests(OPERATIONS))
def test_every_operation_can_be_built_and_parsed(request: ImageRequest) -> None:
    dialect = native(kinds=OPERATIONS)
    assert dialect.parse(dialect.build(request).encode()) == request


@given(strategies.operations(OPERATIONS))
def test_every_operation_is_the_same_in_json_and_in_a_link(operation: Operation) -> None:
    as_json = msgspec.to_builtins(operation)
    assert OperationRegistry(OPERATIONS).plan([as_json]).operations == (operation,)


# Equal requests.

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
def test_equal_requests_have_equal_cache_keys(rest: str) -> None:
    assert (
        parse_unsigned(rest, presets={"small": "frame:200:100:inside"}).key
        == ImageRequest(SourceRef(URL), Plan((Frame(200, 100, "inside"),))).key
    )


def test_explicit_defaults_change_nothing() -> None:
    assert parse_unsigned(f"frame:200::cover/package:auto:/{URL}") == parse_unsigned(
        f"frame:200/package/{URL}"
    )


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
def test_different_requests_have_different_cache_keys(rest: str) -> None:
    assert parse_unsigned(rest).key != parse_unsigned(SAME[0]).key


@given(strategies.image_requests(KINDS), strategies.response_options)
def test_response_options_are_not_part_of_the_cache_key(
    request: ImageRequest, options: ResponseOptions
) -> None:
    assert ImageRequest(request.source, request.plan, options).key == request.key


# Steps.


def test_operations_keep_the_order_of_the_link() -> None:
    request = parse_unsigned(f"mirror/soften:2/mirror/frame:10/{URL}")
    assert request.plan.operations == (Mirror(), Soften(2.0), Mirror(), Frame(10))


def test_a_percent_encoded_value_may_contain_any_character() -> None:
    text = "50 % of a/b: c=d? #1, für Äpfel"
    assert parse_unsigned(f"caption:{quote(text, safe='')}/{URL}").plan.operations == (
        Caption(text),
    )


def test_lists_and_switches() -> None:
    request = parse_unsigned(f"caption:hi:0.25,1:false/{URL}")
    assert request.plan.operations == (Caption("hi", at=(0.25, 1.0), bold=False),)


def test_a_link_without_steps_requests_the_original() -> None:
    assert parse_unsigned(URL) == ImageRequest(SourceRef(URL))


# Sources.


@pytest.mark.parametrize(
    ("encoded", "text"),
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
def test_every_encoding_of_a_source_is_parsed(encoded: str, text: str) -> None:
    assert parse_unsigned(f"mirror/{encoded}").source == SourceRef(text)


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("", "segment 3: source missing"),
        ("https://", "segment 3 ('https:'): invalid source"),
        ("media:", "source path missing: write media:path"),
        ("media", "source path missing: write media:path"),
        ("media:a?b", "write ? as %3F"),
        ("other:a/b", "unknown operation, link option or source alias 'other'"),
        ("b64:", "b64: must be base64url without padding"),
        ("b64:a+b", "b64: must be base64url without padding"),
        ("b64:bWVkaWE6YS9iLmpwZw==", "b64: must be base64url without padding"),
        ("b64:_____w", "b64: does not decode to UTF-8 text"),
        ("b64:bWVkaWE6YS9iLmpwZw/more", "unexpected path segment after an encoded source"),
        ("b64:Zm9vOmJhcg", "write an http(s):// URL"),
        ("https%3A%2F%2Fa.example/x", "unexpected path segment after an encoded source"),
        ("https%3A%2F%2Fa.example?x", "write ? as %3F"),
        ("https%3A%2F%2F%ff", "invalid percent-encoding: the decoded bytes are not UTF-8"),
        ("media:a%00b", "control characters are not allowed"),
        ("media:100%", "two hexadecimal digits must follow %"),
        ("file:///etc/passwd", "unknown operation, link option or source alias 'file'"),
    ],
)
def test_an_invalid_source_is_an_error(encoded: str, reason: str) -> None:
    assert reason in str(parse_error(f"mirror/{encoded}"))


def test_a_request_is_made_from_a_source_and_steps() -> None:
    request = context(presets=PRESETS).make_request(
        URL, ["preset:card", "soften:sigma=2", "filename:a.webp"]
    )
    assert request == parse_unsigned(f"preset:card/soften:2/filename:a.webp/{URL}", presets=PRESETS)


def test_an_invalid_step_is_named() -> None:
    with pytest.raises(InvalidOperation, match=r"step 2 \('soften:0'\): soften: sigma: "):
        context().steps.parse(["mirror", "soften:0"])
    with pytest.raises(InvalidSource, match="invalid source"):
        context().make_request("example.com/a.jpg", [])


def test_an_upload_has_no_link() -> None:
    with pytest.raises(InvalidSource):
        native().build(ImageRequest(Upload.from_bytes(b"bytes")))


def test_an_unknown_alias_has_no_link() -> None:
    with pytest.raises(InvalidSource):
        native().build(ImageRequest(SourceRef("other:a")))


# Invalid steps.


@pytest.mark.parametrize(
    ("rest", "kind", "reason"),
    [
        ("", InvalidLink, "segment 2: source missing"),
        ("mirror", InvalidLink, "segment 3: source missing"),
        (f"frmae:200/{URL}", InvalidLink, "segment 2 ('frmae:200'): unknown operation"),
        (f"frmae:200/{URL}", InvalidLink, "did you mean 'frame'?"),
        (f"mirror//{URL}", InvalidLink, "segment 3 (''): empty path segment"),
        (f"frame:0:200/{URL}", InvalidOperation, "segment 2 ('frame:0:200'): frame: width_in_px: "),
        (f"frame:0:200/{URL}", InvalidOperation, "from 1 to 8192, not '0'"),
        (f"frame:9000/{URL}", InvalidOperation, "from 1 to 8192, not '9000'"),
        (f"frame:2e2/{URL}", InvalidOperation, "width_in_px"),
        (f"frame:1:1:cover:1/{URL}", InvalidOperation, "frame takes at most 3 values, not 4"),
        (f"frame:1:fit=cover:1/{URL}", InvalidOperation, "follows a named value and has no name"),
        (f"frame:1:width=2/{URL}", InvalidOperation, "width_in_px is given twice"),
        (f"frame:colour=red/{URL}", InvalidOperation, "frame has no field 'colour'"),
        (f"soften/{URL}", InvalidOperation, "sigma is missing"),
        (f"mirror/soften:101/{URL}", InvalidOperation, "segment 3 ('soften:101'): soften: sigma: "),
        (f"caption:%zz/{URL}", InvalidLink, "two hexadecimal digits must follow %"),
        (f"caption:%ff/{URL}", InvalidLink, "not UTF-8"),
        (f"caption:a?b/{URL}", InvalidLink, "write ? as %3F"),
        (f"preset:none/{URL}", InvalidLink, "preset: unknown name 'none'"),
        (f"expires:soon/{URL}", InvalidLink, "expires: must be a Unix time in whole seconds"),
        (f"expires:-1/{URL}", InvalidLink, "expires: must be a Unix time"),
        (f"expires:253402300800/{URL}", InvalidLink, "to 253402300799"),
        (
            f"expires:2000/expires:2000/{URL}",
            InvalidLink,
            "segment 3 ('expires:2000'): expires is given twice",
        ),
        (f"v:/{URL}", InvalidLink, "v: must have 1 to 64 characters, not 0"),
        (f"v:{'x' * 65}/{URL}", InvalidLink, "v: must have 1 to 64 characters, not 65"),
        (f"filename:a%0d%0ab/{URL}", InvalidLink, "control characters"),
        (f"debug:1/{URL}", InvalidLink, "debug: takes no value"),
        (f"debug/debug/{URL}", InvalidLink, "debug is given twice"),
        (f"filename:a%2Fb/{URL}", InvalidLink, "filename: no slashes"),
        (f"filename:a%22b/{URL}", InvalidLink, "filename: no slashes, backslashes, quotes"),
        (f"filename:{'x' * 201}/{URL}", InvalidLink, "filename: must have 1 to 200 characters"),
        (f"tag:a,b/{URL}", InvalidLink, "tag: must be 1 to 64 visible ASCII"),
        (f"{'tag:x/' * 17}{URL}", InvalidLink, "segment 18 ('tag:x'): tag: at most 16"),
        (
            f"{'mirror/' * 31}{URL}",
            InvalidOperation,
            "segment 32 ('mirror'): a plan has at most 30",
        ),
    ],
)
def test_errors_name_the_segment_the_reason_and_the_limit(
    rest: str, kind: type[ProxyError], reason: str
) -> None:
    error = parse_error(rest)
    assert isinstance(error, kind)
    assert reason in str(error)


def test_link_options_do_not_count_as_operations() -> None:
    assert len(parse_unsigned(f"v:1/{'mirror/' * 30}tag:x/{URL}").plan.operations) == 30


def test_errors_do_not_repeat_markup() -> None:
    assert "<" not in str(parse_error(f"<script>alert(1)<%2Fscript>/{URL}"))


def test_errors_shorten_long_segments() -> None:
    assert len(str(parse_error(f"{'x' * 5000}/{URL}"))) < 200


def test_an_invalid_operation_has_its_index_and_field() -> None:
    error = parse_error(f"mirror/frame:0/{URL}")
    assert isinstance(error, InvalidOperation)
    assert (error.operation, error.field) == (1, "width_in_px")


# Link options.


def test_link_options_are_parsed() -> None:
    request = parse_unsigned(f"v:7/expires:2000/filename:m%C3%BCtze.jpg/tag:u42/debug/{URL}")
    assert request == ImageRequest(
        SourceRef(URL, version="7"),
        response_options=ResponseOptions(
            expires=2000, filename="mütze.jpg", tags=("tag:u42",), debug=True
        ),
    )


def test_a_link_names_its_fallback_image() -> None:
    config = LinksConfig(
        (KEY.hex(),), fallbacks={"avatar": URL}, presets={"small": "frame:40/fallback:avatar"}
    )
    shared = DialectContext(OperationRegistry(KINDS), config)
    dialect = NativeDialect(shared)
    for step in ("fallback:avatar", "preset:small"):
        request = shared.make_request(URL, [step])
        assert request.response_options.fallback == "avatar"
        assert dialect.parse(dialect.build(request).encode()).key == request.key
        assert "/fallback:avatar/" in dialect.build(request)
    with pytest.raises(InvalidLink, match="the fallback images of this server are: avatar"):
        shared.make_request(URL, ["fallback:photo"])


def test_an_expired_link_names_its_time() -> None:
    assert parse_unsigned(f"expires:1001/{URL}").response_options.expires == 1001
    error = parse_error(f"expires:1000/{URL}")
    assert isinstance(error, LinkExpired)
    assert "1970-01-01 00:16:40 UTC" in str(error)


PRESETS = {
    "card": "preset:base/package:webp",
    "base": "frame:400:300/v:3/tag:cards",
    "other": "/soften:1/",
}


def test_presets_expand_in_place_and_add_their_tags() -> None:
    request = parse_unsigned(f"mirror/preset:card/preset:other/{URL}", presets=PRESETS)
    assert request.plan.operations == (Mirror(), Frame(400, 300), Package("webp"), Soften(1.0))
    assert request.source == SourceRef(URL, version="3")
    assert request.response_options.tags == (
        "preset:card",
        "preset:base",
        "tag:cards",
        "preset:other",
    )


def test_operations_of_presets_count_towards_the_limit() -> None:
    assert "at most 30" in str(parse_error(f"{'mirror/' * 29}preset:card/{URL}", presets=PRESETS))


@pytest.mark.parametrize(
    ("presets", "reason"),
    [
        ({"a": "preset:b", "b": "preset:c", "c": "preset:a"}, "preset cycle: a > b > c > a"),
        ({"a": "preset:a"}, "preset cycle: a > a"),
        ({"a": "frame:0"}, "preset 'a': 'frame:0': frame: width_in_px"),
        ({"a": "preset:b"}, "preset 'a': 'preset:b': preset: unknown name 'b'"),
        ({"a": ""}, "preset 'a': '': empty path segment"),
        ({"a/b": "mirror"}, "a name is 1 to 64 of"),
    ],
)
def test_invalid_presets_are_an_error_at_startup(presets: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("(", r"\(")):
        native(presets=presets)


@pytest.mark.parametrize("alias", ["frame", "preset", "b64", "https", "upload"])
def test_an_alias_cannot_be_a_word_of_the_grammar(alias: str) -> None:
    with pytest.raises(ValueError, match=f"source alias '{alias}'"):
        native(aliases=(alias,))


# Signatures.

REST = f"/frame:200:100/{URL}?a=1&b=/2".encode()


@pytest.mark.parametrize("taken", [16, 32])
def test_a_signed_link_is_parsed(taken: int) -> None:
    assert native().parse(b"/" + signature(REST, taken=taken) + REST).source.key


def test_merged_slashes_are_restored_before_the_signature_is_checked() -> None:
    merged = REST.replace(b"://", b":/")
    assert native().parse(b"/" + signature(REST) + merged) == native().parse(
        b"/" + signature(REST) + REST
    )


def test_a_signature_over_merged_slashes_covers_no_source() -> None:
    merged = REST.replace(b"://", b":/")
    with pytest.raises(InvalidSource):
        native().parse(b"/" + signature(merged) + merged)


def variants() -> Iterator[bytes]:
    """Paths that differ a little from a signed one."""
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
    full_mac = hmac.digest(KEY, REST, "sha256")
    for forged in (
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
        base64.b64encode(full_mac),
        full_mac.hex().encode(),
        base64.urlsafe_b64encode(hmac.digest(KEY, REST, "sha1")),
    ):
        if forged != good:
            yield b"/" + forged + REST
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
def test_a_modified_link_is_an_invalid_signature(path: bytes) -> None:
    with pytest.raises(InvalidSignature):
        native().parse(path)


@pytest.mark.parametrize("path", [b"/", b"/frame:200/" + URL.encode(), b"/favicon.ico", b""])
def test_a_missing_signature_is_named(path: bytes) -> None:
    with pytest.raises(InvalidSignature, match="signature missing"):
        native(allow_unsigned=True).parse(path)


def test_unsigned_links_are_off_by_default() -> None:
    with pytest.raises(InvalidSignature, match="unsigned links are not allowed here"):
        native().parse(b"/_/" + URL.encode())


def test_nothing_is_parsed_before_the_signature_is_verified() -> None:
    with pytest.raises(InvalidSignature):
        native().parse(b"/" + b"A" * 22 + b"/no-such-operation/%zz/\xff")


def test_the_length_is_checked_first() -> None:
    with pytest.raises(InvalidLink, match="301 bytes, at most 300 bytes"):
        native(max_url_bytes=300).parse(b"/" + b"x" * 300)


def test_links_are_built_unsigned_without_keys() -> None:
    dialect = native(keys=(), allow_unsigned=True)
    assert dialect.build(ImageRequest(SourceRef(URL), Plan((Frame(10),)))) == f"/_/frame:10/{URL}"
