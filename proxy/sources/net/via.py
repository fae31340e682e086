"""The word by which we know our own requests when they come back to us.

Every request to a source carries it in its `Via` header. A request that comes in with it was made
by us: answering it would be a loop, so the faces refuse it.
"""

PSEUDONYM = "framekeep"


def came_from_us(via: str) -> bool:
    """Whether the value of a `Via` header names us among those the request passed."""
    return any(PSEUDONYM in hop.split()[1:2] for hop in via.lower().split(","))
