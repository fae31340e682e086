"""Whatever is asked, right or wrong: what is secret is in no log, no metric and no answer."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx2 as httpx
import photos
import pytest
from origin_server import Origin

from proxy.links.signing import Keyring

pytestmark = pytest.mark.anyio

KEY = "5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e7beef"


async def test_no_secret_leaves_the_server(tmp_path: Path, origin: Origin) -> None:
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
    there = origin.serve(f"/a.png{query}", photos.encoded("png", 40, 30))
    broken = origin.serve(f"/b.png{query}", b"no picture")
    shut = f"http://10.0.0.1/c.png{query}"
    wrong = f"http://me:SECRET-password@{there.removeprefix('http://')}"
    ring = Keyring.from_hex([KEY])
    signatures = []
    async with httpx.AsyncClient(base_url=address, timeout=60, trust_env=False) as client:
        answers = []
        for source in (there, there, broken, shut, wrong, f"{there}&more"):
            rest = f"/resize:9:9:fill/{source}"
            signatures.append(ring.sign(rest.encode()))
            answers.append(await client.get(f"/{signatures[-1]}{rest}"))
            answers.append(await client.get(f"/{'A' * 22}{rest}"))
        for key in ("SECRET-api", "SECRET-wrong"):
            header = {"Ocp-Apim-Subscription-Key": key}
            path = "/vision/v3.2/areaOfInterest"
            answers.append(await client.post(path, json={"url": wrong}, headers=header))
            answers.append(await client.post(path, json={"url": there}, headers=header))
        for key in ("SECRET-admin", "SECRET-metrics", "SECRET-wrong"):
            header = {"Authorization": f"Bearer {key}"}
            answers.append(await client.get("/metrics", headers=header))
            answers.append(await client.post("/admin/purge", json={"x": 1}, headers=header))
    process.terminate()
    _, errors = await process.communicate()
    lines = [json.loads(line) for line in errors.decode().splitlines()]
    assert len([line for line in lines if line.get("face")]) >= 16
    written = errors.decode() + "".join(f"{dict(one.headers)}{one.text}" for one in answers)
    assert "SECRET" not in written
    assert KEY not in written
    for signature in signatures:
        assert signature not in written
