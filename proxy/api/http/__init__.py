"""What HTTP asks of every API: bodies, conditional requests, keys, rates, errors."""
