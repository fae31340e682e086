"""A cache of one's own in front, nginx or Varnish, told by PURGE or BAN over HTTP."""

import re
from collections.abc import Sequence
from typing import Literal

from proxy.cache.cdn import batches, tell
from proxy.sources.net.http_client import HttpClient

_AT_ONCE = 20  # tags in a header


class Front:
    """One server.

    PURGE names tags in the header ``xkey``, divided by spaces, as Varnish's module of that name
    reads them, or in ``xkey-soft`` to have them marked as stale. BAN names a regular expression in
    the header ``x-ban-tags``, to be matched against the ``Surrogate-Key`` of what is kept.
    """

    def __init__(self, dialer: HttpClient, url: str, method: Literal["PURGE", "BAN"]) -> None:
        self.name = f"front {url}"
        self._dialer = dialer
        self._url = url
        self._method = method

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        for batch in batches(tags, _AT_ONCE):
            if self._method == "BAN":
                header = "x-ban-tags", f"(^| )({'|'.join(map(re.escape, batch))})( |$)"
            else:
                header = ("xkey-soft" if soft else "xkey"), " ".join(batch)
            await tell(self._dialer, self._method, self._url, [header], b"")
