"""An eye without detectors: libvips' attention, one place that draws the look."""

import pyvips

from proxy.focus.evidence import Focus, Region

_RADIUS = 0.1
"""How far around the point of attention counts as the subject, as a share of each side."""


class Attention:
    """Finds the point of strongest colour, skin tone and edges."""

    def look(self, *frames: pyvips.Image) -> Focus:
        """One region around that point of the first frame, cut at the picture's edges."""
        image = frames[0]
        # A crop one pixel short of the whole makes the search run and changes nothing else.
        _, found = pyvips.Operation.call(
            "smartcrop",
            image,
            max(1, image.width - 1),
            max(1, image.height - 1),
            interesting="attention",
            attention_x=True,
            attention_y=True,
        )
        x, y = found["attention_x"] / image.width, found["attention_y"] / image.height
        region = Region(
            left=max(0.0, x - _RADIUS),
            top=max(0.0, y - _RADIUS),
            right=min(1.0, x + _RADIUS),
            bottom=min(1.0, y + _RADIUS),
            weight=1.0,
            kind="saliency",
        )
        return Focus((region,))
