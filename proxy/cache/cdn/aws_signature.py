"""AWS Signature Version 4, as far as a POST with a short body needs it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from datetime import UTC, datetime
from typing import NamedTuple

from proxy.sources.net.url import Url


class AwsCredentials(NamedTuple):
    access_key_id: str
    secret_access_key: str
    session_token: str = ""
    """Of temporary credentials only."""


def sign_post(
    url: Url, body: bytes, credentials: AwsCredentials, *, region: str, service: str, now: datetime
) -> list[tuple[str, str]]:
    """Return the headers of the request. ``url`` has no query, and a path that needs no escapes."""
    time = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {
        "content-type": "application/xml",
        "host": url.authority,
        "x-amz-content-sha256": digest,
        "x-amz-date": time,
    }
    if credentials.session_token:
        headers["x-amz-security-token"] = credentials.session_token
    signed = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"POST\n{url.target}\n\n{lines}\n{signed}\n{digest}"
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (time[:8], region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={signed}, Signature={signature}"
    )
    del headers["host"]  # the HTTP client writes it
    return list(headers.items())
