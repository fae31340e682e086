"""An on-the-fly image origin for CDNs.

`Signer` builds signed links; `Framekeep` renders images in the calling process.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxy.library import Framekeep as Framekeep
    from proxy.library import Signer as Signer

__all__ = ["Framekeep", "Signer"]


def __getattr__(name: str) -> Any:
    """Import the library on demand: it loads libvips, which most modules do not need."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from proxy import library  # noqa: PLC0415 - on demand

    return getattr(library, name)
