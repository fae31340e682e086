"""Originals as they arrive."""

import hashlib

import pytest

from proxy.errors import Overloaded, SourceTooLarge
from proxy.originals import OriginMetadata
from proxy.sources.download import DownloadBudget


def test_what_arrived_is_the_original() -> None:
    with DownloadBudget(10).start() as arrival:
        arrival.write(b"hel")
        arrival.write(b"lo")
        original = arrival.finish(OriginMetadata(ttl=1))
    assert original.body.read() == b"hello"
    assert original.digest == hashlib.sha256(b"hello").hexdigest()
    assert original.metadata == OriginMetadata(ttl=1)


def test_one_original_is_bounded_by_what_is_said_and_by_what_comes() -> None:
    with DownloadBudget(10).start() as arrival:
        arrival.check_size(10)
        arrival.write(bytes(10))
        with pytest.raises(SourceTooLarge, match="larger than 10 bytes"):
            arrival.write(b"1")
        with pytest.raises(SourceTooLarge):
            arrival.check_size(11)
        assert arrival.size == 10


def test_all_together_are_bounded_and_make_room_when_they_are_done() -> None:
    arrivals = DownloadBudget(10, max_inflight_bytes=15)
    with arrivals.start() as first:
        first.write(bytes(10))
        with arrivals.start() as second:
            second.write(bytes(5))
            with pytest.raises(Overloaded, match="try again"):
                second.write(b"1")
    with arrivals.start() as third, arrivals.start() as fourth:
        third.write(bytes(10))
        fourth.write(bytes(5))


def test_what_failed_makes_room_too() -> None:
    arrivals = DownloadBudget(10, max_inflight_bytes=10)
    with arrivals.start() as failing:
        failing.write(bytes(10))
        with pytest.raises(SourceTooLarge):
            failing.write(b"1")
    with arrivals.start() as next_one:
        next_one.write(bytes(10))
