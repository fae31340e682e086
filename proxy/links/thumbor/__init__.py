"""The dialects of thumbor and imagor: ``/{signature}/fit-in/{width}x{height}/filters:…/{source}``.

Both have one grammar; imagor's has more parts and other filters. `plan` says how a link becomes a
plan of ours.
"""

from proxy.links.thumbor.dialect import ImagorDialect, ThumborDialect

__all__ = ["ImagorDialect", "ThumborDialect"]
