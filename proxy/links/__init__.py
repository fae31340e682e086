"""URL dialects: the grammars that turn a raw path into an image request, and back.

A dialect is one file here and one line in `DIALECTS`. The setting ``FRAMEKEEP_LINKS_MOUNTS``
chooses the path prefix at which it is served.
"""

from collections.abc import Mapping

from proxy.links.dialect import DialectFactory
from proxy.links.imgproxy import ImgproxyDialect
from proxy.links.ipx import IpxDialect
from proxy.links.native import NativeDialect
from proxy.links.thumbor import ImagorDialect, ThumborDialect

DIALECTS: Mapping[str, DialectFactory] = {
    "native": NativeDialect,
    "imgproxy": ImgproxyDialect,
    "ipx": IpxDialect,
    "thumbor": ThumborDialect,
    "imagor": ImagorDialect,
}
