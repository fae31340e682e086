"""Framekeep in a Python program: links are signed and pictures rendered in the process itself."""

from collections.abc import Mapping, Sequence

from proxy.imaging.image import Rendition
from proxy.limits import Limits
from proxy.links.native import NativeDialect
from proxy.links.signing import Keyring
from proxy.operations import OPERATIONS
from proxy.operations.pipeline import render
from proxy.operations.plan import OperationRegistry
from proxy.render.tasks import eye_of
from proxy.smartcrop.models import ModelsConfig


class Link:
    """Writes signed links.

    ``keys`` are the server's signing keys in hexadecimal, the first signs; ``sources`` the names
    of its configured sources, and ``presets`` its presets, where links shall use them.
    """

    def __init__(
        self,
        base: str,
        keys: Sequence[str],
        *,
        sources: Sequence[str] = (),
        presets: Mapping[str, str] | None = None,
    ) -> None:
        self._base = base.rstrip("/")
        self._native = NativeDialect(
            OperationRegistry(OPERATIONS), Keyring.from_hex(keys), sources=sources, presets=presets
        )

    def __call__(self, source: str, *steps: str) -> str:
        """The link of a source and its steps, each written as in a link.

        Raises:
            BadLink, BadPlan, BadSource: naming the step, the reason and the bound.
        """
        return self._base + self._native.build(self._native.make_request(source, steps))


class Framekeep:
    """Renders pictures as the server would, without network, cache or render processes."""

    def __init__(self, limits: Limits | None = None, *, models: ModelsConfig | None = None) -> None:
        """``models`` names detector models; without, those that come along are used."""
        self._limits = limits or Limits()
        self._catalogue = OperationRegistry(OPERATIONS, at_most=self._limits.max_operations)
        self._native = NativeDialect(self._catalogue, Keyring(()), allow_unsigned=True)
        self._eye = eye_of(models or ModelsConfig())

    def render(self, picture: bytes, *steps: str) -> Rendition:
        """The rendition of a picture by steps written as in a link.

        Raises:
            BadLink, BadPlan: naming the step, the reason and the bound.
            ImageError: no rendition can be made of these bytes.
        """
        plan = self._native.parse_plan(steps)
        return render(picture, plan, self._limits, eye=self._eye).rendition
