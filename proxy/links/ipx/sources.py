"""The source at the end of an IPX link: a URL, or a path that begins at the base."""

import re
from collections.abc import Collection
from urllib.parse import quote, unquote

from msgspec.structs import replace

from proxy.errors import ConfigError, InvalidSource
from proxy.links.ipx.config import IpxConfig
from proxy.links.percent_encoding import percent_decode, safe_excerpt
from proxy.links.source_encoding import SourceEncoder
from proxy.links.source_rules import SourceRules

_URL = re.compile(r"(https?):/{1,2}([^/]*)(.*)", re.IGNORECASE | re.DOTALL)
"""nginx and the static provider of Nuxt Image merge the slashes of a URL."""

_HOST = re.compile(r"[a-z0-9.-]+(?::[0-9]{1,5})?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WHOLE_HOST = re.compile(r"https?://[^/]+/", re.IGNORECASE)
_URL_CHARACTERS = "%/:?@!$&'()*+,;=~[]"
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class SourceResolver:
    def __init__(self, config: IpxConfig, encoder: SourceEncoder, aliases: Collection[str]) -> None:
        """Raise ConfigError where the links would be open, or a source could not be one."""
        if not config.allow_sources:
            raise ConfigError(
                "FRAMEKEEP_IPX_ALLOW_SOURCES is not set, and IPX links are not signed: list how "
                "the sources begin that they may name, such as / or https://images.example.com/"
            )
        for text in config.allow_sources:
            if text.startswith(("http", "*")) and not _WHOLE_HOST.match(text):
                raise ConfigError(
                    f"FRAMEKEEP_IPX_ALLOW_SOURCES: {text!r}: write the whole host and a slash "
                    "after it, such as https://images.example.com/"
                )
        prefixes = config.source_prefixes
        if config.base_url:
            SourceRules(config, "ipx", encoder, aliases)  # it names the setting of a wrong base
            base = config.base_url
            prefixes = {**prefixes, "/": base if base.endswith(("/", ":")) else f"{base}/"}
        self._local_prefixes = tuple(prefix for prefix in prefixes if prefix.startswith("/"))
        self._rules = SourceRules(
            replace(config, base_url="", source_prefixes=prefixes), "ipx", encoder, aliases
        )

    def resolve(self, text: str) -> str:
        """Return the source that the rest of a link names, with its query string.

        Raises InvalidLink or InvalidSource for one that is not allowed or cannot be one.
        """
        decoded = percent_decode(text)
        if url := _URL.fullmatch(decoded):
            source = self._rules.resolve(_normalize_url(url[1].lower(), url[2].lower(), url[3]))
        elif _SCHEME.match(decoded):
            source = self._rules.resolve(decoded)
        else:
            source = self._resolve_path("/" + decoded.lstrip("/"))
        if "?" in source and not source.startswith(("http://", "https://")):
            raise InvalidSource("source: a local source has no query string")
        return source

    def _resolve_path(self, path: str) -> str:
        _check_path(path)
        if not path.startswith(self._local_prefixes):
            raise InvalidSource(
                f"source {safe_excerpt(path)}: there are no local sources on this server "
                "(FRAMEKEEP_IPX_BASE_URL)"
            )
        source = self._rules.resolve(path)
        if url := _URL.fullmatch(source):
            return f"{url[1]}://{url[2]}{_quote(url[3])}"
        return source


def _normalize_url(scheme: str, host: str, rest: str) -> str:
    """The URL as it is fetched: without a fragment, and percent-encoded."""
    if not _HOST.fullmatch(host):
        raise InvalidSource(
            f"source: {safe_excerpt(host)} is not a host; write its name, without a user"
        )
    rest = rest.partition("#")[0]
    _check_path(rest.partition("?")[0])
    return f"{scheme}://{host}{_quote(rest)}"


def _quote(text: str) -> str:
    """Percent-encode what a URL must not have; what is encoded already stays as it is."""
    return quote(_LONE_PERCENT.sub("%25", text), safe=_URL_CHARACTERS)


def _check_path(path: str) -> None:
    """Raise InvalidSource for a path that could leave the folder that it names."""
    parts = unquote(path).split("/")
    if "\\" in unquote(path) or "." in parts or ".." in parts:
        raise InvalidSource("source: must not have backslashes, or . or .. as a part")
