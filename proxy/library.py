"""Framekeep as a library: sign links, and render images in the calling process."""

from collections.abc import Mapping, Sequence
from typing import Unpack

from proxy.imaging.results import Rendition
from proxy.limits import Limits
from proxy.links.config import DEFAULT_MAX_RENDITIONS, LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.native import NativeDialect
from proxy.links.open_fields import format_choice
from proxy.links.parser import StepParser
from proxy.links.responsive import (
    PictureElement,
    PictureOptions,
    SrcsetCandidate,
    SrcsetOptions,
    join_candidates,
    make_candidates,
    make_picture,
)
from proxy.operations import OPERATIONS
from proxy.operations.pipeline import render
from proxy.operations.registry import OperationRegistry
from proxy.render.handlers import get_detector
from proxy.smartcrop.models import ModelsConfig


class Signer:
    """Builds signed links for a server.

    ``keys`` are the server's signing keys in hexadecimal, the first signs; ``aliases``, ``presets``
    and ``fallbacks`` are those of the server that the links use, ``max_renditions`` is its setting.
    """

    def __init__(
        self,
        base: str,
        keys: Sequence[str],
        *,
        aliases: Sequence[str] = (),
        presets: Mapping[str, str] | None = None,
        fallbacks: Mapping[str, str] | None = None,
        max_renditions: int = DEFAULT_MAX_RENDITIONS,
    ) -> None:
        """``base`` is the server's URL, with its path prefix if it has one.

        Raises ValueError for a key or a preset that is invalid, ConfigError for a fallback.
        """
        config = LinksConfig(
            keys=tuple(keys),
            presets=dict(presets or {}),
            fallbacks=dict(fallbacks or {}),
            max_renditions=max_renditions,
        )
        self._base = base.rstrip("/")
        context = DialectContext(OperationRegistry(OPERATIONS), config, aliases=aliases)
        self._dialect = NativeDialect(context)

    def url(self, source: str, *steps: str, choose: Sequence[str | float] | None = None) -> str:
        """Build the link of a source and its steps, each written as in a link.

        Presets stay in the link by their names, so a changed preset reaches it. Where steps have
        open fields, such as ``resize:{320,640}``, ``choose`` has a value for each; without it the
        link is a rule, in which a page adds ``/choose:640`` after the signature.

        Raises:
            InvalidLink, InvalidOperation, InvalidSource: naming the step, the reason and the limit.
        """
        choice = None if choose is None else [format_choice(value) for value in choose]
        return self._base + self._dialect.build_link(source, steps, choice)

    def candidates(
        self, source: str, *steps: str, **options: Unpack[SrcsetOptions]
    ) -> tuple[SrcsetCandidate, ...]:
        """Build one link for each width that the original and the box allow, smallest first.

            signer.candidates("media:42.jpg", "convert:auto", original=(4000, 3000), ratio=(16, 9))

        Each link resizes first; the steps come after that and may not change the size. `original`
        is required; the options are those of `proxy.links.responsive.SrcsetOptions`. Raises
        InvalidLink for one that is out of its bounds, and as `url` does.
        """
        return make_candidates(lambda sized: self.url(source, *sized), steps, options)

    def srcset(self, source: str, *steps: str, **options: Unpack[SrcsetOptions]) -> str:
        """Build a srcset attribute of `candidates`. Escape it for HTML, as templates do."""
        return join_candidates(self.candidates(source, *steps, **options))

    def picture(
        self, source: str, *steps: str, **options: Unpack[PictureOptions]
    ) -> PictureElement:
        """Build the attributes of a ``<picture>``; its `html` method writes the element.

        The options are those of `candidates`, `formats`, `sizes` and `art`: other aspect ratios
        where media conditions hold, such as ``art=[("(max-width: 40em)", (4, 5))]``.
        """
        return make_picture(lambda sized: self.url(source, *sized), steps, options)


class Framekeep:
    """Renders images as the server does, without its network, cache and render processes."""

    def __init__(self, limits: Limits | None = None, *, models: ModelsConfig | None = None) -> None:
        """``models`` names model files of detectors; without it, the built-in detectors work."""
        self._limits = limits or Limits()
        operations = OperationRegistry(OPERATIONS, max_operations=self._limits.max_operations)
        self._steps = StepParser(operations, {})
        self._detector = get_detector(models or ModelsConfig())

    def render(self, image: bytes, *steps: str) -> Rendition:
        """Render an image with steps that are written as in a link.

        Threads take turns, since libvips reports errors to the process and not to the thread; it
        uses all cores for one image. To render several at a time, use processes.

        Raises:
            InvalidLink, InvalidOperation: naming the step, the reason and the limit.
            ImageError: no rendition can be made of these bytes.
        """
        plan = self._steps.parse(steps).plan
        return render(image, plan, self._limits, detector=self._detector).rendition
