"""Unsigned links are bounded by presets and lists, for each source."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ConfigError, InvalidLink, InvalidSignature, ProxyError
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.native import NativeDialect
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry

HOST = "https://cdn.example.com/42.jpg"
BOUNDS: dict[str, Any] = {
    "media:": {},
    "cdn.example.com": {
        "operations": ["resize", "convert", "smart_crop", "upscale", "watermark", "blur:5"],
        "widths": [320, 640],
        "heights": [200],
        "qualities": [80, "good"],
        "formats": ["webp", "auto"],
    },
}


def native(
    bounds: dict[str, Any] = BOUNDS, *, allow_unsigned: bool = False, default: str = ""
) -> NativeDialect:
    presets = {"card": "resize:77:77/blur:3", "grid": "resize:{10,20}"}
    config = LinksConfig(
        keys=("0f" * 16,),
        allow_unsigned=allow_unsigned,
        presets=presets | ({"default": default} if default else {}),
        unsigned=msgspec.convert(bounds, LinksConfig.__annotations__["unsigned"].__origin__),
        fallbacks={"gray": "media:gray.png"},
    )
    registry = OperationRegistry(OPERATIONS)
    context = DialectContext(registry, config, aliases=("media", "other"))
    return NativeDialect(context, now=lambda: 0.0)


NATIVE = native()


@pytest.mark.parametrize(
    "rest",
    [
        f"resize:320/{HOST}",
        f"resize:640:200/convert:webp:80/{HOST}",
        f"resize:640::inside/convert:auto:good/{HOST}",
        f"smart_crop:320:200:face/blur:5/{HOST}",
        f"smart_crop:320:200:center/{HOST}",
        f"convert:webp:lossless=true/{HOST}",
        f"dpr:2/resize:160:100/{HOST}",
        f"choose:320/resize:{{320,640}}/{HOST}",
        f"preset:card/{HOST}",
        f"preset:card/filename:a.jpg/attachment/fallback:gray/{HOST}",
        f"choose:20/preset:grid/{HOST}",
        "preset:card/media:a.jpg",
        f"resize:320/{HOST.replace('cdn', 'CDN')}",
    ],
)
def test_links_within_the_bounds_are_accepted(rest: str) -> None:
    assert NATIVE.parse(f"/_/{rest}".encode())


@pytest.mark.parametrize(
    "rest",
    [
        HOST,
        "media:a.jpg",
        "resize:320/media:a.jpg",
        f"preset/{HOST}",
        f"resize:321/{HOST}",
        f"resize:320:201/{HOST}",
        f"resize::320/{HOST}",
        f"dpr:2/resize:320:200/{HOST}",
        f"resize:320:dpr=2/{HOST}",
        f"resize:320:dpr=1.0001/{HOST}",
        f"resize:320::contain::red/{HOST}",
        f"resize:320:200:cover:0.1,0.2/{HOST}",
        f"resize:320/resize:640/{HOST}",
        f"smart_crop:320:200:auto:0.5/{HOST}",
        f"smart_crop:320:200:dog/{HOST}",
        f"smart_crop:320:200:face,person/{HOST}",
        f"convert:webp:effort=2/{HOST}",
        f"choose:330/resize:{{320,330}}/{HOST}",
        f"upscale:3/{HOST}",
        f"convert:png/{HOST}",
        f"convert:webp:81/{HOST}",
        f"convert:webp:best/{HOST}",
        f"convert:webp:ssimulacra2=70/{HOST}",
        f"blur:6/{HOST}",
        f"crop:0:0:320:200/{HOST}",
        f"thumbnail:320/{HOST}",
        f"watermark:media%3Alogo.png/{HOST}",
        f"text:hello/{HOST}",
        f"v:2/resize:320/{HOST}",
        f"v:2/preset:card/{HOST}",
        f"tag:x/preset:card/{HOST}",
        f"debug/preset:card/{HOST}",
        f"dpr:2/preset:card/{HOST}",
        f"preset:card/preset:card/{HOST}",
        f"preset:card/sharpen/{HOST}",
        f"preset:card/resize:320/{HOST}",
        f"info/{HOST}",
        f"info:16x9/{HOST}",
    ],
)
def test_links_out_of_the_bounds_are_refused_and_name_the_setting(rest: str) -> None:
    with pytest.raises(InvalidLink, match="FRAMEKEEP_LINKS_UNSIGNED"):
        NATIVE.parse(f"/_/{rest}".encode())


@pytest.mark.parametrize(
    "source",
    [
        *("other:a.jpg", "https://cdn.example.com.evil.example/a.jpg", "http://evil.example/a.jpg"),
        *("https://evil.example/?cdn.example.com", "https://evil.example/cdn.example.com"),
    ],
)
def test_sources_without_bounds_need_a_signature(source: str) -> None:
    link = f"/_/resize:320/{source}".encode()
    with pytest.raises(InvalidSignature, match="FRAMEKEEP_LINKS_UNSIGNED"):
        NATIVE.parse(link)
    assert native(allow_unsigned=True).parse(link)
    assert native({**BOUNDS, "*": {"operations": ["resize"], "widths": [320]}}).parse(link)
    signed = NATIVE.build_link(source, ["resize:12345"])
    assert NATIVE.parse(signed.encode())


def test_bounds_hold_where_other_unsigned_links_are_allowed() -> None:
    with pytest.raises(InvalidLink, match="FRAMEKEEP_LINKS_UNSIGNED"):
        native(allow_unsigned=True).parse(f"/_/resize:321/{HOST}".encode())


def test_the_default_preset_is_allowed() -> None:
    assert native(default="resize:99").parse(b"/_/media:a.jpg").plan.operations


_STEPS = st.sampled_from(
    [
        *("resize:320", "resize:640:200", "resize:1", "dpr:2", "dpr:0.5", "preset:card", "preset"),
        *("convert:webp", "convert:webp:80", "convert:png", "blur:5", "smart_crop:320:200"),
    ]
)


@given(st.lists(_STEPS, max_size=5))
def test_every_plan_that_is_accepted_has_listed_sizes(steps: list[str]) -> None:
    try:
        plan = NATIVE.parse(f"/_/{'/'.join([*steps, HOST])}".encode()).plan
    except ProxyError:
        return
    if "preset:card" not in steps:
        for operation in plan:
            assert getattr(operation, "width_in_px", None) in (None, 320, 640)
            assert getattr(operation, "height_in_px", None) in (None, 200)
            assert getattr(operation, "format", None) in (None, "webp")


@pytest.mark.parametrize(
    ("bounds", "reason"),
    [
        ({"cdn.example.com": {"operations": ["resiz"]}}, "did you mean 'resize'"),
        ({"cdn.example.com": {"operations": ["blur:500"]}}, "sigma"),
        ({"nosuch:": {}}, "with an alias of"),
        ({"https://cdn.example.com": {}}, "a host in lower case"),
        ({"CDN.example.com": {}}, "a host in lower case"),
        ({"": {}}, "a host in lower case"),
    ],
)
def test_bounds_that_cannot_be_meant_stop_the_start(bounds: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        native(bounds)
