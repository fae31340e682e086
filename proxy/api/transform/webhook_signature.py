"""Sign webhooks as Standard Webhooks does (https://www.standardwebhooks.com).

    webhook-id: msg_9f2c…
    webhook-timestamp: 1767225600
    webhook-signature: v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=

The signature is HMAC-SHA256 of ``{id}.{timestamp}.{body}``. The id is the same at every attempt, so
that a receiver can tell a repeated delivery.
"""

import hmac
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Sequence

_PREFIX = "whsec_"
_MIN_BYTES, _MAX_BYTES = 24, 64


class WebhookSigner:
    """Signs with every secret. It holds initialized HMAC states, not the secrets."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        """Raise ValueError with the position of a wrong secret, not the secret."""
        self._initialized = tuple(
            hmac.new(_decode(number, secret), digestmod="sha256")
            for number, secret in enumerate(secrets, 1)
        )

    def headers(self, id: str, timestamp: int, body: bytes) -> list[tuple[str, str]]:
        """Return the headers for a body; without secrets there is no signature among them."""
        headers = [("webhook-id", id), ("webhook-timestamp", str(timestamp))]
        signatures = [_sign(initialized, id, timestamp, body) for initialized in self._initialized]
        return [*headers, ("webhook-signature", " ".join(signatures))] if signatures else headers


def _sign(initialized: hmac.HMAC, id: str, timestamp: int, body: bytes) -> str:
    mac = initialized.copy()
    mac.update(f"{id}.{timestamp}.".encode())
    mac.update(body)
    return f"v1,{b64encode(mac.digest()).decode()}"


def _decode(number: int, secret: str) -> bytes:
    try:
        key = a2b_base64(secret.removeprefix(_PREFIX), strict_mode=True)
    except Base64Error:
        raise ValueError(f"secret {number} is not Base64 after whsec_") from None
    if not _MIN_BYTES <= len(key) <= _MAX_BYTES:
        raise ValueError(
            f"secret {number} has {len(key)} bytes; {_MIN_BYTES} to {_MAX_BYTES} are allowed"
        )
    return key
