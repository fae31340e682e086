"""Decode base64 in the variants that browsers, phones and servers send."""

import binascii
import contextlib
import re

from proxy.errors import InvalidUpload

_DATA_URI = re.compile(rb"\s*data:[^,]{0,256};base64,", re.IGNORECASE)
_MAX_PREFIX_BYTES = 512
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\r\n"


def decode_base64(text: bytes | memoryview) -> bytes:
    """Decode; a ``data:`` prefix, line breaks, the URL-safe alphabet and no padding are accepted.

    Raises InvalidUpload for anything else that is not base64.
    """
    prefix = _DATA_URI.match(bytes(text[:_MAX_PREFIX_BYTES]))
    text = text[prefix.end() :] if prefix else text
    # Most bodies are plain base64 and may be large: these are decoded without a copy.
    with contextlib.suppress(binascii.Error):
        return binascii.a2b_base64(text, strict_mode=True)
    standard = bytes(text).translate(_TO_STANDARD, _WHITESPACE).rstrip(b"=")
    try:
        return binascii.a2b_base64(standard + b"=" * (-len(standard) % 4), strict_mode=True)
    except binascii.Error as error:
        raise InvalidUpload("upload is not valid base64") from error
