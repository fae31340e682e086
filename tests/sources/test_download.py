"""Originals as they arrive."""

import hashlib

import pytest

from proxy.errors import Overloaded, SourceTooLarge
from proxy.originals import OriginMetadata
from proxy.sources.download import Arrivals


def test_what_arrived_is_the_original() -> None:
    with Arrivals(10).begin() as arrival:
        arrival.write(b"hel")
        arrival.write(b"lo")
        original = arrival.finish(OriginMetadata(lifetime=1))
    assert original.body.read() == b"hello"
    assert original.digest == hashlib.sha256(b"hello").hexdigest()
    assert original.facts == OriginMetadata(lifetime=1)


def test_one_original_is_bounded_by_what_is_said_and_by_what_comes() -> None:
    with Arrivals(10).begin() as arrival:
        arrival.expect(10)
        arrival.write(bytes(10))
        with pytest.raises(SourceTooLarge, match="larger than 10 bytes"):
            arrival.write(b"1")
        with pytest.raises(SourceTooLarge):
            arrival.expect(11)
        assert arrival.size == 10


def test_all_together_are_bounded_and_make_room_when_they_are_done() -> None:
    arrivals = Arrivals(10, held=15)
    with arrivals.begin() as first:
        first.write(bytes(10))
        with arrivals.begin() as second:
            second.write(bytes(5))
            with pytest.raises(Overloaded, match="try again"):
                second.write(b"1")
    with arrivals.begin() as third, arrivals.begin() as fourth:
        third.write(bytes(10))
        fourth.write(bytes(5))


def test_what_failed_makes_room_too() -> None:
    arrivals = Arrivals(10, held=10)
    with arrivals.begin() as failing:
        failing.write(bytes(10))
        with pytest.raises(SourceTooLarge):
            failing.write(b"1")
    with arrivals.begin() as next_one:
        next_one.write(bytes(10))
