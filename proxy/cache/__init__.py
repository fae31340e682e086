"""The cache: stores, freshness, negative caching, purging, CDNs."""
