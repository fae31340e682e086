"""The operations. A file here is an operation; the list below is the catalogue."""
