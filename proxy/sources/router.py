"""All sources as one: picks the source of each original."""

from collections.abc import Mapping
from contextlib import AsyncExitStack

from msgspec.structs import replace

from proxy.errors import ConfigError, InvalidSource
from proxy.limits import Limits
from proxy.originals import NotModified, Original, OriginalRef, Validators
from proxy.sources import SOURCES
from proxy.sources.config import SourceConfig
from proxy.sources.download import DownloadBudget
from proxy.sources.host_pauses import HostPauses
from proxy.sources.http import HttpSource
from proxy.sources.net.dns import Resolver
from proxy.sources.net.http_client import HttpClient
from proxy.sources.options import OptionsByOrigin, RequestSettings
from proxy.sources.source import Source, SourceContext, SourceFactory
from proxy.sources.upload import UploadSource


class SourceRouter:
    """A source that hands each reference to the source of its scheme or alias."""

    def __init__(self, by_scheme: Mapping[str, Source], exit_stack: AsyncExitStack) -> None:
        """``exit_stack`` holds what `close` has to close."""
        self._by_scheme = by_scheme
        self._exit_stack = exit_stack

    @classmethod
    def from_config(
        cls,
        config: SourceConfig,
        limits: Limits,
        *,
        sources: Mapping[str, SourceFactory] = SOURCES,
        resolver: Resolver | None = None,
        pauses: HostPauses | None = None,
    ) -> "SourceRouter":
        """Make the sources of the settings; ``sources`` are the schemes that an alias may have.

        Raises ConfigError, naming every alias with an invalid location.
        """
        exit_stack = AsyncExitStack()
        http_client = HttpClient(config.ssrf_policy(), config, resolver)
        exit_stack.push_async_callback(http_client.close)
        max_inflight_bytes = max(config.max_inflight_bytes, limits.max_source_bytes)
        downloads = DownloadBudget(limits.max_source_bytes, max_inflight_bytes)
        errors: list[str] = []
        try:
            by_origin = OptionsByOrigin(config.origin_options)
        except ValueError as error:
            errors.append(f"FRAMEKEEP_SOURCES_ORIGIN_OPTIONS: {error}")
            by_origin = OptionsByOrigin({})
        http = HttpSource(
            http_client,
            limits,
            max_retries=config.max_retries,
            retry_backoff_seconds=config.retry_backoff_seconds,
            downloads=downloads,
            pauses=pauses,
            max_retry_after_seconds=config.max_retry_after_seconds,
            find_settings=by_origin.find,
        )
        context = SourceContext("", config, limits, downloads, http_client, http, exit_stack)
        by_scheme: dict[str, Source] = {
            "http": http,
            "https": http,
            "upload": UploadSource(downloads),
        }
        for alias, location in config.aliases.items():
            try:
                own = context
                if options := config.alias_options.get(alias):
                    settings = RequestSettings.from_options(options)
                    own = replace(context, options=options, http=http.with_settings(settings))
                by_scheme[alias] = _open(replace(own, location=location), sources)
            except ValueError as error:
                errors.append(f"FRAMEKEEP_SOURCES_ALIASES: {alias}: {error}")
        if errors:
            raise ConfigError("\n".join(errors))
        return cls(by_scheme, exit_stack)

    async def fetch(
        self, ref: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        source = self._by_scheme.get(ref.scheme)
        if source is None:
            names = ", ".join(sorted(self._by_scheme.keys() - {"upload"}))
            raise InvalidSource(
                f"unknown source {ref.scheme[:64]!r}; the sources are: {names} "
                "(FRAMEKEEP_SOURCES_ALIASES adds to them)"
            )
        return await source.fetch(ref, validators)

    async def close(self) -> None:
        await self._exit_stack.aclose()


def _open(context: SourceContext, sources: Mapping[str, SourceFactory]) -> Source:
    scheme, separator, _ = context.location.partition("://")
    if not separator or scheme not in sources:
        raise ValueError(
            f"unknown scheme in {context.location!r}; a location is SCHEME://…, where the scheme "
            f"is one of: {', '.join(sorted(sources))}"
        )
    return sources[scheme](context)
