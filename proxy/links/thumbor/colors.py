"""Colors as thumbor's filters name them: names of CSS, or hexadecimal digits without a sign."""

import re

from proxy.errors import InvalidLink
from proxy.links.percent_encoding import safe_excerpt
from proxy.text_values import canonical_color

_HEX = re.compile(r"#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})")


def parse_color(name: str, text: str) -> str:
    """Six digits in lower case. Raises InvalidLink, naming the filter."""
    found = _HEX.fullmatch(canonical_color(text) or text)
    if found is None:
        raise InvalidLink(
            f"{name}: {safe_excerpt(text)} is not a color; write a name of CSS, such as navy, or "
            "3 or 6 hexadecimal digits"
        )
    digits = found[1].lower()
    return digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
