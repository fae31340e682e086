"""Recognize the variables that Kubernetes sets in a pod for the Services of its namespace.

    FRAMEKEEP_SERVICE_HOST=10.0.0.1             FRAMEKEEP_PORT=tcp://10.0.0.1:8080
    FRAMEKEEP_SERVICE_PORT=8080                 FRAMEKEEP_PORT_8080_TCP=tcp://10.0.0.1:8080
    FRAMEKEEP_SERVICE_PORT_HTTP=8080            FRAMEKEEP_PORT_8080_TCP_PROTO=tcp
                                                FRAMEKEEP_PORT_8080_TCP_PORT=8080
                                                FRAMEKEEP_PORT_8080_TCP_ADDR=10.0.0.1

A Service named ``framekeep`` gives these; ``framekeep-metrics`` gives the same after
``FRAMEKEEP_METRICS``. Name and value must both have the form, so a misspelled setting is not one.

https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

import re
from collections.abc import Iterable

_ADDRESS = r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3} | [0-9a-f.]*:[0-9a-f:.]+)"
_HOST = r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3} | \[[0-9a-f.]*:[0-9a-f:.]+\])"
_PORT = "[1-9][0-9]{0,4}"

_URL = re.compile(rf"(?:tcp|udp|sctp)://{_HOST}:{_PORT}", re.VERBOSE | re.ASCII)
# Names alone are ambiguous: `X_SERVICE_PORT` is a port of the Service `x`, or the URL of
# `x-service`. So each form is matched together with its value.
_LINK = re.compile(
    rf"""
    [A-Z](?:[A-Z0-9_]*[A-Z0-9])?_  # the name of the Service
    (?:
        SERVICE_HOST={_ADDRESS}
      | SERVICE_PORT(?:_[A-Z0-9_]+)?={_PORT}
      | PORT={_URL.pattern}
      | PORT_(?P<port>{_PORT})_(?P<protocol>TCP|UDP|SCTP)
        (?:
            =(?i:(?P=protocol))://{_HOST}:(?P=port)
          | _PROTO=(?i:(?P=protocol))
          | _PORT=(?P=port)
          | _ADDR={_ADDRESS}
        )
    )
    """,
    re.VERBOSE | re.ASCII,
)


def is_service_link(variable: str, value: str, settings: Iterable[str] = ()) -> bool:
    """Whether Kubernetes set the variable, rather than an operator.

    A Service may have a name that gives the variable of one of the ``settings``, as
    ``framekeep-server`` gives ``FRAMEKEEP_SERVER_PORT``. That one is a link if its value is a URL.
    """
    if _LINK.fullmatch(f"{variable}={value}") is None:
        return False
    return variable not in settings or _URL.fullmatch(value) is not None
