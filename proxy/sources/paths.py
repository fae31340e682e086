"""The path in ``ALIAS:path``: always below a root, whatever the root is."""

from proxy.errors import InvalidSource
from proxy.originals import OriginalRef, SourceRef

MAX_BYTES = 4096
MAX_SEGMENT_BYTES = 255


def require_alias(ref: OriginalRef) -> SourceRef:
    """The reference, unless it has a body or request headers. Raises InvalidSource."""
    if not isinstance(ref, SourceRef) or ref.headers:
        raise InvalidSource("source alias: takes neither a body nor request headers")
    return ref


def split_path(path: str) -> tuple[str, ...]:
    """Split a path at its slashes; no segment leads up, is empty or names a hidden file.

    Raises InvalidSource with the reason.
    """
    try:
        encoded = path.encode()
    except UnicodeEncodeError:
        raise InvalidSource("source path is not UTF-8") from None
    if len(encoded) > MAX_BYTES:
        raise InvalidSource(f"source path too long: at most {MAX_BYTES} bytes")
    if not path.isprintable():
        raise InvalidSource("source path contains control characters or other invisible ones")
    segments = tuple(path.split("/"))
    if not all(segments):
        raise InvalidSource("source path is empty, or has a leading, trailing or double slash")
    if any(segment.startswith(".") for segment in segments):
        raise InvalidSource("source path has a segment that begins with a dot")
    if any(len(segment.encode()) > MAX_SEGMENT_BYTES for segment in segments):
        raise InvalidSource(f"source path segment too long: at most {MAX_SEGMENT_BYTES} bytes")
    return segments
