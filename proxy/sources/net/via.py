"""Detect request loops with the ``Via`` header (RFC 9110 section 7.6.3).

Every request to a source names this server in ``Via``. An incoming request that names it was sent
by this server, and its response would need another such request: endpoints answer with 508.
"""

from collections.abc import Mapping

PSEUDONYM = "framekeep"


def has_own_via(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a request with these headers has passed this server before."""
    via = headers.get(b"via")
    if via is None:
        return False
    hops = via.decode("latin-1").lower().split(",")
    return any(PSEUDONYM in hop.split()[1:2] for hop in hops)
