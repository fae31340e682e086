"""`keep:copyright` keeps EXIF, IPTC and XMP about rights word for word, in every output format."""

import io
from collections.abc import Sequence
from typing import Any

import pictures
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from malformed_images import PNG, chunk, segment
from PIL import Image
from render_helper import render_steps, step

from proxy.formats import FormatName
from proxy.imaging.copyright.embed import embed
from proxy.imaging.copyright.exif import read_exif, write_exif
from proxy.imaging.copyright.iptc import read_iptc, write_iptc
from proxy.imaging.copyright.notice import (
    ARTIST,
    BY_LINE,
    COPYRIGHT,
    COPYRIGHT_NOTICE,
    CREDIT,
    CopyrightNotice,
)
from proxy.imaging.copyright.read import read_copyright
from proxy.imaging.copyright.xmp import CREATOR, RIGHTS, read_xmp, write_xmp
from proxy.imaging.headers import probe
from proxy.imaging.optional_codecs import missing_package

SCENE = pictures.scene(80, 60)
FORMATS: Sequence[FormatName] = ("jpeg", "png", "webp", "avif", "gif", "heif", "jxl")
assert not missing_package("heif")
assert not missing_package("jxl")

NOTICE = "© 2026 Jo Röe (all rights, ASCII, 3 components, 4 bytes) [日本] {x}"
AUTHOR = 'Ann "A" O\'Neil & <Söhne>'

PROPERTIES = f"""
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">{NOTICE}</rdf:li>
<rdf:li xml:lang="de">Alle Rechte</rdf:li></rdf:Alt></dc:rights>
<dc:creator><rdf:Seq><rdf:li>Ann &amp; Co</rdf:li><rdf:li>Bob</rdf:li></rdf:Seq></dc:creator>
<dc:subject><rdf:Bag><rdf:li>secret place</rdf:li></rdf:Bag></dc:subject>
<plus:Licensor><rdf:Seq><rdf:li rdf:parseType="Resource">
<plus:LicensorURL>https://example.com/buy</plus:LicensorURL></rdf:li></rdf:Seq></plus:Licensor>"""
XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" xmlns:plus="http://ns.useplus.org/ldf/xmp/1.0/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 xmpRights:WebStatement="https://example.com/rights?a=1&amp;b=2" xmp:CreatorTool="Secret Tool 1.0"
 photoshop:City="Secret City">{PROPERTIES}</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()

EXIF = write_exif({ARTIST: AUTHOR, COPYRIGHT: NOTICE})
IPTC = write_iptc(
    [(BY_LINE, AUTHOR.encode()), (COPYRIGHT_NOTICE, NOTICE.encode()), (CREDIT, b"Agency")],
    is_utf8=True,
)


def original(format: str = "jpeg", **parts: bytes) -> bytes:
    """The scene with these parts, written by Pillow, or IPTC by hand."""
    iptc = parts.pop("iptc", b"")
    if format == "jpeg" and "exif" in parts:
        parts["exif"] = b"Exif\0\0" + parts["exif"]
    texts = b""
    if format == "png" and "xmp" in parts:
        texts = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + parts.pop("xmp"))
    body = pictures.encode(SCENE, format, **parts)
    if format == "png":
        return body[:33] + texts + body[33:]
    return body[:2] + segment(0xED, iptc) + body[2:] if iptc else body


def kept(body: bytes, format: str, *steps: dict[str, Any]) -> bytes:
    return render_steps(
        body, step("keep"), step("resize", width=40), *steps, step("convert", format=format)
    ).body


def notice_of(body: bytes) -> CopyrightNotice:
    """What we read in a file."""
    with Image.open(io.BytesIO(body)) as image:
        exif, xmp = image.info.get("exif"), image.info.get("xmp")
    header = probe(body)
    opened = pyvips.Image.black(1, 1)
    for name, value in (("exif-data", exif), ("xmp-data", xmp)):
        if value:
            opened.set_type(pyvips.GValue.blob_type, name, value)
    return read_copyright(body, header.format, opened)


@pytest.mark.parametrize("output", [name for name in FORMATS if name != "gif"])
@pytest.mark.parametrize("source", ["jpeg", "png", "webp", "avif", "heif", "jxl", "tiff"])
def test_exif_is_kept_word_for_word(source: str, output: str) -> None:
    exif: Any = EXIF
    if source == "tiff":
        exif = Image.Exif()
        exif.load(EXIF)
        exif[ARTIST], exif[COPYRIGHT] = AUTHOR.encode(), NOTICE.encode()
    body = kept(original(source, exif=exif), output)
    assert notice_of(body).exif == {ARTIST: AUTHOR, COPYRIGHT: NOTICE}
    with Image.open(io.BytesIO(body)) as image:
        assert image.size == (40, 30)


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize("source", ["jpeg", "png", "webp", "avif", "heif", "jxl"])
def test_xmp_about_rights_is_kept_word_for_word_and_nothing_else_of_it(
    source: str, output: str
) -> None:
    body = kept(original(source, xmp=XMP), output)
    assert NOTICE.encode() in body
    assert b"Alle Rechte" in body
    assert b"https://example.com/rights?a=1&amp;b=2" in body
    assert b"https://example.com/buy" in body
    assert b"Secret" not in body
    assert b"secret" not in body
    assert pictures.decode(body).shape[:2] == (30, 40)


@pytest.mark.parametrize("output", FORMATS)
def test_iptc_is_kept_where_there_is_a_place_and_as_xmp_elsewhere(output: str) -> None:
    body = kept(original(iptc=IPTC), output)
    if output == "jpeg":
        assert IPTC in body
    else:
        found = read_xmp(notice_xmp(body))
        assert NOTICE in found
        assert "Agency" in found
        assert "O'Neil &amp; &lt;Söhne&gt;" in found


def notice_xmp(body: bytes) -> bytes:
    start = body.index(b"<x:xmpmeta")
    return body[start : body.index(b"</x:xmpmeta>") + len(b"</x:xmpmeta>")]


def test_a_gif_has_the_words_of_exif_in_xmp() -> None:
    body = kept(original(exif=EXIF), "gif")
    assert NOTICE in read_xmp(notice_xmp(body))
    again = kept(body, "jpeg")
    assert NOTICE.encode() in again
    assert pictures.decode(body).shape[:2] == (30, 40)


def test_an_animation_keeps_the_words_and_its_frames() -> None:
    frames = pictures.moving_square()
    moving = pictures.encode_animation(frames, "webp")
    notice = CopyrightNotice(exif={COPYRIGHT: NOTICE})
    marked = embed(moving, "webp", notice)
    for format in ("webp", "gif"):
        body = kept(marked, format)
        assert NOTICE.encode() in body
        assert pictures.frame_count(body) == len(frames)


@pytest.mark.parametrize("output", FORMATS)
def test_all_places_are_kept_together(output: str) -> None:
    body = kept(original(exif=EXIF, xmp=XMP, iptc=IPTC), output)
    assert b"https://example.com/buy" in body
    assert b"Alle Rechte" in body
    if output != "gif":
        assert notice_of(body).exif == {ARTIST: AUTHOR, COPYRIGHT: NOTICE}
    assert b"Secret" not in body


@pytest.mark.parametrize("output", FORMATS)
def test_without_keep_nothing_is_kept(output: str) -> None:
    body = render_steps(
        original(exif=EXIF, xmp=XMP, iptc=IPTC), step("convert", format=output)
    ).body
    for words in (NOTICE.encode(), b"rights", b"Agency", b"Exif", b"xmpmeta"):
        assert words not in body


@pytest.mark.parametrize("output", FORMATS)
def test_pixels_are_those_without_a_notice(output: str) -> None:
    small = (step("resize", width=40), step("convert", format=output))
    with_notice = render_steps(original("png", exif=EXIF, xmp=XMP), step("keep"), *small).body
    without = render_steps(original("png"), *small).body
    assert pictures.decode(with_notice).tobytes() == pictures.decode(without).tobytes()


def test_a_notice_in_latin_becomes_utf8() -> None:
    exif = write_exif({COPYRIGHT: "XX Jo R"}).replace(b"XX Jo R", b"\xa9 Jo R")
    assert read_exif(exif) == {COPYRIGHT: "© Jo R"}
    iptc = write_iptc([(COPYRIGHT_NOTICE, b"\xa9 Jo R\xf6e")], is_utf8=False)
    assert "© Jo Röe".encode() in kept(original(iptc=iptc), "png")
    assert b"\xa9 Jo R\xf6e" in kept(original(iptc=iptc), "jpeg")


def test_the_texts_of_a_png_are_a_notice_too() -> None:
    body = original("png")
    texts = chunk(b"tEXt", b"Copyright\0\xa9 Jo") + chunk(
        b"iTXt", b"Author\0\0\0\0\0" + "Röe".encode()
    )
    marked = body[:33] + texts + body[33:]
    assert marked.startswith(PNG)
    assert notice_of(kept(marked, "jpeg")).exif == {COPYRIGHT: "© Jo", ARTIST: "Röe"}


def test_photographer_and_editor_stay_apart() -> None:
    exif = write_exif({COPYRIGHT: "Ann\0Bob"})
    assert notice_of(kept(original(exif=exif), "jpeg")).exif == {COPYRIGHT: "Ann\0Bob"}
    assert b"Ann; Bob" in kept(original(exif=exif), "gif")


def test_compress_to_size_counts_the_notice() -> None:
    body = kept(
        original(exif=EXIF, xmp=XMP), "jpeg", step("compress_to_size", max_file_size_in_bytes=3000)
    )
    assert len(body) <= 3000
    assert NOTICE.encode() in body


def test_xmp_with_entities_is_not_read() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]>' + XMP
    with pytest.raises(ValueError, match="document type"):
        read_xmp(bomb)
    body = kept(original("png", xmp=bomb), "jpeg")
    assert b"rights" not in body


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=50).filter(
    lambda text: text == text.strip(" ") and text
)


@given(st.dictionaries(st.sampled_from([ARTIST, COPYRIGHT]), texts))
def test_written_exif_reads_as_the_same(words: dict[int, str]) -> None:
    assert read_exif(write_exif(words)) == words


@given(st.lists(st.tuples(st.sampled_from([BY_LINE, CREDIT]), texts.map(str.encode)), max_size=4))
def test_written_iptc_reads_as_the_same(words: list[tuple[int, bytes]]) -> None:
    expected = tuple(each for each in words if each[1].strip(b" \0"))
    assert read_iptc(write_iptc(words, is_utf8=True)) == (expected, True)


@given(st.lists(texts, min_size=1, max_size=3), texts)
def test_written_xmp_reads_as_the_same(creators: list[str], rights: str) -> None:
    first = read_xmp(write_xmp("", {CREATOR: creators, RIGHTS: [rights]}))
    assert read_xmp(write_xmp(first, {CREATOR: ["other"]})) == first


@given(st.binary(max_size=60), st.sampled_from(["exif", "iptc", "xmp"]), st.integers(0, 200))
def test_damaged_metadata_never_rejects_a_picture(junk: bytes, part: str, at: int) -> None:
    whole = {
        "exif": b"Exif\0\0" + EXIF,
        "iptc": IPTC,
        "xmp": b"http://ns.adobe.com/xap/1.0/\0" + XMP,
    }
    marker = 0xED if part == "iptc" else 0xE1
    data = whole[part][:at] + junk + whole[part][at + len(junk) :]
    body = pictures.encode(SCENE, "jpeg")
    assert kept(body[:2] + segment(marker, data) + body[2:], "jpeg")


def test_a_notice_survives_a_second_rendition() -> None:
    body = original(exif=EXIF, xmp=XMP, iptc=IPTC)
    for format in ("webp", "avif", "png", "heif", "jpeg"):
        body = kept(body, format)
    assert notice_of(body).exif == {ARTIST: AUTHOR, COPYRIGHT: NOTICE}
    assert b"Alle Rechte" in body
