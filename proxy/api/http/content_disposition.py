"""Content-Disposition, built and never passed on (RFC 6266)."""

from urllib.parse import quote

from proxy.formats import Name

_SUFFIXES = {"jpeg": "jpg", "heif": "heic"}


def inline(filename: str, format: Name) -> bytes:
    """The header for a name without quotes, slashes and controls; it gets a suffix if it has none.

    A second spelling carries what is not ASCII; readers that know it prefer it.
    """
    if "." not in filename[1:]:
        filename = f"{filename}.{_SUFFIXES.get(format, format)}"
    plain = "".join(letter if " " <= letter <= "~" else "_" for letter in filename)
    if plain == filename:
        return f'inline; filename="{plain}"'.encode()
    return f"inline; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}".encode()
