"""Each check of what a render process says: the honest reply passes, one wrong value does not.

`security/test_render_processes.py` sends forged replies through the whole server.
"""

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pictures
import pytest
from msgspec import structs

from proxy.errors import (
    BrokenImage,
    ImageTooLarge,
    InvalidOperation,
    InvalidSignature,
    ProxyError,
    RenderFailed,
    SourceForbidden,
)
from proxy.formats import FormatName
from proxy.geometry import Box, Size
from proxy.imaging.copyright.notice import CopyrightNotice
from proxy.imaging.headers import ImageHeader
from proxy.imaging.results import Color, Detection, ImageInfo, RenderResult, Rendition
from proxy.imaging.shrink_on_load import DecodedInfo, LoadScale
from proxy.limits import Limits
from proxy.render import reply_checks
from proxy.render.ipc import EncodedError, decode_error, encode_error
from proxy.smartcrop.placement import Placement
from proxy.smartcrop.subject import Region, Subject

SIZE = Size(40, 30)
SCENE = pictures.scene(40, 30)
SMALL = Limits(
    max_result_dimension=100,
    max_result_pixels=2000,
    max_result_bytes=100_000,
    max_source_dimension=100,
    max_source_pixels=2000,
)
PNG = pictures.encode(SCENE, "png")
RENDITION = Rendition(PNG, "png", SIZE, "face")
BODIES = {format: pictures.encode(SCENE, format) for format in ("jpeg", "png", "webp", "gif")}


def check_rendition(
    requested: FormatName | str | None = "png", limits: Limits = SMALL, **changes: Any
) -> None:
    reply_checks.check_rendition(
        structs.replace(RENDITION, **changes), limits, requested, ("webp",)
    )


@pytest.mark.parametrize("requested", ["png", "auto", None])
def test_an_honest_rendition(requested: str | None) -> None:
    check_rendition(requested)
    check_rendition(requested, crop_reason="")


@pytest.mark.parametrize("format", BODIES)
def test_the_size_in_the_header_is_the_one_in_the_reply(format: FormatName) -> None:
    body = BODIES[format]
    check_rendition(format, body=body, format=format)
    with pytest.raises(ValueError, match="that is not 39x30"):
        check_rendition(format, body=body, format=format, size=Size(39, 30))
    with pytest.raises(ValueError, match="that is not 40x30"):
        check_rendition(format, body=body[: 8 if format == "gif" else 12], format=format)


@pytest.mark.parametrize(
    ("requested", "format", "body"),
    [
        ("png", "gif", BODIES["gif"]),
        ("auto", "avif", pictures.encode(SCENE, "avif")),
        ("auto", "svg", b"<svg onload=alert(1)>"),
        (None, "svg", b"<svg onload=alert(1)>"),
        ("svg", "svg", b"<svg onload=alert(1)>"),
        (None, "html", PNG),
    ],
)
def test_a_result_in_a_format_that_was_not_requested(
    requested: str | None, format: str, body: bytes
) -> None:
    with pytest.raises(ValueError, match=f"a result in {format}"):
        check_rendition(requested, body=body, format=format)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"body": b""}, "a result of 0 bytes"),
        ({"body": PNG.ljust(100_001)}, "a result of 100001 bytes"),
        ({"body": BODIES["gif"]}, "a result that is no png"),
        ({"body": b"<svg onload=alert(1)>"}, "a result that is no png"),
        ({"body": b"text"}, "a result that is no png"),
        ({"size": Size(0, 30)}, "a size of 0x30"),
        ({"size": Size(-4, -3)}, "a size of -4x-3"),
        ({"size": Size(101, 1)}, "a size of 101x1"),
        ({"size": Size(50, 41)}, "a size of 50x41"),
        ({"crop_reason": "face\r\nset-cookie: a=b"}, "an unknown reason for a crop"),
    ],
)
def test_a_forged_rendition(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"unexpected reply: {reason}$"):
        check_rendition(**changes)


REGION = Region(0.0, 0.25, 1.0, 0.75, 0.5, "face")
SUBJECT = Subject((REGION,))
FORGED_SUBJECTS = [
    *(
        (Subject((structs.replace(REGION, **{edge: value}),)), "a region outside the picture")
        for edge in ("left", "top", "right", "bottom")
        for value in (-0.1, 1.1, math.nan, math.inf)
    ),
    (Subject((structs.replace(REGION, left=0.9, right=0.1),)), "an empty region"),
    (Subject((structs.replace(REGION, top=0.9, bottom=0.1),)), "an empty region"),
    (Subject((structs.replace(REGION, weight=math.nan),)), "a weight of nan"),
    (Subject((structs.replace(REGION, weight=2.0),)), "a weight of 2.0"),
    (Subject((structs.replace(REGION, kind="cat"),)), "an unknown kind of region"),
    (Subject((REGION,) * 1001), "1001 regions"),
]

BOX, OUTSIDE, EMPTY = Box(0, 0, 40, 30), Box(1, 0, 40, 30), Box(0, 0, 0, 30)
DETECTION = Detection(
    SIZE, 1, SUBJECT, BOX, Placement(BOX, "face"), (Placement(Box(0, 0, 30, 30), "face"),)
)
INFO = ImageInfo(
    size=SIZE,
    format="png",
    size_in_bytes=100,
    frame_count=1,
    has_alpha=False,
    subject=SUBJECT,
    area_of_interest=BOX,
    crops=DETECTION.crops,
    blurhash="LEHV6nWB2yk8pyo0adR*",
    thumbhash="1QcSHQRnh493V4dIh4eXh1h4kJUI",
    lqip="data:image/webp;base64,UklGRg==",
    colors=(Color("#a0b1c2", 1.0),),
)
FORGED_LOOKS: list[tuple[dict[str, Any], str]] = [
    *(({"subject": subject}, reason) for subject, reason in FORGED_SUBJECTS),
    ({"size": Size(0, 30)}, "a size of 0x30"),
    ({"size": Size(101, 1)}, "a size of 101x1"),
    ({"size": Size(50, 41)}, "a size of 50x41"),
    ({"frame_count": 0}, "0 frames"),
    ({"frame_count": 1_000_001}, "1000001 frames"),
    ({"crops": ()}, "0 crops"),
    ({"crops": DETECTION.crops * 2}, "2 crops"),
    *(
        ({field: value}, "a box outside 40x30")
        for box in (OUTSIDE, EMPTY)
        for field, value in (("area_of_interest", box), ("crops", (Placement(box, "face"),)))
    ),
]
FORGED_DETECTIONS: list[tuple[dict[str, Any], str]] = [
    *FORGED_LOOKS,
    ({"best_crop": Placement(OUTSIDE, "face")}, "a box outside 40x30"),
    ({"best_crop": Placement(EMPTY, "face")}, "a box outside 40x30"),
]
FORGED_INFOS: list[tuple[dict[str, Any], str]] = [
    *FORGED_LOOKS,
    ({"size_in_bytes": 0}, "an original without bytes"),
    ({"blurhash": "<script>"}, "a BlurHash that is none"),
    ({"blurhash": "L" * 201}, "a BlurHash that is none"),
    ({"thumbhash": "<script>"}, "a ThumbHash that is none"),
    ({"thumbhash": "A" * 201}, "a ThumbHash that is none"),
    ({"colors": INFO.colors * 33}, "33 colors"),
    ({"colors": (Color("red", 1.0),)}, "a color that is none"),
    ({"colors": (Color("#a0b1c2;", 1.0),)}, "a color that is none"),
    ({"colors": (Color("#a0b1c2", 2.0),)}, "a share of a color"),
    ({"colors": (Color("#a0b1c2", math.nan),)}, "a share of a color"),
]


def check_subject(subject: Subject) -> None:
    result = RenderResult(RENDITION, detected_subject=subject)
    reply_checks.check_render_result(result, SMALL, "png", ())


@pytest.mark.parametrize(("subject", "reason"), FORGED_SUBJECTS)
def test_a_forged_subject(subject: Subject, reason: str) -> None:
    check_subject(SUBJECT)
    with pytest.raises(ValueError, match=f"unexpected reply: {reason}$"):
        check_subject(subject)


def test_the_rendition_beside_a_subject_is_checked() -> None:
    forged = RenderResult(structs.replace(RENDITION, format="gif"))
    with pytest.raises(ValueError, match="a result in gif"):
        reply_checks.check_render_result(forged, SMALL, "png", ())


@pytest.mark.parametrize(("changes", "reason"), FORGED_DETECTIONS)
def test_a_forged_detection(changes: dict[str, Any], reason: str) -> None:
    reply_checks.check_detection(DETECTION, SMALL, 1)
    with pytest.raises(ValueError, match=f"unexpected reply: {reason}$"):
        reply_checks.check_detection(structs.replace(DETECTION, **changes), SMALL, 1)


@pytest.mark.parametrize(("changes", "reason"), FORGED_INFOS)
def test_a_forged_description(changes: dict[str, Any], reason: str) -> None:
    reply_checks.check_image_info(INFO, SMALL, 1)
    with pytest.raises(ValueError, match=f"unexpected reply: {reason}$"):
        reply_checks.check_image_info(structs.replace(INFO, **changes), SMALL, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"width": 0}, "a size of 0x30"),
        ({"height": 1 << 33}, f"a size of 40x{1 << 33}"),
        ({"frames": -1}, "-1 frames"),
        ({"frames": 1_000_001}, "1000001 frames"),
        ({"scans": -1}, "-1 scans"),
        ({"scans": 1_000_001}, "1000001 scans"),
    ],
)
def test_a_forged_header(changes: dict[str, Any], reason: str) -> None:
    header = ImageHeader("png", 40, 30)
    reply_checks.check_header(header)
    with pytest.raises(ValueError, match=f"unexpected reply: {reason}$"):
        reply_checks.check_header(structs.replace(header, **changes))


NOTICE = CopyrightNotice({0x8298: "© A"}, ((80, b"A"),), xmp="<dc:rights/>")
DECODED = DecodedInfo(SIZE, LoadScale(), 3, SIZE, "png", NOTICE)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"natural_size": Size(101, 1)}, "a size of 101x1"),
        ({"natural_size": Size(50, 41)}, "a size of 50x41"),
        ({"size": Size(101, 1)}, "a size of 101x1"),
        ({"size": Size(0, 1)}, "a size of 0x1"),
        ({"bands": 0}, "0 bands"),
        ({"bands": 5}, "5 bands"),
        ({"copyright": CopyrightNotice({0x8825: "GPS"})}, "an unknown field of a copyright"),
        ({"copyright": CopyrightNotice(iptc=((90, b"city"),))}, "an unknown field of a copyright"),
        ({"copyright": CopyrightNotice(iptc=((80, b"A"),) * 33)}, "33 fields of a copyright"),
        ({"copyright": CopyrightNotice({0x8298: "A" * 4001})}, "a copyright of 4001 characters"),
        ({"copyright": CopyrightNotice(iptc=((80, bytes(5000)),))}, "a copyright of 5000 .*"),
        ({"copyright": CopyrightNotice(xmp="é" * 20_000)}, "XMP of 20000 characters"),
    ],
)  # fmt: skip
def test_forged_pixels(changes: dict[str, Any], reason: str) -> None:
    reply_checks.check_decoded(DECODED, SMALL)
    with pytest.raises(ValueError, match=f"unexpected reply: {reason}$"):
        reply_checks.check_decoded(structs.replace(DECODED, **changes), SMALL)


def test_shared_pixels_are_bounded() -> None:
    large = structs.replace(DECODED, size=Size(3000, 2001), natural_size=Size(6000, 4002))
    with pytest.raises(ValueError, match="a size of 3000x2001"):
        reply_checks.check_decoded(large, Limits())


def decode(**changes: Any) -> ProxyError:
    honest = EncodedError("InvalidOperation", "too wide", "for the log", 3, "width")
    return decode_error(msgspec.msgpack.encode(structs.replace(honest, **changes)))


def test_an_honest_error_is_decoded_as_it_was() -> None:
    error = InvalidOperation("too wide", operation=3, field="width", detail="for the log")
    for decoded in (decode(), decode_error(encode_error(error))):
        assert isinstance(decoded, InvalidOperation)
        assert (str(decoded), decoded.operation, decoded.field) == (str(error), 3, "width")
    for kind in (BrokenImage, ImageTooLarge, RenderFailed):
        assert type(decode_error(encode_error(kind("no")))) is kind


@pytest.mark.parametrize(
    "changes",
    [
        {"message": "no\r\nset-cookie: a=b"},
        {"message": "\x7f"},
        {"message": "\x85"},
        {"message": "a" * 2001},
        {"detail": "a" * 100_001},
        {"field": "a\nb"},
        {"field": "a" * 101},
    ],
)
def test_a_forged_text_of_an_error(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="unexpected reply"):
        decode(**changes)


@pytest.mark.parametrize(
    "name",
    ["InvalidSignature", "SourceForbidden", "ProxyError", "Overloaded", "os", "", "__doc__"],
)  # fmt: skip
def test_a_class_that_no_task_raises(name: str) -> None:
    with pytest.raises(TypeError, match="unexpected reply: an error"):
        decode(name=name)


@pytest.mark.parametrize("kind", [InvalidSignature, SourceForbidden])
def test_an_error_of_another_kind_is_sent_without_its_message(
    kind: Callable[[str], ProxyError],
) -> None:
    decoded = decode_error(encode_error(kind("secret")))
    assert type(decoded) is RenderFailed
    assert "secret" not in str(decoded)
