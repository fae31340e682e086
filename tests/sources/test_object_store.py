"""Buckets by their URL."""

import pytest

from proxy.sources.net.object_store import check_location, open_bucket


@pytest.mark.parametrize(
    "location",
    [
        "s3://bucket",
        "s3://bucket/a/b?region=eu-central-1&endpoint=https://s3.example.com",
        "gs://bucket/a?skip_signature=true",
        "az://container/a?account_name=pictures&skip_signature=true",
    ],
)
def test_the_url_of_each_cloud_is_valid(location: str) -> None:
    check_location(location)
    open_bucket(location, timeout_seconds=1, connect_timeout_seconds=1)


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("s3:bucket", "a bucket is written"),
        ("s3:///key", "a bucket is written"),
        ("s3://id:secret@bucket/", "a bucket is written"),
        ("s3://bucket#a", "a bucket is written"),
        ("ftp://bucket", "a bucket is written"),
        ("s3://bucket?secret_access_key=x", "unknown bucket option 'secret_access_key'"),
    ],
)
def test_an_invalid_bucket_url_is_an_error(location: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        check_location(location)


def test_contradictory_options_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(ValueError, match="Account must be specified"):
        open_bucket("az://container/a", timeout_seconds=1, connect_timeout_seconds=1)
