"""Base64 as browsers, phones and servers send it."""

import binascii
import re

from proxy.errors import BadUpload

_DATA_URI = re.compile(rb"\s*data:[^,]{0,256};base64,", re.IGNORECASE)
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_BLANK = b" \t\r\n"


def decoded(text: bytes) -> bytes:
    """The bytes. A ``data:`` prefix, line breaks, the URL-safe alphabet and no padding are fine.

    Raises BadUpload for anything else that is not base64.
    """
    prefix = _DATA_URI.match(text)
    plain = text[prefix.end() :] if prefix else text
    plain = plain.translate(_TO_STANDARD, _BLANK).rstrip(b"=")
    try:
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4), strict_mode=True)
    except binascii.Error as error:
        raise BadUpload("this is not base64") from error
