"""The dialect of IPX, which Nuxt Image and unpic write: ``/{modifiers}/{source}``.

Its links are not signed. So they may only name what the lists in the settings allow.
"""

from proxy.links.ipx.dialect import IpxDialect

__all__ = ["IpxDialect"]
