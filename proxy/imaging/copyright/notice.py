"""CopyrightNotice: what a file says about its copyright, by the place where it says so."""

from collections.abc import Mapping

from msgspec import Struct, field

MAX_TEXT_LENGTH = 4000
"""Characters of one text."""

MAX_XMP_BYTES = 32_768
"""Of what is kept of XMP, so that it fits into one segment of a JPEG."""


MAX_IPTC_TEXTS = 32

EXIF_TAGS = frozenset((ARTIST := 0x013B, COPYRIGHT := 0x8298))
"""Author and notice in EXIF."""

IPTC_NUMBERS = frozenset((BY_LINE := 80, CREDIT := 110, SOURCE := 115, COPYRIGHT_NOTICE := 116))
"""Author, agency, owner and notice in record 2 of IPTC."""


class CopyrightNotice(Struct, frozen=True):
    """``exif`` maps EXIF tags to texts.

    ``iptc`` are data sets as they stand in the file: number in record 2 and bytes;
    ``iptc_is_utf8`` if the file says that they are UTF-8. ``xmp`` are the elements of its
    description that are kept, as XML.
    """

    exif: Mapping[int, str] = field(default_factory=dict)
    iptc: tuple[tuple[int, bytes], ...] = ()
    iptc_is_utf8: bool = False
    xmp: str = ""

    def __bool__(self) -> bool:
        return bool(self.exif or self.iptc or self.xmp)


def decode_text(data: bytes) -> str:
    """UTF-8, which most programs write whatever the standard says, or else Latin."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
