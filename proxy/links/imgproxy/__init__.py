"""The dialect of imgproxy: ``/{signature}/{option}/…/plain/{source}@{format}`` and its other forms.

imgproxy has one fixed order of work, whatever the order of the options. It is translated into a
plan of ours; `plan` says how.
"""

from proxy.links.imgproxy.dialect import ImgproxyDialect

__all__ = ["ImgproxyDialect"]
