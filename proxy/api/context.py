"""What an API is made of: its description for the registry, and what the app provides."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import astuple
from starlette.types import ASGIApp

from proxy.api.http.api_keys import ApiKeys
from proxy.api.http.source_policy import ApiImageService
from proxy.api.http.uploads import Uploads
from proxy.cache.purge import PurgeService
from proxy.cache.store import Cache
from proxy.links.mounts import MountedDialects
from proxy.operations.registry import OperationRegistry
from proxy.runtime.background import BackgroundTasks
from proxy.runtime.components import Components
from proxy.telemetry.metrics import Metrics

T = TypeVar("T")


class ApiContext(NamedTuple):
    """The objects of an app that its APIs share.

    ``not_ready`` returns why the worker should not receive requests, whatever the state of the
    ``components``, or an empty string; ``background`` runs what no request waits for;
    ``open_with_app`` takes what must be open as long as the app runs.
    """

    service: ApiImageService
    operations: OperationRegistry
    dialects: MountedDialects
    cache: Cache
    purging: PurgeService
    metrics: Metrics
    keys: ApiKeys
    uploads: Uploads
    settings: Struct
    not_ready: Callable[[], str]
    components: Components
    background: BackgroundTasks
    open_with_app: Callable[[AbstractAsyncContextManager[object]], None]

    def section(self, kind: type[T]) -> T:
        """Return the section of the settings that has this type."""
        return next(section for section in astuple(self.settings) if isinstance(section, kind))


class Api(NamedTuple):
    """One published HTTP API.

    ``name`` is in metrics and in the access log, which have its requests where ``observed``;
    ``segments`` are the first segments of its paths, in lower case. Where ``cross_origin``, web
    pages of allowed origins may call it: never where the address of a caller opens it.
    """

    name: str
    segments: tuple[str, ...]
    create: Callable[[ApiContext], ASGIApp]
    observed: bool = True
    cross_origin: bool = True
