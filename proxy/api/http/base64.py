"""Base64 as browsers, phones and servers send it."""

import binascii
import contextlib
import re

from proxy.errors import InvalidUpload

_DATA_URI = re.compile(rb"\s*data:[^,]{0,256};base64,", re.IGNORECASE)
_LONGEST_PREFIX = 512
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_BLANK = b" \t\r\n"


def decode_base64(text: bytes | memoryview) -> bytes:
    """The bytes. A ``data:`` prefix, line breaks, the URL-safe alphabet and no padding are fine.

    Raises BadUpload for anything else that is not base64.
    """
    prefix = _DATA_URI.match(bytes(text[:_LONGEST_PREFIX]))
    text = text[prefix.end() :] if prefix else text
    # Most bodies are plain base64 and may be large: those are read without a copy.
    with contextlib.suppress(binascii.Error):
        return binascii.a2b_base64(text, strict_mode=True)
    plain = bytes(text).translate(_TO_STANDARD, _BLANK).rstrip(b"=")
    try:
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4), strict_mode=True)
    except binascii.Error as error:
        raise InvalidUpload("this is not base64") from error
