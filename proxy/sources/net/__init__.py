"""The outgoing HTTP client, its resolver, and the SSRF policy that it obeys."""
