"""Strict http(s) URLs: what the SSRF policy checks is exactly what is requested.

Two parsers that disagree about a URL's host are how an SSRF check is bypassed. So there is one
parser here, and it rejects what another one could read differently instead of repairing it.
"""

import re
import unicodedata
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal
from urllib.parse import quote, unquote, urljoin

import idna
from msgspec import Struct

from proxy.errors import InvalidSource

MAX_LENGTH = 8192
MAX_HOST_LENGTH = 253
MAX_LABEL_LENGTH = 63

_URL = re.compile(r"(https?)://([^/?]*)(.*)", re.ASCII | re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.ASCII | re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?", re.ASCII)
_DOT = re.compile("[.\u3002\uff0e\uff61]")
_ENCODED_CHARACTERS = re.compile(r"(?:%[89a-f][0-9a-f])+", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_QUERY = re.compile(r"(?<=\S)\?[^\s'\"<>]+")
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Url(Struct, frozen=True):
    """An http(s) URL in parts.

    ``host`` is in lower case and ASCII, an IPv6 address without brackets; ``target`` is the path
    with its query, printable ASCII, beginning with a slash.
    """

    scheme: Literal["http", "https"]
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def server(self) -> str:
        """The host with its port, also where it is the default."""
        return f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """What the header ``Host`` says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_url(text: str) -> Url:
    """Parse a URL. Raises InvalidSource with the reason."""
    if len(text) > MAX_LENGTH:
        raise InvalidSource(f"URL too long: at most {MAX_LENGTH} characters")
    if any(character <= " " or character == "\x7f" for character in text):
        raise InvalidSource("URL contains a space or control character; percent-encode it")
    if "\\" in text:
        raise InvalidSource("URL contains a backslash; percent-encode it")
    if "#" in text:
        raise InvalidSource("URL has a fragment (#…), which is never sent; remove it")
    match = _URL.fullmatch(text)
    if match is None:
        raise InvalidSource("invalid URL: must be http:// or https:// with a host")
    scheme, authority, target = match.groups()
    if "@" in authority:
        raise InvalidSource("URL contains a user name or password; remove it")
    host, port = _parse_authority(authority)
    secure = scheme.lower() == "https"
    try:
        return Url(
            scheme="https" if secure else "http",
            host=host,
            port=port or _DEFAULT_PORTS["https" if secure else "http"],
            target=quote(target if target.startswith("/") else f"/{target}", safe=_PRINTABLE),
        )
    except UnicodeEncodeError:
        raise InvalidSource("URL contains lone surrogates, which are no characters") from None


def resolve_redirect(base: Url, location: str) -> Url:
    """Resolve a ``Location`` header. Raises InvalidSource for anything but an http(s) URL.

    Spaces and non-ASCII characters, which servers often leave as they are, are percent-encoded.
    Otherwise it is as strict as `parse_url`.
    """
    raw = location.partition("#")[0].encode(errors="surrogateescape")
    target = quote(raw, safe=_PRINTABLE + " ").replace(" ", "%20")
    if _SCHEME.match(target):
        return parse_url(target)
    if target.startswith("//"):
        return parse_url(f"{base.scheme}:{target}")
    return parse_url(urljoin(base.text, target))


def redact_queries(text: str) -> str:
    """Remove the query of every URL in a text, such as an error: it may be a secret."""
    return _QUERY.sub("?…", text)


def normalize_host(text: str) -> str:
    """The host as it is resolved: lower case, A-labels. Raises InvalidSource with the reason."""
    if not text:
        raise InvalidSource("URL has no host")
    text = _ENCODED_CHARACTERS.sub(_decode_characters, text)
    if "%" in text:
        raise InvalidSource("URL host is percent-encoded; decode it")
    if text.endswith("."):
        raise InvalidSource("URL host ends with a dot; remove it")
    labels = [_normalize_label(label) for label in _DOT.split(text.lower())]
    name = ".".join(labels)
    if len(name) > MAX_HOST_LENGTH:
        raise InvalidSource(f"URL host too long: at most {MAX_HOST_LENGTH} characters")
    # A parser that takes `0177.1`, `2130706433` or `0x7f.1` for an address connects elsewhere.
    if _NUMBER.fullmatch(labels[-1]):
        try:
            if not text.isascii():
                raise AddressValueError  # noqa: TRY301 - the same answer
            return str(IPv4Address(name))
        except AddressValueError:
            raise InvalidSource(
                "URL host is a number but not a plain IPv4 address: write four decimals without "
                "leading zeros"
            ) from None
    return name


def _decode_characters(match: re.Match[str]) -> str:
    """Decode characters beyond ASCII: a browser encodes them where a URL is part of a path."""
    try:
        return unquote(match[0], errors="strict")
    except UnicodeDecodeError:
        raise InvalidSource("URL host is percent-encoded, and not in UTF-8") from None


def _normalize_label(label: str) -> str:
    # No label of more characters fits, and to convert one takes time in the square of its length.
    if len(label) <= MAX_LABEL_LENGTH and (not label.isascii() or label.startswith("xn--")):
        try:
            label = _to_ascii(label) if not label.isascii() else _check_ascii(label)
        except (idna.IDNAError, UnicodeError):
            raise InvalidSource(
                "URL host is not a valid internationalized domain name (IDNA 2008 after the "
                "mapping of UTS 46)"
            ) from None
    if len(label) > MAX_LABEL_LENGTH or not _LABEL.fullmatch(label):
        raise InvalidSource("invalid URL host: each label must be 1 to 63 letters, digits, hyphens")
    return label


def _to_ascii(label: str) -> str:
    """The A-label of a label, as browsers find it: IDNA 2008 after UTS 46, and symbols."""
    mapped = idna.uts46_remap(label, std3_rules=False, transitional=False)
    if mapped.isascii() or len(mapped) > MAX_LABEL_LENGTH:
        # Full-width and circled digits, soft hyphens: another parser reads another name.
        raise idna.IDNAError
    try:
        return idna.alabel(mapped).decode("ascii")
    except idna.IDNAError:
        if not _is_symbolic(mapped):
            raise
        return _symbolic_a_label(mapped)


def _check_ascii(label: str) -> str:
    try:
        return idna.alabel(label).decode("ascii")
    except idna.IDNAError:
        mapped = label.removeprefix("xn--").encode().decode("punycode")
        remapped = idna.uts46_remap(mapped, std3_rules=False, transitional=False)
        if remapped != mapped or not _is_symbolic(mapped) or _symbolic_a_label(mapped) != label:
            raise
        return label


def _symbolic_a_label(label: str) -> str:
    return f"xn--{label.encode('punycode').decode('ascii')}"


def _is_symbolic(label: str) -> bool:
    """Whether the label has symbols, such as emoji, and is valid in IDNA 2008 without them."""
    rest = "".join(
        character
        for character in label
        if character.isascii() or not unicodedata.category(character).startswith("S")
    )
    if rest and not _LABEL.fullmatch(rest):
        idna.alabel(rest)
    return rest != label


def _parse_authority(text: str) -> tuple[str, int | None]:
    """Host and port; the port is None if the URL has none."""
    if text.startswith("["):
        literal, bracket, rest = text[1:].partition("]")
        if not bracket or "%" in literal:
            raise InvalidSource(
                "invalid URL host: must be an IPv6 address in brackets, without a zone"
            )
        try:
            host = str(IPv6Address(literal))
        except AddressValueError:
            raise InvalidSource("invalid URL host: no IPv6 address in the brackets") from None
        if rest and not rest.startswith(":"):
            raise InvalidSource("invalid URL: only a port may follow the host")
        colon, port = rest[:1], rest[1:]
    else:
        name, colon, port = text.partition(":")
        host = normalize_host(name)
    if not colon:
        return host, None
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise InvalidSource("invalid URL port: must be a number from 1 to 65535")
    return host, int(port)
