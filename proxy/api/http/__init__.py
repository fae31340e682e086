"""What all APIs share: bodies, conditional requests, keys, rate limits, errors, routing."""
