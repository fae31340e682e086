"""Whatever the request is: secrets appear in no log, no metric and no response."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import photos
import pytest
from origin_server import OriginServer

from proxy.links.signing import Keyring

pytestmark = pytest.mark.anyio

KEY = "5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e7beef"


async def test_no_secret_is_disclosed(tmp_path: Path, origin: OriginServer) -> None:
    settings = {
        "FRAMEKEEP_CACHE_DIR": str(tmp_path),
        "FRAMEKEEP_LINKS_KEYS": KEY,
        "FRAMEKEEP_API_KEYS": "SECRET-api",
        "FRAMEKEEP_ADMIN_KEYS": "SECRET-admin",
        "FRAMEKEEP_METRICS_KEYS": "SECRET-metrics",
        "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.1/32",
        "FRAMEKEEP_SOURCES_ALLOW_PORTS": "1-65535",
        "FRAMEKEEP_RENDER_PROCESSES": "1",
        "FRAMEKEEP_LOG_LEVEL": "debug",
        "FRAMEKEEP_LOG_ACCESS": "all",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "serve", "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **settings},
    )
    assert process.stdout is not None
    address = (await process.stdout.readline()).decode().split()[-1]
    query = "?X-Amz-Signature=SECRET-query"
    valid = origin.serve(f"/a.png{query}", photos.encode_scene("png", 40, 30))
    broken = origin.serve(f"/b.png{query}", b"not a picture")
    denied = f"http://10.0.0.1/c.png{query}"
    with_password = f"http://me:SECRET-password@{valid.removeprefix('http://')}"
    ring = Keyring.from_hex([KEY])
    signatures = []
    async with httpx.AsyncClient(base_url=address, timeout=60, trust_env=False) as client:
        responses = []
        for source in (valid, valid, broken, denied, with_password, f"{valid}&more"):
            rest = f"/resize:9:9:fill/{source}"
            signatures.append(ring.sign(rest.encode()))
            responses.append(await client.get(f"/{signatures[-1]}{rest}"))
            responses.append(await client.get(f"/{'A' * 22}{rest}"))
        for key in ("SECRET-api", "SECRET-wrong"):
            header = {"Ocp-Apim-Subscription-Key": key}
            path = "/vision/v3.2/areaOfInterest"
            responses.append(await client.post(path, json={"url": with_password}, headers=header))
            responses.append(await client.post(path, json={"url": valid}, headers=header))
        for key in ("SECRET-admin", "SECRET-metrics", "SECRET-wrong"):
            header = {"Authorization": f"Bearer {key}"}
            responses.append(await client.get("/metrics", headers=header))
            responses.append(await client.post("/admin/purge", json={"x": 1}, headers=header))
    process.terminate()
    _, errors = await process.communicate()
    lines = [json.loads(line) for line in errors.decode().splitlines()]
    assert len([line for line in lines if line.get("handler")]) >= 16
    output = errors.decode() + "".join(f"{dict(one.headers)}{one.text}" for one in responses)
    assert "SECRET" not in output
    assert KEY not in output
    for signature in signatures:
        assert signature not in output
