"""What an operator sets for a single source: headers and credentials, and its caching.

Nothing here is logged: secrets are shown as ``***``, and errors name the field only.
"""

from base64 import b64encode
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from proxy.errors import InvalidSource
from proxy.sources.net.request_headers import operator_headers
from proxy.sources.net.url import Url, parse_url
from proxy.validation import HidesSecrets

_MAX_FILE_BYTES = 8192
_Secret = Meta(extra_json_schema={"writeOnly": True})


class SourceOptions(HidesSecrets, frozen=True, forbid_unknown_fields=True):
    """Options of one source.

    ``bearer`` is a token, ``basic`` is ``USER:PASSWORD``; each may be in a file instead.
    ``cache_control`` is used instead of what the source sends in `Cache-Control`, `Expires`, `Age`
    and `Vary`.
    """

    headers: Annotated[dict[str, str], _Secret] = field(default_factory=dict)
    bearer: Annotated[str, _Secret] = ""
    bearer_file: str = ""
    basic: Annotated[str, _Secret] = ""
    basic_file: str = ""
    user_agent: str = ""
    referer: str = ""
    cache_control: str = ""

    def request_headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers to send, and read the files. Raises ValueError without a secret."""
        given = [*self.headers.items()]
        credentials = [
            ("Bearer", self.bearer or _read(self.bearer_file, "bearer_file")),
            ("Basic", _encode_basic(self.basic or _read(self.basic_file, "basic_file"))),
        ]
        given += [("Authorization", f"{kind} {text}") for kind, text in credentials if text]
        given += [
            (name, text)
            for name, text in (("User-Agent", self.user_agent), ("Referer", self.referer))
            if text
        ]
        try:
            return operator_headers(given)
        except InvalidSource as error:
            raise ValueError(str(error)) from None


class OriginKey(Struct, frozen=True):
    """Servers by scheme, host and port; ``subdomains``: those below the host instead of it."""

    scheme: str
    host: str
    port: int
    subdomains: bool

    @classmethod
    def parse(cls, text: str) -> "OriginKey":
        """Parse ``SCHEME://HOST[:PORT]``. Raises ValueError."""
        scheme, separator, rest = text.partition("://")
        expected = (
            f"{text!r} is not an origin such as https://cdn.example.com, https://*.example.com or "
            "http://10.0.0.3:8080"
        )
        if not separator or "/" in rest or "?" in rest:
            raise ValueError(f"{expected}: no path belongs to it")
        try:
            url = parse_url(f"{scheme}://{rest.removeprefix('*.')}")
        except InvalidSource as error:
            raise ValueError(f"{expected}: {error}") from error
        return cls(url.scheme, url.host, url.port, rest.startswith("*."))

    def matches(self, url: Url) -> bool:
        if (self.scheme, self.port) != (url.scheme, url.port):
            return False
        return url.host.endswith(f".{self.host}") if self.subdomains else url.host == self.host


class RequestSettings(HidesSecrets, frozen=True):
    """Options of a source as a request needs them."""

    headers: Annotated[tuple[tuple[str, str], ...], _Secret] = ()
    cache_control: str = ""

    @classmethod
    def from_options(cls, options: SourceOptions) -> "RequestSettings":
        """Read the files of the options. Raises ValueError."""
        return cls(options.request_headers(), options.cache_control)


class OptionsByOrigin:
    """The options of the most specific key that matches a URL."""

    def __init__(self, options: dict[str, SourceOptions]) -> None:
        """Raises ValueError where a key is no origin or a file cannot be read."""
        keys = [(OriginKey.parse(text), text) for text in options]
        keys.sort(key=lambda key: (key[0].subdomains, -len(key[0].host)))
        self._settings: list[tuple[OriginKey, RequestSettings]] = []
        for key, text in keys:
            try:
                self._settings.append((key, RequestSettings.from_options(options[text])))
            except ValueError as error:
                raise ValueError(f"{text}: {error}") from error

    def find(self, url: Url) -> RequestSettings:
        found = (settings for key, settings in self._settings if key.matches(url))
        return next(found, RequestSettings())


def _read(path: str, name: str) -> str:
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
        text = data.decode("ascii").strip()
    except OSError as error:
        raise ValueError(f"{name}: {path!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ValueError(f"{name}: {path!r} has other characters than ASCII") from None
    if not text or len(data) > _MAX_FILE_BYTES:
        raise ValueError(f"{name}: {path!r} is empty, or has more than {_MAX_FILE_BYTES} bytes")
    return text


def _encode_basic(text: str) -> str:
    if text and ":" not in text:
        raise ValueError("basic: must be USER:PASSWORD")
    return b64encode(text.encode()).decode("ascii")
