"""Build the ``Content-Disposition`` header (RFC 6266)."""

from urllib.parse import quote

from proxy.formats import FormatName

_SUFFIXES = {"jpeg": "jpg", "heif": "heic"}


def inline(filename: str, format: FormatName) -> bytes:
    """Return the header for a filename without quotes, slashes and control characters.

    A name without a suffix gets the format's. A name that is not ASCII is sent twice: as
    ``filename*``, which clients that know it prefer, and with ``_`` for each other character.
    """
    return _disposition("inline", filename, format)


def attachment(filename: str, format: FormatName) -> bytes:
    """Return the header of a file to save; the name may be empty, and is written as in `inline`."""
    return _disposition("attachment", filename, format) if filename else b"attachment"


def _disposition(kind: str, filename: str, format: FormatName) -> bytes:
    if "." not in filename[1:]:
        filename = f"{filename}.{_SUFFIXES.get(format, format)}"
    ascii_name = "".join(letter if " " <= letter <= "~" else "_" for letter in filename)
    if ascii_name == filename:
        return f'{kind}; filename="{ascii_name}"'.encode()
    encoded_name = quote(filename, safe="")
    return f"{kind}; filename=\"{ascii_name}\"; filename*=UTF-8''{encoded_name}".encode()
