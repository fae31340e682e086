"""Build the ``Content-Disposition`` header (RFC 6266)."""

from urllib.parse import quote

from proxy.formats import FORMATS, FormatName

_SUFFIXES = {
    "jpeg": ("jpg", "jpeg", "jpe", "jfif"),
    "heif": ("heic", "heif"),
    "tiff": ("tif", "tiff"),
}


_UNSAFE = frozenset('"\\%')


def inline(filename: str, format: FormatName) -> bytes:
    """Return the header for a filename without slashes and control characters.

    The name gets the suffix of the format, in place of that of another image format. A name that is
    not ASCII is sent twice: as ``filename*``, which clients that know it prefer, and with ``_`` for
    each other character. So are quotes, and the percent sign, which some browsers decode.
    """
    return _disposition("inline", filename, format)


def attachment(filename: str, format: FormatName) -> bytes:
    """Return the header of a file to save; the name may be empty, and is written as in `inline`."""
    return _disposition("attachment", filename, format) if filename else b"attachment"


def _disposition(kind: str, filename: str, format: FormatName) -> bytes:
    filename = _with_suffix(filename, format)
    ascii_name = "".join(
        letter if " " <= letter <= "~" and letter not in _UNSAFE else "_" for letter in filename
    )
    if ascii_name == filename:
        return f'{kind}; filename="{ascii_name}"'.encode()
    encoded_name = quote(filename, safe="")
    return f"{kind}; filename=\"{ascii_name}\"; filename*=UTF-8''{encoded_name}".encode()


def _with_suffix(filename: str, format: FormatName) -> str:
    name, dot, suffix = filename.rpartition(".")
    if not name or suffix.lower() not in _ALL_SUFFIXES:
        name, dot, suffix = filename, ".", ""
    accepted = _suffixes(format)
    return f"{name}{dot}{suffix if suffix.lower() in accepted else accepted[0]}"


def _suffixes(format: str) -> tuple[str, ...]:
    return _SUFFIXES.get(format, (format,))


_ALL_SUFFIXES = frozenset(suffix for format in FORMATS for suffix in _suffixes(format))
