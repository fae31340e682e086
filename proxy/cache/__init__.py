"""What is kept and for how long: stores, freshness, negative answers, purge, CDNs."""
