"""Signatures of links: HMAC-SHA256 over the raw bytes, in base64url without padding.

A signature is written with 22 characters (16 bytes). It is accepted with 22 or all 43 characters.
Other base64 spellings are rejected, so each link has exactly one URL. The dialects sign and verify
(`proxy.links.native`), with the `Keyring` of their `DialectContext`.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence

MIN_KEY_BYTES = 16
_SIGNATURE_BYTES = 16


class Keyring:
    """Signing keys, the newest first: the newest signs, any verifies.

    It holds HMAC states that are initialized with the keys, not the keys.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Raise ValueError for a key of less than 16 bytes."""
        for number, key in enumerate(keys, 1):
            if len(key) < MIN_KEY_BYTES:
                raise ValueError(
                    f"signing key {number} has {len(key)} bytes; "
                    f"at least {MIN_KEY_BYTES} are needed"
                )
        self._initialized = tuple(hmac.new(key, digestmod="sha256") for key in keys)

    @classmethod
    def from_hex(cls, keys: Sequence[str]) -> "Keyring":
        """Take keys in hexadecimal. Raises ValueError with the key's position, not the key."""
        return cls([_decode_hex(number, key) for number, key in enumerate(keys, 1)])

    def __len__(self) -> int:
        return len(self._initialized)

    def __repr__(self) -> str:
        return f"Keyring({len(self)} keys)"

    def sign(self, message: bytes) -> str:
        """Sign with the newest key."""
        return _encode(_mac(self._initialized[0], message)[:_SIGNATURE_BYTES]).decode()

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether any of the keys made this signature. Constant time: every key is tried."""
        valid = False
        for initialized in self._initialized:
            mac = _mac(initialized, message)
            valid |= hmac.compare_digest(_encode(mac[:_SIGNATURE_BYTES]), signature)
            valid |= hmac.compare_digest(_encode(mac), signature)
        return valid


def _mac(initialized: hmac.HMAC, message: bytes) -> bytes:
    mac = initialized.copy()
    mac.update(message)
    return mac.digest()


def _encode(mac: bytes) -> bytes:
    return urlsafe_b64encode(mac).rstrip(b"=")


def _decode_hex(number: int, key: str) -> bytes:
    try:
        return bytes.fromhex(key)
    except ValueError:
        # The cause would quote a character of the key.
        raise ValueError(f"signing key {number} is not hexadecimal") from None
