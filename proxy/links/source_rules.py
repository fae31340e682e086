"""Which sources the links of one dialect may name, and how they are written there.

Other image servers have a base URL, schemes such as ``local://`` and ``s3://``, and lists of
allowed sources. A dialect that stands in for one maps them to sources of ours: ``http(s)://`` URLs
and the aliases of ``FRAMEKEEP_SOURCES_ALIASES``.
"""

import re
from collections.abc import Collection
from typing import Annotated

from msgspec import Meta, Struct, field

from proxy.errors import ConfigError, InvalidSource
from proxy.links.percent_encoding import safe_excerpt
from proxy.links.source_encoding import SourceEncoder

_HTTP = ("http://", "https://")


class SourceRulesConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a dialect's section of the settings."""

    base_url: Annotated[
        str,
        Meta(
            description=(
                "What is put in front of a source that does not begin with it: an `https://` URL "
                "or `ALIAS:`, such as `media:`. Empty: sources are written in full."
            )
        ),
    ] = ""

    source_prefixes: Annotated[
        dict[str, str],
        Meta(
            description=(
                "Beginnings of sources and what replaces them, such as "
                '`{"local:///": "media:", "s3://my-bucket/": "bucket:"}`, where `media` and '
                "`bucket` are in `FRAMEKEEP_SOURCES_ALIASES`. The longest one that fits counts."
            )
        ),
    ] = field(default_factory=dict)

    allow_sources: Annotated[
        tuple[str, ...],
        Meta(
            description=(
                "When set, a source must begin with one of these texts, before beginnings are "
                "replaced. `*` stands for any characters but `/`. An alias that no other setting "
                "here names must be listed, such as `media:`."
            )
        ),
    ] = ()


class SourceRules:
    def __init__(
        self,
        config: SourceRulesConfig,
        section: str,
        encoder: SourceEncoder,
        aliases: Collection[str],
    ) -> None:
        """``section`` is the name of the dialect's section of the settings.

        Raises ConfigError where a source would begin with neither a URL nor an alias.
        """
        self._variable = f"FRAMEKEEP_{section.upper()}"
        self._base_url = config.base_url
        self._prefixes = sorted(config.source_prefixes.items(), key=lambda rule: -len(rule[0]))
        self._allowed = [_prefix_pattern(text) for text in config.allow_sources]
        self._encoder = encoder
        self._open = tuple(
            f"{alias}:"
            for alias in aliases
            if any(
                text.startswith(f"{alias}:")
                for text in (
                    config.base_url,
                    *config.source_prefixes.values(),
                    *config.allow_sources,
                )
            )
        )
        beginnings = (*_HTTP, *(f"{alias}:" for alias in aliases), *config.source_prefixes)
        if self._base_url and not self._base_url.startswith(beginnings):
            raise ConfigError(
                f"{self._variable}_BASE_URL: {self._base_url!r} begins with neither http(s):// nor "
                "an alias of FRAMEKEEP_SOURCES_ALIASES"
            )
        for prefix, replacement in config.source_prefixes.items():
            if not prefix or not replacement.startswith(beginnings[: len(_HTTP) + len(aliases)]):
                raise ConfigError(
                    f"{self._variable}_SOURCE_PREFIXES: {prefix!r}: {replacement!r} begins with "
                    "neither http(s):// nor an alias of FRAMEKEEP_SOURCES_ALIASES"
                )

    def resolve(self, text: str) -> str:
        """Return the source that a text of a link names, in its normal form.

        Raises InvalidSource for a source that is not allowed or cannot be one.
        """
        if self._base_url and not text.startswith(self._base_url):
            text = self._base_url + text
        if self._allowed and not any(pattern.match(text) for pattern in self._allowed):
            raise InvalidSource(
                f"source {safe_excerpt(text)} is not allowed ({self._variable}_ALLOW_SOURCES)"
            )
        for prefix, replacement in self._prefixes:
            if text.startswith(prefix):
                text = replacement + text[len(prefix) :]
                break
        else:
            self._check_scheme(text)
        if text.startswith(_HTTP):
            text = text.replace(" ", "%20")  # as the percent-decoded source of a link may have them
        source = self._encoder.normalize(text)
        if not source.startswith((*_HTTP, *self._open)):
            raise InvalidSource(
                f"source {safe_excerpt(source)}: this alias is not open to these links "
                f"({self._variable}_SOURCE_PREFIXES)"
            )
        return source

    def _check_scheme(self, text: str) -> None:
        """Raise InvalidSource, naming the setting, for a scheme that nothing replaces."""
        scheme, separator, _ = text.partition("://")
        if separator and scheme.lower() not in ("http", "https"):
            raise InvalidSource(
                f"source {safe_excerpt(text)}: nothing is set up for {safe_excerpt(scheme)} "
                f"({self._variable}_SOURCE_PREFIXES)"
            )


def _prefix_pattern(text: str) -> re.Pattern[str]:
    return re.compile("[^/]*".join(map(re.escape, text.split("*"))))
