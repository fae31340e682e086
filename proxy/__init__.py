"""An on-the-fly image origin: a link in, the right picture out."""
