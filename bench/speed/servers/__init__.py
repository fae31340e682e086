"""The servers that are compared: how each is started, and its links."""

from servers.asgi_floor import AsgiFloor
from servers.caching_proxy import CachingProxy, FramekeepProxy
from servers.framekeep import Framekeep
from servers.imagor import Imagor
from servers.imgproxy import Imgproxy
from servers.ipx import Ipx
from servers.nginx import StaticFiles
from servers.server import NotStarted, Server
from servers.sharp import Sharp
from servers.thumbor import Thumbor

SERVERS: tuple[type[Server], ...] = (Framekeep, Thumbor, Ipx, Sharp, Imgproxy, Imagor)

__all__ = [
    "SERVERS",
    "AsgiFloor",
    "CachingProxy",
    "Framekeep",
    "FramekeepProxy",
    "Imagor",
    "Imgproxy",
    "NotStarted",
    "Server",
    "Sharp",
    "StaticFiles",
]
