"""Iteration Layer's Image Transformation API, with its webhooks."""
