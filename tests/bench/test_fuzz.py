"""The targets of the fuzzer, with a few inputs: seeds, seeds with other bytes, and any bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seeds import seeds
from targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_raises_nothing(name: str) -> None:
    target, inputs = TARGETS[name](), list(seeds(name))
    assert inputs

    @st.composite
    def damaged(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(st.sampled_from(inputs)))
        for _ in range(draw(st.integers(0, 4))):
            at = draw(st.integers(0, len(data) - 1))
            data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
            data = data or bytearray(b"\0")
        return bytes(data)

    @given(damaged() | st.binary(max_size=200))
    def check(data: bytes) -> None:
        target(data)

    check()
