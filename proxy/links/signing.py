"""Who wrote this link: the keyring signs with its newest key and accepts any.

A signature is HMAC-SHA256 over raw bytes in base64url without padding: 22 characters (16 bytes) are
written, 22 or all 43 are read, each in its one canonical spelling, so that a link has one address.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence

MIN_KEY_BYTES = 16


class Keyring:
    """Signing keys, the newest first. What is kept is primed hashes, never the keys themselves."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Raises ValueError for a key of less than 16 bytes."""
        for at, key in enumerate(keys, 1):
            if len(key) < MIN_KEY_BYTES:
                raise ValueError(
                    f"signing key {at} has {len(key)} bytes; at least {MIN_KEY_BYTES} are needed"
                )
        self._primed = tuple(hmac.new(key, digestmod="sha256") for key in keys)

    @classmethod
    def from_hex(cls, keys: Sequence[str]) -> "Keyring":
        """Keys as settings hold them. Raises ValueError naming the key's position, not the key."""
        return cls([_bytes(at, key) for at, key in enumerate(keys, 1)])

    def __len__(self) -> int:
        return len(self._primed)

    def __repr__(self) -> str:
        return f"Keyring({len(self)} keys)"

    def sign(self, message: bytes) -> str:
        """The signature by the newest key."""
        return _text(_mac(self._primed[0], message)[:16]).decode()

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether any of the keys made this signature; takes the same time whichever did."""
        good = False
        for primed in self._primed:
            mac = _mac(primed, message)
            good |= hmac.compare_digest(_text(mac[:16]), signature)
            good |= hmac.compare_digest(_text(mac), signature)
        return good


def _mac(primed: hmac.HMAC, message: bytes) -> bytes:
    mac = primed.copy()
    mac.update(message)
    return mac.digest()


def _text(mac: bytes) -> bytes:
    return urlsafe_b64encode(mac).rstrip(b"=")


def _bytes(at: int, key: str) -> bytes:
    try:
        return bytes.fromhex(key)
    except ValueError:
        # The cause would quote a character of the key.
        raise ValueError(f"signing key {at} is not hexadecimal") from None
