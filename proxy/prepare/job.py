"""What is made of each source: which renditions, as which image requests.

The requests are those that the links of the server mean, so that they have the same cache keys.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self
from urllib.parse import quote

from msgspec import Struct

from proxy.api.http.accept import AcceptedFormats, accepted_formats
from proxy.app import open_dialects
from proxy.config import Settings
from proxy.errors import ConfigError, ProxyError
from proxy.formats import AUTO_FORMATS
from proxy.image_request import CACHE_KEY_VERSION, ImageRequest
from proxy.links.config import LinksConfig
from proxy.links.mounts import MountedDialects
from proxy.originals import SourceRef, digest
from proxy.prepare.manifest import ManifestRow
from proxy.smartcrop.registry import DETECTORS, detector_version

ACCEPT: Mapping[str, bytes] = {
    "jxl": b"image/jxl,image/avif,image/webp,*/*",
    "avif": b"image/avif,image/webp,*/*",
    "avif-only": b"image/avif,*/*",
    "webp": b"image/webp,*/*",
    "jpeg": b"*/*",
}
"""The classes of clients for which `convert:auto` chooses formats, as browsers name them."""

DEFAULT_ACCEPT = ("avif", "webp", "jpeg")

_SAMPLE_SOURCE = "https://example.com/"


class Wanted(NamedTuple):
    """One rendition. ``accept`` is empty where the preset names the format."""

    preset: str
    accept: str
    request: ImageRequest


class Job(Struct, frozen=True):
    """What the command was asked for, beside the manifest.

    ``ttl`` is in seconds: how long originals are fresh whose source does not say it; None is the
    setting. ``attempts`` is how often a source is tried that fails for a reason that may pass.
    """

    presets: tuple[str, ...]
    accept: tuple[str, ...]
    to: str
    ttl: float | None = None
    cache_control: str = ""
    revalidate: bool = False
    attempts: int = 3
    concurrency: int = 0


class JobLinks:
    """The image requests of a job."""

    def __init__(self, job: Job, links: MountedDialects, known: Mapping[str, str]) -> None:
        """``known`` are the presets of the settings."""
        self._job = job
        self._links = links
        self._known = known
        self._negotiates: dict[str, bool] = {}

    @classmethod
    def from_settings(cls, job: Job, settings: Settings) -> Self:
        """Raises ConfigError for presets and classes of clients that do not exist."""
        check_accept(job.accept, settings.links)
        links = cls(job, open_dialects(settings), settings.links.presets)
        for preset in job.presets:
            links.check_preset(preset, "--preset")
        return links

    def check_preset(self, name: str, where: str) -> None:
        """Raise ConfigError unless the preset makes images."""
        if name in self._negotiates:
            return
        if name not in self._known:
            known = ", ".join(sorted(self._known)) or "there are none"
            raise ConfigError(
                f"{where}: {name!r} is no preset; those of FRAMEKEEP_LINKS_PRESETS: {known}"
            )
        try:
            request = self._links.make_request(_SAMPLE_SOURCE, [f"preset:{name}"])
        except ProxyError as error:
            raise ConfigError(f"{where}: {name}: {error}") from error
        if request.info is not None:
            raise ConfigError(f"{where}: {name} describes originals, it makes no images")
        self._negotiates[name] = request.plan.negotiates_format

    def count(self, row: ManifestRow, where: str = "manifest") -> int:
        """How many renditions a row has. Raises ConfigError for a preset that does not exist."""
        presets = self._presets(row, where)
        for preset in presets:
            self.check_preset(preset, where)
        return sum(len(self._classes(preset)) for preset in presets)

    def pairs(self, row: ManifestRow) -> list[tuple[str, str]]:
        """Preset and class of clients of each rendition of a row."""
        presets = self._presets(row, "manifest")
        return [(preset, accept) for preset in presets for accept in self._classes(preset)]

    def requests(self, row: ManifestRow) -> list[Wanted]:
        """Raises a RequestError for a source, a tag or a version that no link can have."""
        options = [f"tag:{quote(tag, safe='')}" for tag in row.tags]
        if row.version:
            options.append(f"v:{quote(row.version, safe='')}")
        wanted = []
        for preset in self._presets(row, "manifest"):
            request = self._links.make_request(row.source, [f"preset:{preset}", *options])
            for accept in self._classes(preset):
                plan = request.plan.with_accepted_formats(_formats(accept))
                one = ImageRequest(request.source, plan, request.response_options)
                wanted.append(Wanted(preset, accept, one))
        return wanted

    def fingerprint(self, settings: Settings) -> str:
        """Equal where the same source has the same renditions: keys, and the detectors' version."""
        parts = [CACHE_KEY_VERSION, detector_version(settings.models, DETECTORS).encode()]
        parts += [self._job.to.encode(), self._job.cache_control.encode()]
        source = SourceRef(_SAMPLE_SOURCE)
        for preset in sorted(self._known):
            try:
                plan = self._links.make_request(_SAMPLE_SOURCE, [f"preset:{preset}"]).plan
            except ProxyError:
                continue  # it is used by nobody, or the command has refused it
            parts += [preset.encode(), ImageRequest(source, plan).key.encode()]
        parts += [name.encode() for name in (*self._job.presets, "accept", *self._job.accept)]
        return digest(*parts)

    def _presets(self, row: ManifestRow, where: str) -> tuple[str, ...]:
        presets = row.presets or self._job.presets
        if not presets:
            raise ConfigError(
                f"{where}: {row.source} has no preset: name some in its column `presets`, or with "
                "--preset for all"
            )
        return presets

    def _classes(self, preset: str) -> tuple[str, ...]:
        if preset not in self._negotiates:
            self.check_preset(preset, "manifest")
        return self._job.accept if self._negotiates[preset] else ("",)


def check_accept(accept: tuple[str, ...], links: LinksConfig) -> None:
    """Raise ConfigError for a class of clients that the server does not tell from others."""
    for name in accept:
        if name not in ACCEPT:
            raise ConfigError(f"--accept: {name!r} is not one of {', '.join(ACCEPT)}")
    if "jxl" in accept and not links.auto_jxl:
        raise ConfigError(
            "--accept: jxl needs FRAMEKEEP_LINKS_AUTO_JXL=true, without which `convert:auto` never "
            "chooses JPEG XL"
        )


def _formats(accept: str) -> AcceptedFormats:
    return accepted_formats(ACCEPT.get(accept, b""), ("jxl", *AUTO_FORMATS))
