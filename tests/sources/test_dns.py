"""Host names are resolved by the system's configuration, bounded by domain, and cached."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from dns_server import NameServer

from proxy.sources.net.dns import SystemResolver, registrable_domain

pytestmark = pytest.mark.anyio


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def open_resolver(
    server: NameServer | None = None,
    *,
    timeout_seconds: float = 60,
    clock: Callable[[], float] | None = None,
) -> AsyncIterator[SystemResolver]:
    resolver = SystemResolver(
        timeout_seconds=timeout_seconds,
        servers=[server.address] if server else (),
        clock=clock or Clock(),
    )
    yield resolver
    await resolver.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "fe80::1%1", "::ffff:10.0.0.1"])
async def test_a_numeric_address_is_itself(address: str) -> None:
    async with open_resolver() as resolver:
        assert await resolver(address, 80) == (address,)


@pytest.mark.parametrize("host", ["a" * 64, "a..b", ""])
async def test_an_invalid_name_is_an_os_error(host: str) -> None:
    async with NameServer() as server, open_resolver(server) as resolver:
        with pytest.raises(socket.gaierror) as error:
            await resolver(host, 80)
        assert error.value.errno == socket.EAI_NONAME


async def test_the_hosts_file_is_honored() -> None:
    lines = [line.split("#")[0].split() for line in Path("/etc/hosts").read_text().splitlines()]
    named = {name: line[0] for line in lines for name in line[1:] if "localhost" not in name}
    if not named:
        pytest.skip("/etc/hosts names nothing but localhost")
    async with NameServer() as server, open_resolver(server) as resolver:
        for name, address in named.items():
            assert address in await resolver(name, 80)
        assert not server.questions


async def test_an_answer_is_cached_for_its_ttl_and_a_second_at_least() -> None:
    clock = Clock()
    async with (
        NameServer({"a.example.com": "203.0.113.7", "b.example.com": "203.0.113.7"}) as server,
        open_resolver(server, clock=clock) as resolver,
    ):
        server.ttl = 0
        await resolver("a.example.com", 80)
        server.ttl = 60
        for _ in range(3):
            assert list(await resolver("b.example.com", 80)) == ["203.0.113.7"]
        await resolver("a.example.com", 80)
        assert server.questions == {"a.example.com": 1, "b.example.com": 1}
        clock.now += 1
        server.names = {"a.example.com": "203.0.113.8"}
        assert list(await resolver("a.example.com", 80)) == ["203.0.113.8"]
        assert list(await resolver("b.example.com", 80)) == ["203.0.113.7"]


async def test_callers_at_the_same_time_share_a_look_up() -> None:
    async with (
        NameServer({"a.example.com": "203.0.113.7"}) as server,
        open_resolver(server) as resolver,
    ):
        await asyncio.gather(*(resolver("a.example.com", 80) for _ in range(20)))
        assert server.questions["a.example.com"] == 1


@pytest.mark.parametrize(
    ("host", "number"), [("no.example.com", socket.EAI_NONAME), ("a.broken", socket.EAI_AGAIN)]
)
async def test_a_failure_is_remembered_for_a_while(host: str, number: int) -> None:
    clock = Clock()
    async with (
        NameServer(failing=(".broken",)) as server,
        open_resolver(server, clock=clock) as resolver,
    ):
        for _ in range(3):
            with pytest.raises(socket.gaierror) as error:
                await resolver(host, 80)
            assert error.value.errno == number
        asked = server.questions[host]
        clock.now += 5
        with pytest.raises(socket.gaierror):
            await resolver(host, 80)
        assert server.questions[host] > asked or number == socket.EAI_NONAME


async def test_one_mute_domain_delays_no_look_up_of_another() -> None:
    async with (
        NameServer({"www.example.org": "203.0.113.7"}, mute=(".mute.example",)) as server,
        open_resolver(server) as resolver,
    ):
        hosts = [f"h{number}.mute.example" for number in range(100)]
        waiting = [asyncio.create_task(resolver(host, 80)) for host in hosts]
        assert list(await resolver("www.example.org", 80)) == ["203.0.113.7"]
        assert not any(task.done() for task in waiting)
        assert sum(name.endswith(".mute.example") for name in server.questions) <= 8
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_mute_name_is_not_looked_up_again_for_a_while() -> None:
    clock = Clock()
    async with (
        NameServer(mute=(".example",)) as server,
        open_resolver(server, timeout_seconds=0.05, clock=clock) as resolver,
    ):
        for _ in range(3):
            with pytest.raises(socket.gaierror, match=r"no answer within 0\.05 s"):
                await resolver("a.mute.example", 80)
        assert server.questions["a.mute.example"] == 1


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("example.com", "example.com"),
        ("a.b.example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("a.b.x.io", "x.io"),
        ("localname", "localname"),
    ],
)
def test_the_domain_of_a_host(host: str, domain: str) -> None:
    assert registrable_domain(host) == domain
