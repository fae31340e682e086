"""Two complete servers that share a bucket on a real S3 server, and tell each other of purges."""

from pathlib import Path

import httpx2
import photos
import pytest
from live_server import LiveServer, live_server
from s3_server import CREDENTIALS, RCLONE, s3_server

pytestmark = pytest.mark.skipif(
    RCLONE is None, reason="rclone, which serves S3 here, is not installed"
)

KEY = "11" * 32


def get(server: LiveServer, source: str) -> str:
    """The result of the cache."""
    response = httpx2.get(f"{server.url}/_/resize:20/{source}", timeout=60)
    assert response.status_code == 200, response.text
    return str(response.headers["x-cache"])


def test_a_purge_that_one_server_answered_is_known_to_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They look into the bucket in an hour, so only a message can tell of it."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "s3" / "shared").mkdir(parents=True)
    with s3_server(tmp_path / "s3") as bucket:
        environment = {
            "FRAMEKEEP_ADMIN_KEYS": "admin-key",
            "FRAMEKEEP_SHARED_CACHE_URL": f"s3://shared/a?region=eu-central-1&endpoint={bucket}",
            "FRAMEKEEP_SHARED_CACHE_KEYS": KEY,
            "FRAMEKEEP_SHARED_CACHE_PURGE_POLL_SECONDS": "3600",
            "FRAMEKEEP_SHARED_CACHE_READ_TIMEOUT_SECONDS": "10",
            "FRAMEKEEP_SHARED_PEERS": "127.0.0.1:9",
        }
        with live_server(tmp_path / "other", environment) as other:
            peer = other.url.removeprefix("http://")
            environment["FRAMEKEEP_SHARED_PEERS"] = peer
            with live_server(tmp_path / "one", environment) as one:
                headers = {"cache-control": "max-age=100000"}
                source = one.origin.serve(
                    "/two-servers.png", photos.encode_scene("PNG", 60, 40), headers=headers
                )
                for server in (one, other):
                    get(server, source)
                    assert get(server, source) == "hit"
                purged = httpx2.post(
                    f"{one.url}/admin/purge",
                    json={"prefixes": ["http://127.0.0.1"]},
                    headers={"authorization": "Bearer admin-key"},
                    timeout=60,
                )
                assert purged.status_code == 200, purged.text
                assert get(other, source) == "miss"
