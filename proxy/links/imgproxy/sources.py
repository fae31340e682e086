"""The source at the end of an imgproxy link: plain, in Base64, or encrypted; with its format."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple

from proxy.errors import ConfigError, InvalidLink
from proxy.links.imgproxy.config import ImgproxyConfig
from proxy.links.imgproxy.values import decode_base64, parse_base64
from proxy.links.percent_encoding import percent_decode

_BLOCK_BYTES = 16


class LinkSource(NamedTuple):
    """A source as it was written, and the format after it, or an empty text."""

    text: str
    format: str


class SourceDecoder:
    def __init__(self, config: ImgproxyConfig) -> None:
        """Raise ConfigError for a key of the wrong length, or if the cipher is not installed."""
        self._includes_filename = config.base64_url_includes_filename
        self._keys = [bytes.fromhex(key) for key in config.source_url_encryption_keys]
        if any(len(key) not in (16, 24, 32) for key in self._keys):
            raise ConfigError(
                "FRAMEKEEP_IMGPROXY_SOURCE_URL_ENCRYPTION_KEYS: a key has 16, 24 or 32 bytes"
            )
        if self._keys and find_spec("cryptography") is None:
            raise ConfigError(
                "FRAMEKEEP_IMGPROXY_SOURCE_URL_ENCRYPTION_KEYS: cryptography is missing; "
                "pip install 'framekeep[encrypted]'"
            )

    def decode(self, segments: Sequence[str]) -> LinkSource:
        """Decode the segments from the first one that is not an option. Raises InvalidLink."""
        match segments:
            case ["plain", _, *_]:
                return _decode_plain("/".join(segments[1:]))
            case ["enc", _, *_]:
                text, format = self._split_format(segments[1:])
                return LinkSource(self._decrypt(text), format)
            case _:
                text, format = self._split_format(segments)
                return LinkSource(_decode_base64(text), format)

    def _split_format(self, segments: Sequence[str]) -> tuple[str, str]:
        if self._includes_filename and len(segments) > 1:
            segments = segments[:-1]
        text, *formats = "".join(segments).split(".")
        if len(formats) > 1:
            raise InvalidLink("source: only one .format may follow a Base64 source")
        return text, formats[0] if formats else ""

    def _decrypt(self, text: str) -> str:
        if not self._keys:
            raise InvalidLink(
                "source: encrypted sources are not set up "
                "(FRAMEKEEP_IMGPROXY_SOURCE_URL_ENCRYPTION_KEYS)"
            )
        # An extra, and only for these links.
        from cryptography.hazmat.primitives.ciphers import (  # noqa: PLC0415
            Cipher,
            algorithms,
            modes,
        )

        data = decode_base64(text) or b""
        iv, encrypted = data[:_BLOCK_BYTES], data[_BLOCK_BYTES:]
        if encrypted and not len(encrypted) % _BLOCK_BYTES:
            for key in self._keys:
                decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
                padded = decryptor.update(encrypted) + decryptor.finalize()
                if (plain := _remove_padding(padded)) is not None:
                    return plain
        raise InvalidLink("source: cannot be decrypted with any of the keys")


def _decode_plain(text: str) -> LinkSource:
    source, *formats = text.split("@")
    if len(formats) > 1:
        raise InvalidLink("source: more than one @; write %40 for an @ of the source itself")
    return LinkSource(percent_decode(source), formats[0] if formats else "")


def _decode_base64(text: str) -> str:
    try:
        return parse_base64("source", text)
    except InvalidLink:
        raise InvalidLink(
            "source: is neither plain/URL nor UTF-8 text in base64url; an option has a "
            "separator, such as w:300"
        ) from None


def _remove_padding(padded: bytes) -> str | None:
    """The text without its PKCS #7 padding; None where the key was another one."""
    count = padded[-1]
    if not 1 <= count <= _BLOCK_BYTES or padded[-count:] != bytes([count]) * count:
        return None
    try:
        text = padded[:-count].decode()
    except UnicodeDecodeError:
        return None
    return text if text and text.isprintable() else None
