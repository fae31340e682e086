"""Find the image in a ``multipart/form-data`` body (RFC 7578)."""

import re

from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from proxy.errors import InvalidUpload

MAX_PARTS = 32
MAX_HEADERS = 8
MAX_HEADER_BYTES = 4096
MAX_CONTENT_TYPE_LENGTH = 1024

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")


def extract_file(body: bytes, content_type: str) -> bytes:
    """Return the first part with a filename, else the first part whose type is an image's.

    Raises InvalidUpload for a malformed form, or one without a file.
    """
    parts = _parse(body, _boundary(body, content_type))
    for segment, data in parts:
        if segment.filename is not None:
            return data
    for segment, data in parts:
        media_type = segment.content_type or ""
        if media_type.startswith("image/") or media_type == "application/octet-stream":
            return data
    raise InvalidUpload("form has no file")


def _boundary(body: bytes, content_type: str) -> str:
    """Return the boundary that the header declares, else that of the body's first line."""
    if len(content_type) > MAX_CONTENT_TYPE_LENGTH:
        raise InvalidUpload(
            f"Content-Type is too long: at most {MAX_CONTENT_TYPE_LENGTH} characters"
        )
    _, parameters = parse_options_header(content_type)
    boundary: str = parameters.get("boundary", "")
    if not boundary:
        first_line = body[:256].partition(b"\r\n")[0].decode("latin-1")
        if not first_line.startswith("--"):
            raise InvalidUpload("form has no boundary: Content-Type declares none")
        boundary = first_line[2:]
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidUpload("form boundary is not 1 to 70 of the characters of RFC 2046")
    if f"--{boundary}".encode() not in body:
        raise InvalidUpload("form does not contain its boundary")
    return boundary


def _parse(body: bytes, boundary: str) -> list[tuple[MultipartSegment, bytes]]:
    """Return the parts with their data; both are bounded, so that no small body costs much."""
    parser = PushMultipartParser(
        boundary,
        max_header_size=MAX_HEADER_BYTES,
        max_header_count=MAX_HEADERS,
        max_segment_count=MAX_PARTS,
        strict=True,  # a folded header would be copied once for each of its lines
    )
    parts: list[tuple[MultipartSegment, bytes]] = []
    try:
        with parser:
            for event in parser.parse(body):
                if isinstance(event, MultipartSegment):
                    parts.append((event, b""))
                elif event is not None:
                    segment, data = parts.pop()
                    parts.append((segment, data + event))
    except ParserLimitReached as error:
        raise InvalidUpload(
            f"form is over a limit of {MAX_PARTS} parts, {MAX_HEADERS} headers each, "
            f"{MAX_HEADER_BYTES} bytes a header: {error}"
        ) from error
    except MultipartError as error:
        raise InvalidUpload(f"form is malformed: {error.args[0]}") from error
    return parts
