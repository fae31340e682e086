"""Find the part of a link that an error is about."""

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from itertools import islice
from urllib.parse import unquote

from proxy import errors

_MAX_SEGMENTS = 64
"""Segments in which the start of the source is looked for."""


def find_faulty_part(error: Exception, target: str) -> tuple[int, int] | None:
    """Return start and end of the part in the raw path, to be marked; None where it is not known.

    A wrong step or signature is known by its text, a source by what it decodes to, and an operation
    that cannot be applied by its name, where the link has it once.
    """
    if isinstance(error, errors.InvalidSignature):
        return _find_segment(target, target[1:].partition("/")[0])
    if segment := errors.faulty_segment(error):
        return _find_segment(target, segment)
    if isinstance(error, errors.OperationNotApplicable):
        return _find_operation(target, str(error).partition(":")[0])
    if isinstance(error, errors.SourceError | errors.NotAnImage | errors.BrokenImage):
        return _find_source(target, error.source) if error.source else None
    return None


def _find_segment(target: str, segment: str) -> tuple[int, int] | None:
    """Where the segment is, from one slash to the next; None where a proxy has rewritten it."""
    start = f"{target}/".find(f"/{segment}/") if segment else -1
    return None if start < 0 else (start + 1, start + 1 + len(segment))


def _find_operation(target: str, name: str) -> tuple[int, int] | None:
    found = [
        (start, end)
        for start, end in _segments(target)
        if target[start:end].partition(":")[0] == name
    ]
    return found[0] if len(found) == 1 else None


def _find_source(target: str, source: str) -> tuple[int, int] | None:
    """Where the source at the end of the link is."""
    for start, _ in islice(_segments(target), _MAX_SEGMENTS):
        if _is_source(target[start:], source):
            return start, len(target)
    return None


def _is_source(rest: str, source: str) -> bool:
    """Whether the rest of the link decodes to the source, in any of the dialects."""
    without_format = rest.rpartition("@")[0]  # imgproxy's way to ask for a format
    if {unquote(rest), unquote(without_format)} & {source, source.partition("://")[2] or source}:
        return True
    encoded = rest.removeprefix("b64:").partition(".")[0].replace("/", "")
    try:
        return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)) == source.encode()
    except (Base64Error, ValueError):
        return False


def _segments(target: str) -> Iterator[tuple[int, int]]:
    """Start and end of each segment."""
    start = 1
    while 0 < start <= len(target):
        end = target.find("/", start)
        end = len(target) if end < 0 else end
        yield start, end
        start = end + 1
