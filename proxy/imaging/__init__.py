"""Bytes to pixels and back: header probes, decoders, color, resampling, encoders."""
