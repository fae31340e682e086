"""aiohttp is imported without reading certificates; contexts that are made later have them."""

import json
import os
import subprocess
import sys
from pathlib import Path

CERTIFICATE = str(Path(__file__).parents[1] / "loopback.pem")

PROGRAM = """
import json, ssl
from proxy.compat.aiohttp import aiohttp
contexts = (
    ssl.create_default_context(),
    aiohttp.connector._SSL_CONTEXT_VERIFIED,
    aiohttp.connector._SSL_CONTEXT_UNVERIFIED,
)
print(json.dumps([context.cert_store_stats()["x509"] for context in contexts]))
"""


def test_certificates_are_read_for_our_contexts_only() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"SSL_CERT_FILE": CERTIFICATE},
        capture_output=True,
        check=True,
        text=True,
    )
    ours, *unused = json.loads(done.stdout)
    assert ours > 0
    assert unused == [0, 0]
