"""URLs as we ask them: strict to the letter, so that what is checked is what is asked.

Two readers of one URL that disagree about its host are how a check is talked round. So there is one
reader here, and it refuses whatever another could read differently, instead of mending it.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal
from urllib.parse import quote, urljoin

import idna
from msgspec import Struct

from proxy.errors import InvalidSource

MAX_LENGTH = 8192

_START = re.compile(r"(https?)://([^/?]*)(.*)", re.ASCII | re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.ASCII | re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?", re.ASCII)
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
    def text(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.target}"


def parse_url(text: str) -> Url:
    """The URL in parts; raises BadSource with the reason."""
    if len(text) > MAX_LENGTH:
        raise InvalidSource(f"the source URL is longer than {MAX_LENGTH} characters")
    if any(character <= " " or character == "\x7f" for character in text):
        raise InvalidSource("the source URL holds a space or control character; percent-encode it")
    if "\\" in text:
        raise InvalidSource("the source URL holds a backslash; percent-encode it")
    if "#" in text:
        raise InvalidSource("the source URL has a fragment (#…), which is never sent; leave it out")
    found = _START.fullmatch(text)
    if found is None:
        raise InvalidSource("the source is not an http:// or https:// URL with a host")
    scheme, authority, target = found.groups()
    if "@" in authority:
        raise InvalidSource("the source URL holds a user name or password; leave it out")
    host, port = _authority(authority)
    secure = scheme.lower() == "https"
    try:
        return Url(
            scheme="https" if secure else "http",
            host=host,
            port=port or _DEFAULT_PORTS["https" if secure else "http"],
            target=quote(target if target.startswith("/") else f"/{target}", safe=_PRINTABLE),
        )
    except UnicodeEncodeError:
        raise InvalidSource(
            "the source URL holds characters that are none (lone surrogates)"
        ) from None


def resolve_redirect(base: Url, location: str) -> Url:
    """Where a redirect leads; raises BadSource for what is no http(s) URL.

    Servers often leave spaces and letters beyond ASCII as they are: these are percent-encoded
    here. Anything else is as strict as `read`.
    """
    raw = location.partition("#")[0].encode(errors="surrogateescape")
    asked = quote(raw, safe=_PRINTABLE + " ").replace(" ", "%20")
    if _SCHEME.match(asked):
        return parse_url(asked)
    if asked.startswith("//"):
        return parse_url(f"{base.scheme}:{asked}")
    return parse_url(urljoin(base.text, asked))


def redact_queries(text: str) -> str:
    """The text, of an error say, with the query left out of every URL in it: it may be a secret."""
    return _QUERY.sub("?…", text)


def normalize_host(text: str) -> str:
    """The host as it is looked up: lower case, A-labels; raises BadSource with the reason."""
    if not text:
        raise InvalidSource("the source URL has no host")
    if "%" in text:
        raise InvalidSource("the source's host is percent-encoded; write it out")
    if text.endswith("."):
        raise InvalidSource("the source's host ends with a dot; leave it out")
    labels = [_label(label) for label in text.lower().split(".")]
    name = ".".join(labels)
    if len(name) > 253:
        raise InvalidSource("the source's host is longer than 253 characters")
    # Whoever reads `0177.1`, `2130706433` or `0x7f.1` as an address dials another host than we see.
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise InvalidSource(
                "the source's host is a number that is no plain IPv4 address (four decimals, "
                "no leading zeros)"
            ) from None
    return name


def _label(label: str) -> str:
    if not label.isascii() or label.startswith("xn--"):
        # Strict IDNA 2008: what would have to be mapped first (full-width and circled digits,
        # soft hyphens, joiners, other dots) is refused.
        try:
            label = idna.alabel(label).decode("ascii")
        except idna.IDNAError:
            raise InvalidSource("the source's host is not a valid international name") from None
    if len(label) > 63 or not _LABEL.fullmatch(label):
        raise InvalidSource(
            "the source's host is not a name: its parts are 1 to 63 letters, digits, hyphens"
        )
    return label


def _authority(text: str) -> tuple[str, int | None]:
    """Host and port, the port None where the URL has none."""
    if text.startswith("["):
        literal, bracket, rest = text[1:].partition("]")
        if not bracket or "%" in literal:
            raise InvalidSource("the source's host is no IPv6 address without a zone, in brackets")
        try:
            host = str(IPv6Address(literal))
        except AddressValueError:
            raise InvalidSource("the source's host is no IPv6 address in brackets") from None
        if rest and not rest.startswith(":"):
            raise InvalidSource("the source URL has something other than a port after the host")
        colon, port = rest[:1], rest[1:]
    else:
        name, colon, port = text.partition(":")
        host = normalize_host(name)
    if not colon:
        return host, None
    if not _PORT.fullmatch(port) or int(port) > 65535:
        raise InvalidSource("the source's port is not a number from 1 to 65535")
    return host, int(port)
