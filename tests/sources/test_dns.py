"""The system's resolver."""

from collections.abc import AsyncIterator

import pytest

from proxy.sources.net.dns import SystemResolver

pytestmark = pytest.mark.anyio


@pytest.fixture
async def resolver() -> AsyncIterator[SystemResolver]:
    resolver = SystemResolver()
    yield resolver
    resolver.close()


async def test_a_numeric_address_is_itself(resolver: SystemResolver) -> None:
    assert await resolver("127.0.0.1", 80) == ["127.0.0.1"]


async def test_the_scope_of_an_address_is_kept(resolver: SystemResolver) -> None:
    assert await resolver("fe80::1%1", 80) == ["fe80::1%1"]


@pytest.mark.parametrize("host", ["a" * 64, "a..b", ""])
async def test_an_invalid_name_is_an_os_error(resolver: SystemResolver, host: str) -> None:
    with pytest.raises(OSError, match=r"invalid host name|not known"):
        await resolver(host, 80)
