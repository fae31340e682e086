"""Verify the signature of a thumbor or imagor link: an HMAC over all that follows it."""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator

from proxy.errors import ConfigError, InvalidSignature
from proxy.links.repair import repaired_paths, restore_merged_slashes
from proxy.links.thumbor.config import ImagorConfig, ThumborConfig

_ENCODED_PADDING = re.compile(rb"%3d", re.IGNORECASE)
_UNSIGNED = b"unsafe"


class ThumborVerifier:
    def __init__(self, config: ThumborConfig | ImagorConfig, section: str) -> None:
        """Raise ConfigError where the dialect would be open without being meant to."""
        variable = f"FRAMEKEEP_{section.upper()}"
        if not config.keys and not config.allow_unsigned:
            raise ConfigError(
                f"{variable}_KEYS is not set, so no {section} link can be verified: set a key, or "
                f"accept unsigned links from everybody with {variable}_ALLOW_UNSIGNED=true"
            )
        self._variable = variable
        self._allow_unsigned = config.allow_unsigned
        # SHA-1 is what thumbor signs with. As an HMAC it is not broken.
        algorithm, length = "sha1", 0
        if isinstance(config, ImagorConfig):
            algorithm, length = config.signature_algorithm, config.signature_length
        self._macs = [hmac.new(key.encode(), digestmod=algorithm) for key in config.keys]
        size = len(urlsafe_b64encode(hmac.new(b"", digestmod=algorithm).digest()))
        self._length = min(size, length or size)
        self._decodes = isinstance(config, ImagorConfig)

    def verify(self, signature: bytes, path: bytes) -> bytes:
        """Return the path as it was signed: all that follows the slash after the signature.

        A proxy may have merged slashes in it. Raises InvalidSignature.
        """
        if signature == _UNSIGNED:
            if self._allow_unsigned:
                return restore_merged_slashes(b"/" + path)[1:]
            raise InvalidSignature(
                f"unsigned links are not accepted here ({self._variable}_ALLOW_UNSIGNED)"
            )
        signature = _ENCODED_PADDING.sub(b"=", signature)
        if len(signature) != self._length:
            raise InvalidSignature(
                f"signature missing or malformed: a link begins with unsafe or with a signature of "
                f"{self._length} characters, the = at the end included"
            )
        if not self._macs:  # everybody may write unsafe instead
            return restore_merged_slashes(b"/" + path)[1:]
        for candidate in self._candidates(path):
            if self._matches(signature, candidate):
                return candidate
        raise InvalidSignature(
            "signature mismatch: the link was signed with another key, or changed after signing"
        )

    def _candidates(self, path: bytes) -> Iterator[bytes]:
        yield path
        if self._decodes:
            yield from (repaired[1:] for repaired in repaired_paths(b"/" + path))
        elif (repaired := restore_merged_slashes(b"/" + path)[1:]) != path:
            yield repaired

    def _matches(self, signature: bytes, path: bytes) -> bool:
        """Whether any key made it. Constant time: every key is tried."""
        found = False
        for mac in self._macs:
            expected = mac.copy()
            expected.update(path)
            text = urlsafe_b64encode(expected.digest())[: self._length]
            found |= hmac.compare_digest(text, signature)
        return found
