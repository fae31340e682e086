"""Names looked up by the system."""

from collections.abc import AsyncIterator

import pytest

from proxy.sources.net.dns import SystemResolver

pytestmark = pytest.mark.anyio


@pytest.fixture
async def lookup() -> AsyncIterator[SystemResolver]:
    lookup = SystemResolver()
    yield lookup
    lookup.close()


async def test_a_number_is_its_own_address(lookup: SystemResolver) -> None:
    assert await lookup("127.0.0.1", 80) == ["127.0.0.1"]


async def test_a_scope_stays_visible(lookup: SystemResolver) -> None:
    assert await lookup("fe80::1%1", 80) == ["fe80::1%1"]


@pytest.mark.parametrize("host", ["a" * 64, "a..b", ""])
async def test_what_is_no_name_is_an_os_error(lookup: SystemResolver, host: str) -> None:
    with pytest.raises(OSError, match=r"not a name|not known"):
        await lookup(host, 80)
