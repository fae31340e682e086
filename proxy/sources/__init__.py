"""Where originals are fetched from. A file here is a source; the scheme of an address picks one."""

from typing import Protocol

from proxy.errors import SourceFailed
from proxy.originals import NotModified, Original, OriginalRef, Validators


class Source(Protocol):
    """Fetches originals; knows one outside thing and nothing of plans, caches or HTTP answers."""

    async def fetch(
        self, reference: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        """The original, or word that the one with these validators is still right.

        Raises a SourceError of the fitting kind, or BadSource for an address that is none.
        """
        ...


def require_body(answer: Original | NotModified) -> Original:
    """The answer of a source that was asked without validators. Raises SourceFailed."""
    if isinstance(answer, NotModified):
        raise SourceFailed("the source says that nothing changed, but was not asked")
    return answer
