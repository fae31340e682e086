"""Render processes: the pool, its wire protocol, the fork server, the sandbox."""
