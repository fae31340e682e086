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
from ipaddress import ip_address

_NAME = re.compile(
    r"""
    [A-Z](?:[A-Z0-9_]*[A-Z0-9])?_                               # the name of the Service
    (?:
        (?P<host> SERVICE_HOST)
      | (?P<number> SERVICE_PORT(?:_[A-Z0-9_]*[A-Z0-9])?)
      | PORT(?:_(?P<port>[0-9]+)_(?P<protocol>TCP|UDP|SCTP)(?:_(?P<part>PROTO|PORT|ADDR))?)?
    )
    """,
    re.VERBOSE | re.ASCII,
)
_URL = re.compile(
    r"(?P<protocol>tcp|udp|sctp)://(?:\[(?P<ipv6>[^\]]+)\]|(?P<ipv4>[^:\[\]]+)):(?P<port>[0-9]+)",
    re.ASCII,
)


def is_service_link(variable: str, value: str, settings: Iterable[str] = ()) -> bool:
    """Whether Kubernetes set the variable, rather than an operator.

    A Service may have a name that gives the variable of one of the ``settings``, as
    ``framekeep-server`` gives ``FRAMEKEEP_SERVER_PORT``. That one is a link if its value is a URL.
    """
    name = _NAME.fullmatch(variable)
    if name is None:
        return False
    if name["host"]:
        is_link = _is_address(value)
    elif name["number"]:
        is_link = _is_port(value)
    elif name["part"] == "PROTO":
        is_link = value == name["protocol"].lower()
    elif name["part"] == "PORT":
        is_link = value == name["port"]
    elif name["part"] == "ADDR":
        is_link = _is_address(value)
    else:
        return _is_url(value, port=name["port"], protocol=name["protocol"])
    return is_link and variable not in settings


def _is_url(value: str, *, port: str | None, protocol: str | None) -> bool:
    url = _URL.fullmatch(value)
    return (
        url is not None
        and _is_address(url["ipv6"] or url["ipv4"])
        and _is_port(url["port"])
        and port in (None, url["port"])
        and protocol in (None, url["protocol"].upper())
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return re.fullmatch("[1-9][0-9]{0,4}", text, re.ASCII) is not None and int(text) <= 65_535
