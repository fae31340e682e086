"""Downloads and their memory budget."""

import hashlib

import pytest

from proxy.errors import Overloaded, SourceTooLarge
from proxy.originals import OriginMetadata
from proxy.sources.download import DownloadBudget


def test_the_written_bytes_are_the_original() -> None:
    with DownloadBudget(10).start() as download:
        download.write(b"hel")
        download.write(b"lo")
        original = download.finish(OriginMetadata(ttl=1))
    assert original.body.read() == b"hello"
    assert original.digest == hashlib.sha256(b"hello").hexdigest()
    assert original.metadata == OriginMetadata(ttl=1)


def test_one_original_is_limited_by_its_announced_and_its_actual_size() -> None:
    with DownloadBudget(10).start() as download:
        download.check_size(10)
        download.write(bytes(10))
        with pytest.raises(SourceTooLarge, match="larger than 10 bytes"):
            download.write(b"1")
        with pytest.raises(SourceTooLarge):
            download.check_size(11)
        assert download.size == 10


def test_all_downloads_share_a_budget_until_they_end() -> None:
    budget = DownloadBudget(10, max_inflight_bytes=15)
    with budget.start() as first:
        first.write(bytes(10))
        with budget.start() as second:
            second.write(bytes(5))
            with pytest.raises(Overloaded, match="try again"):
                second.write(b"1")
    with budget.start() as third, budget.start() as fourth:
        third.write(bytes(10))
        fourth.write(bytes(5))


def test_a_failed_download_releases_its_memory() -> None:
    budget = DownloadBudget(10, max_inflight_bytes=10)
    with budget.start() as failing:
        failing.write(bytes(10))
        with pytest.raises(SourceTooLarge):
            failing.write(b"1")
    with budget.start() as next_one:
        next_one.write(bytes(10))
