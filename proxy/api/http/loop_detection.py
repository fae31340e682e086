"""A request that we made ourselves is not answered: each answer would ask for the next."""

from collections.abc import Mapping
from http import HTTPStatus

from proxy.api.http.problems import Problem
from proxy.sources.net.via import came_from_us


def refuse_loops(asked: Mapping[bytes, bytes]) -> None:
    """Raises Problem where a ``Via`` header names us."""
    via = asked.get(b"via")
    if via is not None and came_from_us(via.decode("latin-1")):
        raise Problem(HTTPStatus.LOOP_DETECTED, "this link leads to itself")
