"""Buckets by their URL."""

import pytest

from proxy.sources.net.object_store import check_location, open_bucket


@pytest.mark.parametrize(
    "place",
    [
        "s3://bucket",
        "s3://bucket/a/b?region=eu-central-1&endpoint=https://s3.example.com",
        "gs://bucket/a?skip_signature=true",
        "az://container/a?account_name=pictures&skip_signature=true",
    ],
)
def test_each_cloud_has_its_form(place: str) -> None:
    check_location(place)
    open_bucket(place, seconds=1, connect_seconds=1)


@pytest.mark.parametrize(
    ("place", "complaint"),
    [
        ("s3:bucket", "a bucket is written"),
        ("s3:///key", "a bucket is written"),
        ("s3://id:secret@bucket/", "a bucket is written"),
        ("s3://bucket#a", "a bucket is written"),
        ("ftp://bucket", "a bucket is written"),
        ("s3://bucket?secret_access_key=x", "no option 'secret_access_key'"),
    ],
)
def test_what_is_no_bucket_is_told(place: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_location(place)


def test_options_that_do_not_go_together_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(ValueError, match="Account must be specified"):
        open_bucket("az://container/a", seconds=1, connect_seconds=1)
