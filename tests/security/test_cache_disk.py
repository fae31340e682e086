"""A cache disk that hangs: every picture is answered, and the first timeout is the only one."""

from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from hanging_disk import hanging_bodies
from live_server import live_server
from pictures import encode

SETTINGS = {
    "FRAMEKEEP_CACHE_DISK_TIMEOUT_SECONDS": "1",
    "FRAMEKEEP_CACHE_DISK_BACKOFF_SECONDS": "0",
}
NOISE = np.random.default_rng(7).integers(0, 255, (200, 200, 3), np.uint8)  # 120 kB as PNG


@pytest.mark.parametrize("memory_bytes", ["0", "64000000"])
def test_pictures_are_answered_while_the_cache_disk_hangs(
    tmp_path: Path, memory_bytes: str
) -> None:
    settings = SETTINGS | {"FRAMEKEEP_CACHE_MAX_MEMORY_BYTES": memory_bytes}
    with (
        live_server(tmp_path, settings) as server,
        httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client,
    ):
        source = server.origin.serve("/noise.png", encode(NOISE))
        old, other = f"/_/flip/{source}", f"/_/flop/{source}"
        assert client.get(old).status_code == 200
        assert client.get(other).status_code == 200
        with hanging_bodies(tmp_path):
            # Ranges are read from the cache; a whole response is repeated for a second.
            answers = [
                client.get(target, headers={"Range": "bytes=0-"})
                for target in (old, other, f"/_/rotate:90/{source}")
            ]
            assert [answer.status_code for answer in answers] == [206, 206, 206]
            ready = client.get("/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            assert "disk not used" in ready.json()["components"]["cache"]
            metrics = client.get("/metrics").text
            assert 'framekeep_cache_skipped_total{store="disk"}' in metrics
            if memory_bytes != "0":
                assert client.get(f"/_/rotate:90/{source}").headers["x-cache"] == "hit"
        assert client.get(old).status_code == 200
