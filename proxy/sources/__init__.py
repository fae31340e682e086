"""Sources of originals.

Links name an http(s) URL or an alias of the operator's, ``ALIAS:path``. The scheme of the alias'
location picks its source: a new source is one file here and one line in `SOURCES`.
"""

from collections.abc import Mapping

from proxy.sources.base_url import BaseUrlSource
from proxy.sources.file import FileSource
from proxy.sources.object_storage import ObjectStorageSource
from proxy.sources.source import SourceFactory

SOURCES: Mapping[str, SourceFactory] = {
    "file": FileSource.from_context,
    "http": BaseUrlSource.from_context,
    "https": BaseUrlSource.from_context,
    "s3": ObjectStorageSource.from_context,
    "gs": ObjectStorageSource.from_context,
    "az": ObjectStorageSource.from_context,
}
