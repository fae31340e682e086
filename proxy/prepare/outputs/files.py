"""Renditions as files, named by a template, in a folder or a bucket."""

from collections.abc import Collection

from proxy.api.http.cache_control import StaleConfig, cache_control
from proxy.formats import FORMATS
from proxy.prepare.job import Wanted
from proxy.prepare.manifest import ManifestRow
from proxy.prepare.outputs.output import check_storable
from proxy.prepare.storage import FileHeaders, Storage
from proxy.prepare.template import NameTemplate
from proxy.service import ImageResult


class FileOutput:
    """Where classes of clients get the same format of a source, its file is that of the first."""

    def __init__(
        self, storage: Storage, template: NameTemplate, stale: StaleConfig, cache_control: str
    ) -> None:
        """``cache_control`` replaces what a link would answer, unless it is empty."""
        self._storage = storage
        self._template = template
        self._stale = stale
        self._cache_control = cache_control

    async def store(
        self, row: ManifestRow, wanted: Wanted, result: ImageResult, names: Collection[str]
    ) -> str:
        check_storable(result)
        rendition = result.rendition
        name = self._template.name(row, wanted, rendition.format)
        if name in names:
            return name
        control = self._cache_control or cache_control(
            result.directives, result.ttl, self._stale
        ).decode("ascii")
        etag = result.etag.removeprefix("W/").strip('"')
        headers = FileHeaders(FORMATS[rendition.format].media_type, control, etag)
        await self._storage.write(name, rendition.body, headers)
        return name
