"""Verify the signature of an imgproxy link: HMAC-SHA256 with a key over salt and path."""

import hmac
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Sequence
from itertools import chain

from proxy.errors import ConfigError, InvalidLink, InvalidSignature
from proxy.links.imgproxy.config import ImgproxyConfig
from proxy.links.repair import repaired_paths

_BASE64 = re.compile(rb"[A-Za-z0-9_-]+")
_MERGED_SLASHES = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*):/(?=[^/])")


class ImgproxyVerifier:
    def __init__(self, config: ImgproxyConfig) -> None:
        """Raise ConfigError where the dialect would be open, or keys and salts do not match."""
        if len(config.keys) != len(config.salts):
            raise ConfigError(
                f"FRAMEKEEP_IMGPROXY_SALTS: there are {len(config.salts)} salts for "
                f"{len(config.keys)} keys; each key needs its salt"
            )
        if not config.keys and not config.allow_unsigned:
            raise ConfigError(
                "FRAMEKEEP_IMGPROXY_KEYS is not set, so no imgproxy link can be verified: set keys "
                "and salts, or accept unsigned links from everybody with "
                "FRAMEKEEP_IMGPROXY_ALLOW_UNSIGNED=true"
            )
        self._allow_unsigned = config.allow_unsigned
        self._size = config.signature_size
        self._trusted = [text.encode() for text in config.trusted_signatures]
        self._initialized = [
            _initialize(key, salt) for key, salt in zip(config.keys, config.salts, strict=True)
        ]

    def verify(self, signature: bytes, path: bytes) -> bytes:
        """Return the path as it was signed; it begins with the slash after the signature.

        A CDN or proxy may have rewritten it. Raises InvalidSignature.
        """
        repaired = repair(path)
        if self._allow_unsigned:
            if b":" in signature:
                raise InvalidLink(
                    "signature missing: the first segment is an option; write any word in front "
                    "of it, such as unsafe"
                )
            return repaired
        if self._is_trusted(signature):
            return repaired
        mac = _decode(signature)
        if mac is None or len(mac) != self._size:
            raise InvalidSignature(
                f"signature missing or malformed: it is {self._size} bytes in base64url without "
                "padding (FRAMEKEEP_IMGPROXY_SIGNATURE_SIZE)"
            )
        for candidate in _candidates(path, repaired):
            if self._matches(mac, candidate):
                return candidate
        raise InvalidSignature(
            "signature mismatch: the link was signed with another key or salt, or changed after "
            "signing"
        )

    def _is_trusted(self, signature: bytes) -> bool:
        found = False
        for trusted in self._trusted:
            found |= hmac.compare_digest(signature, trusted)
        return found

    def _matches(self, mac: bytes, path: bytes) -> bool:
        """Whether any pair of key and salt made it. Constant time: every pair is tried."""
        found = False
        for initialized in self._initialized:
            expected = initialized.copy()
            expected.update(path)
            found |= hmac.compare_digest(expected.digest()[: self._size], mac)
        return found


def repair(path: bytes) -> bytes:
    """Undo what CDNs do to a path: ``%3A`` in options, and a merged ``//`` in a plain source."""
    before, plain, source = path.partition(b"/plain/")
    before = before.replace(b"%3A", b":")
    found = _MERGED_SLASHES.match(source) if plain else None
    if found is None:
        return before + plain + source
    slashes = b":///" if found[1] == b"local" else b"://"
    return before + plain + found[1] + slashes + source[found.end() :]


def _candidates(path: bytes, repaired: bytes) -> Iterator[bytes]:
    once: Sequence[bytes] = (repaired,) if repaired == path else (repaired, path)
    return chain(once, repaired_paths(path))


def _decode(signature: bytes) -> bytes | None:
    if not _BASE64.fullmatch(signature) or len(signature) % 4 == 1:
        return None
    return urlsafe_b64decode(signature + b"=" * (-len(signature) % 4))


def _initialize(key: str, salt: str) -> hmac.HMAC:
    initialized = hmac.new(bytes.fromhex(key), digestmod="sha256")
    initialized.update(bytes.fromhex(salt))
    return initialized
