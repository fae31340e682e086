"""The picture in a ``multipart/form-data`` body (RFC 7578): enough of it for one file.

Parts, and the header of each, are bounded, so that no body makes much of little.
"""

import re
from email.message import Message

from proxy.errors import InvalidUpload

MOST_PARTS = 32
LONGEST_HEAD = 8192

_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")


def file(body: bytes, content_type: str) -> bytes:
    """The bytes of the first part with a file name; else of the first whose type is an image's.

    A boundary that the header does not tell is taken from the body's first line. Raises BadUpload.
    """
    parts = _parts(body, _boundary(body, content_type))
    for head, data in parts:
        if head.get_filename() is not None:
            return data
    for head, data in parts:
        kind = head.get("content-type", "").partition(";")[0].strip().lower()
        if kind.startswith("image/") or kind == "application/octet-stream":
            return data
    raise InvalidUpload("the form has no file")


def _boundary(body: bytes, content_type: str) -> bytes:
    header = Message()
    header["content-type"] = content_type
    told = header.get_param("boundary")
    if isinstance(told, str) and told:
        boundary = told.encode("latin-1", "replace")
    else:
        line = body[:256].partition(b"\r\n")[0]
        if not line.startswith(b"--"):
            raise InvalidUpload("the form has no boundary")
        boundary = line[2:]
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidUpload("the form's boundary is not 1 to 70 characters of those allowed")
    return boundary


def _parts(body: bytes, boundary: bytes) -> list[tuple[Message, bytes]]:
    mark = b"\r\n--" + boundary
    body = b"\r\n" + body  # the first boundary may stand at the very start
    start = body.find(mark)
    found: list[tuple[Message, bytes]] = []
    while start >= 0:
        start += len(mark)
        if body.startswith(b"--", start):
            return found
        if len(found) == MOST_PARTS:
            raise InvalidUpload(f"the form has more than {MOST_PARTS} parts")
        end = body.find(mark, start)
        if end < 0:
            raise InvalidUpload("the form breaks off")
        found.append(_part(body, start, end))
        start = end
    raise InvalidUpload("the form's boundary is not in it")


def _part(body: bytes, start: int, end: int) -> tuple[Message, bytes]:
    head_end = body.find(b"\r\n\r\n", start, min(end, start + LONGEST_HEAD))
    if head_end < 0:
        raise InvalidUpload(f"a part of the form has no header of at most {LONGEST_HEAD} bytes")
    head = Message()
    for line in body[start:head_end].split(b"\r\n"):
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if colon:
            head[name.strip()] = value.strip()
    return head, body[head_end + 4 : end]
