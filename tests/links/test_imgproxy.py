"""The imgproxy dialect: signature, grammar, sources, options, presets, errors."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from links.imgproxy_fixture import (
    KEY,
    PRESETS,
    SALT,
    URL,
    context,
    dialect,
    meaning,
    native,
    parse_unsigned,
    sign,
)

from proxy.errors import ConfigError, InvalidLink, InvalidSignature, InvalidSource, LinkExpired
from proxy.image_request import InfoRequest
from proxy.links.imgproxy import ImgproxyDialect
from proxy.links.imgproxy.encoder_options import ENCODER_OPTIONS
from proxy.links.imgproxy.options import PIPELINE_OPTIONS
from proxy.links.imgproxy.output_options import OUTPUT_OPTIONS, UNSUPPORTED_OPTIONS
from proxy.originals import SourceRef

OTHER_KEY, OTHER_SALT = "c3" * 8, "d4" * 8
B64 = base64.urlsafe_b64encode(URL.encode()).decode().rstrip("=")


# Signatures.


def test_any_pair_of_key_and_salt_verifies() -> None:
    rotating = dialect(keys=(KEY, OTHER_KEY), salts=(SALT, OTHER_SALT))
    for key, salt in ((KEY, SALT), (OTHER_KEY, OTHER_SALT)):
        assert rotating.parse(sign(f"/w:10/{B64}", key, salt).encode()).source == SourceRef(URL)
    for key, salt in ((KEY, OTHER_SALT), (OTHER_KEY, SALT), (SALT, KEY)):
        with pytest.raises(InvalidSignature, match="signature mismatch"):
            rotating.parse(sign(f"/w:10/{B64}", key, salt).encode())


@pytest.mark.parametrize("size", [1, 8, 31, 32])
def test_a_signature_has_exactly_the_size_that_is_set(size: int) -> None:
    sized = dialect(keys=(KEY,), salts=(SALT,), signature_size=size)
    assert sized.parse(sign(f"/w:10/{B64}", size=size).encode()).source == SourceRef(URL)
    for other in {1, 8, 31, 32} - {size}:
        with pytest.raises(InvalidSignature):
            sized.parse(sign(f"/w:10/{B64}", size=other).encode())


def test_a_trusted_signature_is_accepted_for_every_path() -> None:
    trusting = dialect(keys=(KEY,), salts=(SALT,), trusted_signatures=("internal",))
    assert trusting.parse(f"/internal/w:10/{B64}".encode()).source == SourceRef(URL)
    with pytest.raises(InvalidSignature):
        trusting.parse(f"/insecure/w:10/{B64}".encode())


@given(st.integers(0, 200), st.sampled_from("aZ0-_/:%"))
def test_a_changed_path_does_not_verify(at: int, character: str) -> None:
    signed = sign(f"/rs:fill:300:200/g:no/{B64}.webp")
    at %= len(signed)
    changed = signed[:at] + character + signed[at + 1 :]
    if changed != signed:
        with pytest.raises((InvalidSignature, InvalidLink)) as raised:
            dialect(keys=(KEY,), salts=(SALT,)).parse(changed.encode())
        if at > 1 and signed[at] != "/" and character != "/":
            assert isinstance(raised.value, InvalidSignature)


@pytest.mark.parametrize(
    ("rest", "mangled"),
    [
        (f"/rs:fit:300:200/{B64}.webp", f"/rs%3Afit%3A300%3A200/{B64}.webp"),
        (f"/w:500/plain/{URL}", f"/w:500/plain/{URL.replace('//', '/')}"),
        ("/w:5/plain/local:///a/b.jpg", "/w:5/plain/local:/a/b.jpg"),
        (f"/w:500/plain/{URL}@webp", f"/w%3a500/plain/{URL}@webp"),
        (f"/w:5/{B64}", f"/w:5/{B64}?utm=1"),
    ],
)
def test_a_path_that_a_cdn_rewrote_verifies(rest: str, mangled: str) -> None:
    imgproxy = dialect(
        ["media"], keys=(KEY,), salts=(SALT,), source_prefixes={"local:///": "media:"}
    )
    signed = sign(rest)
    expected = imgproxy.parse(signed.encode())
    assert imgproxy.parse(signed.replace(rest, mangled).encode()) == expected


def test_without_a_key_the_dialect_starts_only_if_unsigned_links_are_allowed() -> None:
    with pytest.raises(ConfigError, match="FRAMEKEEP_IMGPROXY_KEYS is not set"):
        dialect()
    assert dialect(allow_unsigned=True).parse(f"/_/{B64}".encode()).source == SourceRef(URL)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"keys": (KEY,)}, "FRAMEKEEP_IMGPROXY_SALTS: there are 0 salts for 1 keys"),
        ({"allow_unsigned": True, "watermark": "logo"}, "FRAMEKEEP_IMGPROXY_WATERMARK"),
        (
            {"allow_unsigned": True, "source_url_encryption_keys": ("ab",)},
            "a key has 16, 24 or 32 bytes",
        ),
        ({"allow_unsigned": True, "base_url": "nowhere/"}, "FRAMEKEEP_IMGPROXY_BASE_URL"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        dialect(**config)


def test_an_unsigned_link_that_forgot_the_first_segment_says_so() -> None:
    with pytest.raises(InvalidLink, match="signature missing: the first segment is an option"):
        dialect(allow_unsigned=True).parse(f"/w:10/{B64}".encode())


@pytest.mark.parametrize("path", ["", "/", "/unsafe", "/unsafe/", "/favicon.ico", "/info/unsafe/"])
def test_a_path_without_a_source_is_an_error(path: str) -> None:
    with pytest.raises(InvalidLink):
        dialect(allow_unsigned=True).parse(path.encode())


# Sources.


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (f"plain/{URL}", URL),
        ("plain/https://images.example/a%20b%40c%3Fd%2525.jpg", "https://images.example/a%20b@c?d%25.jpg"),
        ("plain/https://images.example/a+b.jpg@", "https://images.example/a+b.jpg"),
        (B64, URL),
        (f"{B64[:7]}/{B64[7:20]}/{B64[20:]}", URL),
        (f"{B64}==", URL),
        (f"/{B64}", URL),
        ("plain/local:///a/b.jpg", "media:a/b.jpg"),
        ("plain/a/b.jpg", "https://cdn.example/a/b.jpg"),
    ],
)  # fmt: skip
def test_every_form_of_a_source_is_parsed(source: str, text: str) -> None:
    base_url = "https://cdn.example/" if source == "plain/a/b.jpg" else ""
    request = parse_unsigned(
        f"w:10/{source}", ["media"], source_prefixes={"local:///": "media:"}, base_url=base_url
    )
    assert request.source == SourceRef(text)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (f"plain/{URL}@webp@png", "more than one @"),
        (f"{B64}.webp.png", "only one .format may follow"),
        ("a+b", "neither plain/URL nor"),
        ("plain/https://a.example/%zz", "two hexadecimal digits must follow %"),
        ("plain/s3://bucket/a.jpg", "nothing is set up for 's3'"),
        ("plain/local:///a.jpg%3Fversion=1", "versions of objects"),
        ("enc/abcd", "encrypted sources are not set up"),
        ("plain/photo.jpg", "invalid source"),
        ("plain", "neither plain/URL nor"),
    ],
)
def test_an_invalid_source_is_an_error(source: str, reason: str) -> None:
    with pytest.raises((InvalidLink, InvalidSource)) as raised:
        parse_unsigned(f"w:10/{source}", ["media"], source_prefixes={"local:///": "media:"})
    assert reason in str(raised.value)


def test_the_format_at_the_end_is_applied_last() -> None:
    assert meaning("f:png/q:70") == "convert:png:70"
    request = parse_unsigned(f"f:png/plain/{URL}@webp")
    assert native().build(request) == f"/_/convert:webp/{URL}"
    raw = parse_unsigned(f"raw:1/plain/{URL}@webp")
    assert native().build(raw) == f"/_/pass_through/{URL}"


def test_a_file_name_after_a_base64_source_is_ignored_where_the_setting_says_so() -> None:
    request = parse_unsigned(f"w:10/{B64}/puppy.webp", base64_url_includes_filename=True)
    assert request.source == SourceRef(URL)
    assert request.plan.format is None


def test_an_encrypted_source_is_decrypted_with_any_key() -> None:
    ciphers = pytest.importorskip("cryptography.hazmat.primitives.ciphers")
    key, iv = bytes(range(32)), bytes(16)
    cipher = ciphers.Cipher(ciphers.algorithms.AES(key), ciphers.modes.CBC(iv)).encryptor()
    padding = 16 - len(URL) % 16
    encrypted = iv + cipher.update(URL.encode() + bytes([padding]) * padding) + cipher.finalize()
    text = base64.urlsafe_b64encode(encrypted).decode().rstrip("=")
    keys = ("ff" * 16, key.hex())
    request = parse_unsigned(f"w:10/enc/{text}.png", source_url_encryption_keys=keys)
    assert request.source == SourceRef(URL)
    assert request.plan.format == "png"
    for broken in (text[:-4], "AAAA", text[:30]):
        with pytest.raises(InvalidLink, match="cannot be decrypted"):
            parse_unsigned(f"w:10/enc/{broken}", source_url_encryption_keys=keys)


def test_a_watermark_is_scaled_and_turned_before_it_is_placed() -> None:
    settings = {"aliases": ["media"], "watermark": "media:logo.png"}
    request = parse_unsigned(f"wms:40:0/wmr:-30/wm:1:ce:::0.5/plain/{URL}", **settings)
    steps = "steps=resize%3A40%3A%3Ainside%2Frotate%3A-30%3Atransparent"
    wanted = native(["media"]).parse(f"/_/watermark:media%3Alogo.png:center:{steps}/{URL}".encode())
    assert request.plan == wanted.plan


# Options.


def test_options_are_carried_out_in_a_fixed_order() -> None:
    options = ["bg:fff", "wm:1", "bl:2", "w:100", "c:50:50", "rot:90", "t:5", "pd:3", "q:70"]
    expected = (
        "trim:5/rotate:90/crop_to:50:50/resize:100::inside/blur:2/extend:3:3:3:3:transparent/"
        "remove_transparency/watermark:media%3Alogo.png:center/quality:70"
    )
    settings = {"aliases": ["media"], "watermark": "media:logo.png"}
    for order in (options, options[::-1]):
        request = parse_unsigned(f"{'/'.join(order)}/plain/{URL}", **settings)
        assert native(["media"]).build(request) == f"/_/{expected}/{URL}"


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ("", ""),
        ("w:100/w:200", "resize:200::inside"),
        ("rs:fill:100:100/rs:::200", "thumbnail:100:200:fill"),
        ("rs:fill:300:200:1/g:nowe", "resize:300:200:cover:northwest"),
        ("rs:fill:300:200:1/g:sm", "resize:300:200:cover:smart"),
        ("rs:force:100:0", "thumbnail:100::force"),
        ("w:0/h:0/mw:0/dpr:1/z:1/bl:0/sh:0/pix:0/pix:1/rot:360/q:0/mb:0/exp:0", ""),
        ("c:0:0", ""),
        ("c:100:50/g:no", "crop_to:100:50:north"),
        ("ex:1:so::5/w:50/h:50", "resize:50:50:inside/canvas:50:50:false:south:0:5"),
        ("ex:1", ""),
        ("rs:fit:50:50:0:1:ea:2", "resize:50:50:inside/canvas:50:50:false:east:2"),
        ("pd:1:2/pd:::7", "extend:1:7:2:2:transparent"),
        ("bg:ff0000/bg:", ""),
        ("q:70/fq:webp:50", "quality:70"),
        ("fq:webp:50:jpg:70/f:jpg", "convert:jpeg:70"),
        ("f:webp/mb:1000", "convert:webp/compress_to_size:1000"),
        ("w:300/-/c:10:10", "resize:300::inside/crop_to:10:10"),
        ("-/-/w:5", "resize:5::inside"),
        ("wm:0", ""),
        ("gr:0.5:000000", "gradient:0.5"),
        ("mc:0", ""),
        ("sm:1/scp:1/ar:1/ph:0/eth:0", ""),
        ("g:fp:1:0/rs:fill:9:9", "thumbnail:9:9:fill:1%2C0"),
        ("jpgo:1", "encode:jpeg:false::true"),
        ("jpgo:0:0", "encode:jpeg:false::false"),
        ("jpgo:1:1:0:0:0:0/f:jpg/q:70", "convert:jpeg:70:true::false::true:444"),
        ("jpgo:1/jpgo::1/jpgo:::", "encode:jpeg:false::true:444"),
        ("jpgo:1/f:webp", "convert:webp"),
        ("pngo:1:0:16", "encode:png:false::true"),
        ("pngo:0", ""),
        ("webpo:lossless:0:default/q:70", "quality:70/encode:webp:true"),
        ("webpo:lossless/f:webp/q:70", "convert:webp::true::true"),
        ("webpo:lossless/webpo:lossy", ""),
        ("avifo:off/jpgo:1", "encode:avif:false:::444/encode:jpeg:false::true"),
        ("avifo:off/avifo:auto", ""),
        ("f:avif/avifo:on", "convert:avif::true::false:::420"),
        ("c:9:9:obj:cat:dog", "crop_to:9:9:smart:0:0:cat%2Cdog"),
        ("c:9:9:obj:dog:face", "crop_to:9:9:smart:0:0:dog%2Cface"),
        ("c:9:9:obj:Cell phone", "crop_to:9:9:smart:0:0:cell_phone"),
        ("c:9:9:obj:all:dog", "crop_to:9:9:smart"),
        ("c:9:9:objw:dog:2:face:0.5", "crop_to:9:9:smart:0:0:dog%2A4%2Cface"),
        ("c:9:9:objw:all:3", "crop_to:9:9:smart"),
        (
            "c:9:9:objw:all:2:face:3",
            "crop_to:9:9:smart:0:0:animal%2Cface%2A1.5%2Cobject%2Cperson",
        ),
    ],
)
def test_options_mean_these_steps(options: str, steps: str) -> None:
    assert meaning(options) == steps


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"auto_format": True}, "convert:auto"),
        (
            {"auto_format": True, "presets": {"default": "webpo:lossless"}},
            "convert:auto/encode:webp:true",
        ),
        ({"quality": 70}, "quality:70"),
        ({"auto_format": True, "format_quality": {"avif": 40}}, "convert:auto/quality::::40"),
        ({"keep_copyright": True}, "keep"),
        ({"max_animation_frames": 1}, "limit:::1"),
        ({"skip_formats": ["gif"]}, "pass_through:gif"),
        ({"presets": {"default": "w:50"}}, "resize:50::inside"),
    ],
)
def test_settings_hold_for_every_link(options: dict[str, Any], steps: str) -> None:
    assert meaning("", **options) == steps


def test_the_default_preset_comes_first_and_others_in_place() -> None:
    presets = {"default": "w:50/q:60", "wide": "w:500/pr:soft", "soft": "bl:2"}
    assert meaning("q:90/pr:wide", presets=presets) == "resize:500::inside/blur:2/quality:90"
    assert meaning("pr:wide/w:70", presets=presets) == "resize:70::inside/blur:2/quality:60"
    request = parse_unsigned(f"pr:wide/plain/{URL}", presets=presets)
    assert request.response_options.tags == ("preset:soft", "preset:wide")


def test_only_presets() -> None:
    request = parse_unsigned(f"card:sharp/plain/{URL}@png", presets=PRESETS, only_presets=True)
    assert native().build(request) == f"/_/thumbnail:400:300:fill/sharpen:0.7/convert:png:80/{URL}"
    with pytest.raises(InvalidLink, match="preset: unknown preset 'w'"):
        parse_unsigned(f"w:10/plain/{URL}", presets=PRESETS, only_presets=True)


@pytest.mark.parametrize(
    ("presets", "reason"),
    [
        ({"a": "w:x"}, "'a': w: must be a whole number"),
        ({"a": "pr:b", "b": "pr:a"}, "cycle: a > b > a"),
        ({"a": "pr:nothing"}, "unknown preset 'nothing'"),
        ({"a": "w:1/nonsense"}, "'nonsense' is not an option"),
    ],
)
def test_an_invalid_preset_stops_the_start(presets: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=f"FRAMEKEEP_IMGPROXY_PRESETS: .*{reason}"):
        dialect(allow_unsigned=True, presets=presets)


def test_another_separator() -> None:
    assert meaning("rs|fit|30|20", arguments_separator="|") == "resize:30:20:inside"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("wdth:10", "segment 2 ('wdth:10'): unknown option 'wdth'; did you mean 'width'?"),
        ("w:10/h:-1", "segment 3 ('h:-1'): h: must be a whole number from 0 to 16384, not '-1'"),
        ("w:99999", "w: must be a whole number from 0 to 16384"),
        ("w:1:2", "w: takes 1 values, not 2"),
        ("rs:crop:1:1", "rs: must be one of fit, fill, fill-down, force, auto, not 'crop'"),
        ("rs:fit:1:1:1:1:ce:0:0:0", "rs: takes 1 to 8 values, not 9"),
        ("el:yes", "el: must be 1, t, true, 0, f or false, not 'yes'"),
        ("dpr:nan", "dpr: must be a number from 0.1 to 5, not 'nan'"),
        ("dpr:0", "dpr: must be a number from 0.1 to 5, not '0'"),
        ("bl:1e9", "bl: must be a number from 0 to 100"),
        ("g:xx", "g: must be one of ce, no, so"),
        ("g:fp:1", "g:fp: takes 2 values, not 1"),
        ("g:fp:0.5:1.5", "must be a number from 0 to 1, not '1.5'"),
        ("g:sm:1:1", "g: sm: takes no offsets"),
        ("g:obj:face:dgo", "g: there is no class 'dgo'; did you mean 'dog'?; classes are"),
        ("g:objw:face", "g: objw: takes pairs of a class and its weight"),
        ("g:objw:face:0", "g: objw: face: must be a number from 0.01 to 100, not '0'"),
        ("g:objw:face:0.01:dog:2", "g: weights differ by a factor of 100 at most"),
        ("ex:1:sm", "ex: must be one of ce, no,"),
        ("rot:45", "rot: must be a multiple of 90, not 45"),
        ("bg:red", "bg: must be a color of 3 or 6 hexadecimal digits, not 'red'"),
        ("bg:1:2", "bg: takes a color or red, green and blue"),
        ("bg:1:2:256", "bg: must be a whole number from 0 to 255"),
        ("wm:1:fp", "wm: the position must be one of ce,"),
        ("wm:1", "there is no watermark on this server (FRAMEKEEP_IMGPROXY_WATERMARK)"),
        ("wmu:%%", "wmu: must be UTF-8 text in base64url"),
        ("f:ico", "f: the format 'ico' cannot be written; formats: jpg,"),
        ("f:tif", "f: the format 'tif' is unknown"),
        ("fq:jpg", "fq: takes pairs"),
        ("fq:jpg:101", "fq: must be a whole number from 0 to 100"),
        ("exp:soon", "exp: must be a whole number"),
        ("fn:a%2Fb", "fn: no slashes"),
        ("pr:none", "preset: unknown preset 'none'"),
        ("sm:0", "sm: 0 is not possible here: metadata is always removed"),
        ("ar:0", "ar: 0 is not possible here: pictures are always turned upright"),
        ("ra:cubic", "ra: only lanczos3 is possible here"),
        ("mc:0.5", "mc: only the intensities 0 and 1"),
        ("aq:dssim", "aq: is not possible here: use quality or max_bytes"),
        ("jpgo:yes", "jpgo: progressive: must be 1, t, true, 0, f or false, not 'yes'"),
        ("jpgo:1:1:1", "jpgo: trellis_quant: is not possible here: popular images get that by"),
        ("jpgo::::::3", "jpgo: quant_table: only 0 is possible here, not 3"),
        ("jpgo::::::9", "jpgo: quant_table: must be a whole number from 0 to 8, not '9'"),
        ("jpgo:1:1:1:1:1:1:1", "jpgo: takes 1 to 6 values, not 7"),
        ("pngo:0:1:16", "pngo: quantize: is not possible here: up to 256 colors become a palette"),
        ("pngo:0:0:1", "pngo: quantization_colors: must be a whole number from 2 to 256, not '1'"),
        ("webpo:near_lossless", "webpo: compression: must be lossy or lossless here, not 'near_"),
        ("webpo:lossy:1", "webpo: smart_subsample: is not possible here: popular images get"),
        ("webpo:lossy:0:photo", "webpo: preset: only default is possible here, not 'photo'"),
        ("avifo:half", "avifo: subsample: must be auto, on or off, not 'half'"),
        ("ct:a,b", "ct: a tag is 1 to 64 visible ASCII"),
        ("msr:10", "msr: is not allowed here (FRAMEKEEP_IMGPROXY_ALLOW_SECURITY_OPTIONS)"),
        ("fill/300/200/ce/0", "the basic form of imgproxy 2 is not possible"),
        ("/".join(["-"] * 8 + ["w:1"]), "at most 8 pipelines"),
    ],
)
def test_an_error_names_segment_option_and_reason(options: str, reason: str) -> None:
    with pytest.raises(InvalidLink) as raised:
        parse_unsigned(f"{options}/plain/{URL}")
    assert reason in str(raised.value)


@pytest.mark.parametrize("name", [name for names in UNSUPPORTED_OPTIONS for name in names])
def test_an_option_that_cannot_be_had_names_the_reason(name: str) -> None:
    with pytest.raises(InvalidLink, match=f"{name}: is not possible here: .{{5}}"):
        parse_unsigned(f"{name}:1/plain/{URL}")


def test_no_name_stands_for_two_options() -> None:
    tables = (PIPELINE_OPTIONS, OUTPUT_OPTIONS, ENCODER_OPTIONS, UNSUPPORTED_OPTIONS)
    names = [name for table in tables for names in table for name in names]
    assert len(names) == len(set(names))


@given(st.lists(st.text("abrstw:0123456789.-%/@=", max_size=12), max_size=5))
def test_any_text_is_parsed_or_refused(segments: list[str]) -> None:
    try:
        request = parse_unsigned(f"{'/'.join(segments)}/plain/{URL}")
    except (InvalidLink, InvalidSource):
        return
    assert native().parse(native().build(request).encode()).key == request.key


def test_only_allowed_options_are_accepted_outside_of_presets() -> None:
    config = {"allow_options": ("w", "preset"), "presets": {"soft": "bl:2"}}
    assert meaning("width:10/pr:soft", **config) == "resize:10::inside/blur:2"
    with pytest.raises(InvalidLink, match=r"bl: is not allowed here \(.*ALLOW_OPTIONS\)"):
        meaning("bl:2", **config)
    with pytest.raises(ValueError, match="ALLOW_OPTIONS: unknown option 'wide'"):
        dialect(allow_unsigned=True, allow_options=("wide",))


def test_security_options_are_accepted_where_the_setting_says_so() -> None:
    steps = meaning("msr:2.5/msfs:1000/maf:3/mafr:1/mrd:500", allow_security_options=True)
    assert steps == "limit:2.5:1000:3:1/resize:500:500:inside"


# Response options.


def test_options_of_the_response() -> None:
    request = parse_unsigned(f"exp:2000/fn:my%20photo/att:1/cb:v7/ct:a:b/plain/{URL}")
    options = request.response_options
    assert (options.expires, options.filename, options.is_attachment) == (2000, "my photo", True)
    assert options.tags == ("tag:a", "tag:b")
    assert request.source == SourceRef(URL, version="v7")
    plain = parse_unsigned(f"plain/{URL}")
    assert request.plan == plain.plan


def test_an_attachment_is_named_like_its_source() -> None:
    for source, name in ((URL, "photo"), ("https://a.example/x/", "image")):
        options = parse_unsigned(f"att:1/plain/{source}").response_options
        assert (options.filename, options.is_attachment) == (name, True)


def test_a_long_cachebuster_is_another_version_too() -> None:
    one, two = (parse_unsigned(f"cb:{'x' * 80}{end}/plain/{URL}").source for end in "ab")
    assert one != two
    assert isinstance(one, SourceRef)
    assert len(one.version) == 64


def test_an_expired_link_names_its_time() -> None:
    with pytest.raises(LinkExpired, match="1970-01-01 00:16:40 UTC"):
        parse_unsigned(f"exp:1000/plain/{URL}")


def test_an_info_link_describes_the_original() -> None:
    for options in ("", "exp:2000/s:1/f:1/"):
        request = dialect(allow_unsigned=True).parse(f"/info/_/{options}plain/{URL}".encode())
        assert request.info == InfoRequest()
        assert not request.plan.operations
    with pytest.raises(InvalidLink, match=r"segment 2 \('w:10'\): an info link takes only"):
        dialect(allow_unsigned=True).parse(f"/info/_/w:10/plain/{URL}".encode())
    signed = dialect(keys=(KEY,), salts=(SALT,))
    assert signed.parse(("/info" + sign(f"/{B64}")).encode()).info == InfoRequest()


def test_links_are_built_by_the_clients_of_imgproxy() -> None:
    imgproxy = ImgproxyDialect(context(allow_unsigned=True))
    with pytest.raises(InvalidLink, match="built by imgproxy's clients"):
        imgproxy.build(imgproxy.parse(f"/_/{B64}".encode()))
