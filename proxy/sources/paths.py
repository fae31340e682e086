"""The path in `NAME:path`: always below a root, whatever the root is."""

from proxy.errors import InvalidSource

MAX_BYTES = 4096
MAX_SEGMENT_BYTES = 255


def split_path(path: str) -> tuple[str, ...]:
    """The parts of a path between its slashes, none of which leads up, nowhere or to a hidden file.

    Raises BadSource with the reason.
    """
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        raise InvalidSource("the source's path is not UTF-8") from None
    if len(encoded) > MAX_BYTES:
        raise InvalidSource(f"the source's path is longer than {MAX_BYTES} bytes")
    if not path.isprintable():
        raise InvalidSource("the source's path holds control or other invisible characters")
    parts = tuple(path.split("/"))
    if not all(parts):
        raise InvalidSource(
            "the source's path is empty, or has a slash in front, behind or doubled"
        )
    if any(part.startswith(".") for part in parts):
        raise InvalidSource("the source's path has a part that begins with a dot")
    if any(len(part.encode()) > MAX_SEGMENT_BYTES for part in parts):
        raise InvalidSource(
            f"a part of the source's path is longer than {MAX_SEGMENT_BYTES} bytes"
        )
    return parts
