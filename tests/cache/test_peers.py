"""Machines that tell each other of purges: at once, signed, and to nobody else."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Self

import pytest
from aiohttp import web
from cache.suite import Clock
from memory_bucket import MemoryBucket
from memory_store import MemoryStore
from render_processes import wait_until

from proxy.api.admin import admin_api
from proxy.api.http.api_keys import ApiKeys
from proxy.cache import peers
from proxy.cache.config import SharedCacheConfig
from proxy.cache.memory_layer import MemoryCacheLayer
from proxy.cache.peers import OUTCOMES, PeersConfig, PurgePeers, is_local_address
from proxy.cache.purge import PurgeService
from proxy.cache.purge_objects import PurgeCodec, PurgeRow, Stamp, new_batch_name, object_id
from proxy.cache.shared import SharedCache
from proxy.cache.shared_objects import ObjectSigner
from proxy.cache.store import ByTag, Entry
from proxy.config import load
from proxy.errors import ConfigError
from proxy.runtime.background import BackgroundTasks
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import ANY_NETWORK, SsrfPolicy
from proxy.telemetry import store_metrics

pytestmark = pytest.mark.anyio

KEY = "11" * 32
NOWHERE = "127.0.0.1:9"  # nothing is sent there
ROWS = [PurgeRow(ByTag("tag:a"), False, Stamp(1_000_000_000, ("x",)))]
CODEC = PurgeCodec(ObjectSigner((KEY,)))


class PeerServer:
    """A peer that answers with the given states, then 200, and records what it gets."""

    def __init__(self, *states: int) -> None:
        self.states = list(states)
        self.messages: list[tuple[str, bytes]] = []

    async def __aenter__(self) -> Self:
        self._runner = web.ServerRunner(web.Server(self._respond), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _respond(self, request: web.BaseRequest) -> web.Response:
        self.messages.append((f"{request.method} {request.path}", await request.read()))
        return web.Response(status=self.states.pop(0) if self.states else 200)


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    client = HttpClient(SsrfPolicy(allow_nets=ANY_NETWORK))
    yield client
    await client.close()


@pytest.fixture(autouse=True)
def _retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_RETRY_SECONDS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(peers, "_TIMEOUT_SECONDS", 60.0)  # a busy machine fails no test


def purge_peers(client: HttpClient, *names: str, port: int = 1, prefix: str = "") -> PurgePeers:
    return PurgePeers(
        PeersConfig(peers=names), client, BackgroundTasks(), port=port, path_prefix=prefix
    )


async def test_a_purge_is_sent_to_each_peer_signed(client: HttpClient) -> None:
    async with PeerServer() as one, PeerServer() as other:
        names = [f"127.0.0.1:{one.port}", f"localhost:{other.port}"]
        sender = purge_peers(client, *names, prefix="/img")
        await sender.send(ROWS, CODEC)
        for peer in (one, other):
            ((line, body),) = peer.messages
            assert line.startswith("PUT /img/admin/purges/batch-")
            name = f"v4/purges/{line.rpartition('/')[2]}"
            assert CODEC.decode(name, body) == ROWS
    assert sender.outcomes["delivered"] >= 2  # `localhost` may be two addresses


async def test_a_message_is_bounded_and_many_purges_are_several(client: HttpClient) -> None:
    rows = [
        PurgeRow(ByTag("x" * 8000 + str(number)), False, Stamp(1, ("x",))) for number in range(300)
    ]
    async with PeerServer() as peer:
        await purge_peers(client, f"127.0.0.1:{peer.port}").send(rows, CODEC)
        assert len(peer.messages) == 3
        assert max(len(body) for _, body in peer.messages) < 1_100_000


async def test_a_peer_that_fails_is_told_again(client: HttpClient) -> None:
    async with PeerServer(500, 503) as peer:
        sender = purge_peers(client, f"127.0.0.1:{peer.port}")
        await sender.send(ROWS, CODEC)
        await wait_until(lambda: sender.outcomes["delivered"])
        assert len(peer.messages) == 3
        assert len(set(peer.messages)) == 1  # the same message
    assert sender.outcomes == {"delivered": 1}


async def test_a_peer_that_is_not_there_is_counted_and_delays_nothing_else(
    client: HttpClient,
) -> None:
    async with PeerServer() as peer:
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))  # but nobody listens there
        gone = f"127.0.0.1:{bound.getsockname()[1]}"
        sender = purge_peers(client, f"127.0.0.1:{peer.port}", gone)
        await sender.send(ROWS, CODEC)
        assert len(peer.messages) == 1
        await wait_until(lambda: sender.outcomes["failed"])
        bound.close()
    assert sender._background.failures == {"peer_purge": 1}


async def test_names_are_looked_up_each_time_and_this_server_is_left_out(
    client: HttpClient,
) -> None:
    answers: list[Sequence[str]] = []

    async def resolve(host: str, _: int) -> Sequence[str]:
        assert host == "framekeep.internal"
        if not answers:
            raise OSError("name not found")
        return answers.pop(0)

    async with PeerServer() as peer:
        sender = PurgePeers(
            PeersConfig(peers=("framekeep.internal",)),
            client,
            BackgroundTasks(),
            port=peer.port,
            resolver=resolve,
            is_local=lambda address: address == "192.0.2.1",
        )
        answers[:] = [["192.0.2.1"], ["192.0.2.1", "127.0.0.1"]]
        await sender.send(ROWS, CODEC)
        assert (sender.known, peer.messages) == (0, [])
        await sender.send(ROWS, CODEC)
        assert (sender.known, len(peer.messages)) == (1, 1)
        await sender.send(ROWS, CODEC)
        assert sender.outcomes == {"delivered": 1, "failed": 1}
        assert sender._background.failures == {"peer_purge": 1}


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("192.0.2.1", False), ("2001:db8::1", False), ("no address", False)],
)
def test_an_address_of_this_machine_is_recognized(address: str, *, expected: bool) -> None:
    assert is_local_address(address) is expected


class Machine:
    """A shared cache that peers can reach, and its local entries."""

    def __init__(self, bucket: MemoryBucket, client: HttpClient, *names: str) -> None:
        config = SharedCacheConfig(
            url="s3://none?region=eu-central-1", keys=(KEY,), purge_poll_seconds=3600
        )
        clock = Clock()
        self.peers = purge_peers(client, *names)
        local = MemoryCacheLayer(MemoryStore(10_000_000, clock=clock), 0)
        self.cache = SharedCache(local, config, bucket=bucket, peers=self.peers, clock=clock)


def message(key: str = KEY, tag: str = "tag:a") -> tuple[str, bytes]:
    name = new_batch_name()
    rows = [PurgeRow(ByTag(tag), False, Stamp(1_000_000_000, (object_id(name),)))]
    return object_id(name), PurgeCodec(ObjectSigner((key,))).encode(name, rows)


async def test_what_a_peer_sends_is_purged_once(client: HttpClient) -> None:
    machine = Machine(MemoryBucket(), client, NOWHERE)
    await machine.cache._wait_started()
    name, body = message()
    for _ in range(2):
        await machine.cache.put("rendition", "key", Entry(b"1", tags=("tag:a",)))
        assert await machine.cache.receive_purges(name, body)
    assert machine.cache.shared_counts.peer_purges == {"received": 2}
    assert await machine.cache.get_local("rendition", "key") is not None  # made after the purge
    await machine.cache.close()


async def test_what_is_not_of_the_fleet_is_refused(client: HttpClient) -> None:
    machine = Machine(MemoryBucket(), client, NOWHERE)
    await machine.cache._wait_started()
    await machine.cache.put("rendition", "key", Entry(b"1", tags=("tag:a",)))
    name, body = message()
    forged_name, forged = message("22" * 32)
    for one, content in (
        (forged_name, forged),
        (name, body[:-1]),
        (name, b""),
        (message()[0], body),
        ("batch-1", body),
        ("../x", body),
    ):
        assert not await machine.cache.receive_purges(one, content)
    assert await machine.cache.get_local("rendition", "key") is not None
    assert machine.cache.shared_counts.peer_purges == {"refused": 4}
    await machine.cache.close()
    without = Machine(MemoryBucket(), client)
    assert not await without.cache.receive_purges(name, body)
    await without.cache.close()


async def test_two_machines_know_a_purge_when_it_is_answered(client: HttpClient) -> None:
    """Without a look into the bucket: the next one is in an hour."""
    bucket = MemoryBucket()
    server = web.Server(lambda request: forward(request, other))
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    other = Machine(bucket, client, NOWHERE)
    one = Machine(bucket, client, f"127.0.0.1:{runner.addresses[0][1]}")
    for machine in (one, other):
        await machine.cache._wait_started()
        await machine.cache.put("rendition", "key", Entry(b"1", tags=("tag:a",)))
        await machine.cache.wait_written()
    await one.cache.purge(ByTag("tag:a"))
    assert await other.cache.get("rendition", "key") is None  # also not from the bucket
    assert one.peers.outcomes == {"delivered": 1}
    await runner.cleanup()
    for machine in (one, other):
        await machine.cache.close()


async def forward(request: web.BaseRequest, to: Machine) -> web.Response:
    name = request.path.rpartition("/")[2]
    known = await to.cache.receive_purges(name, await request.read())
    return web.Response(status=200 if known else 403)


async def test_a_purge_that_reached_the_bucket_late_is_told_to_peers_then(
    client: HttpClient,
) -> None:
    async with PeerServer() as peer:
        bucket = MemoryBucket()
        machine = Machine(bucket, client, f"127.0.0.1:{peer.port}")
        await machine.cache._purges.purge([ByTag("tag:a")], soft=False)
        assert peer.messages == []
        assert await machine.cache._purges.sync()
        await wait_until(lambda: peer.messages)
        await machine.cache.close()


async def test_the_endpoint_takes_signed_purges_without_an_admin_key(client: HttpClient) -> None:
    from httpx2 import ASGITransport, AsyncClient

    machine = Machine(MemoryBucket(), client, NOWHERE)
    await machine.cache._wait_started()
    app = admin_api(PurgeService(machine.cache), machine.cache, ApiKeys(("key",)))
    name, body = message()
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://peer") as http:
        assert (await http.put(f"/admin/purges/{name}", content=body)).status_code == 200
        for path, content, status in (
            (f"/admin/purges/{name}", body[:-1], 403),
            (f"/admin/purges/{name}", b"x" * 2_000_001, 413),
            ("/admin/purges/x/y", body, 404),
        ):
            answer = await http.put(path, content=content)
            assert answer.status_code == status, answer.text
        assert (await http.get(f"/admin/purges/{name}")).status_code == 405
    await machine.cache.close()


ENVIRONMENT = {
    "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
    "FRAMEKEEP_SHARED_CACHE_URL": "s3://bucket",
    "FRAMEKEEP_SHARED_CACHE_KEYS": KEY,
    "FRAMEKEEP_SHARED_PEERS": "10.0.0.7,[fd00::7]:8081,framekeep-servers:8080",
}


def test_peers_need_a_bucket_keys_and_ports() -> None:
    settings = load(ENVIRONMENT).settings
    settings.validate()
    found = [peers._split(peer, 80) for peer in settings.shared.peers]
    assert found == [("10.0.0.7", 80), ("fd00::7", 8081), ("framekeep-servers", 8080)]
    for changes, error in (
        ({"FRAMEKEEP_SHARED_CACHE_URL": ""}, "needs FRAMEKEEP_SHARED_CACHE_URL"),
        (
            {"FRAMEKEEP_SHARED_CACHE_KEYS": "", "FRAMEKEEP_SHARED_CACHE_ALLOW_UNSIGNED": "true"},
            "needs FRAMEKEEP_SHARED_CACHE_KEYS",
        ),
        ({"FRAMEKEEP_SERVER_PORT": "0"}, "'10.0.0.7' has no port"),
    ):
        with pytest.raises(ConfigError, match=error):
            load({**ENVIRONMENT, **changes}).settings.validate()


@pytest.mark.parametrize(
    "peer", ["", "a:b", "http://a", "a:0", "a:65536", "a b", "user@a", "[a]:1"]
)
def test_an_invalid_peer_stops_the_start(peer: str) -> None:
    with pytest.raises(ConfigError, match="FRAMEKEEP_SHARED_PEERS"):
        load({**ENVIRONMENT, "FRAMEKEEP_SHARED_PEERS": f"ok,{peer}"})


def test_every_outcome_is_a_label_of_the_metric() -> None:
    assert store_metrics.PEER_OUTCOMES == OUTCOMES


async def test_a_hundred_purges_at_once_are_all_told(client: HttpClient) -> None:
    async with PeerServer() as peer:
        machine = Machine(MemoryBucket(), client, f"127.0.0.1:{peer.port}")
        tags = [f"tag:{number}" for number in range(100)]
        await asyncio.gather(*(machine.cache.purge(ByTag(tag)) for tag in tags))
        told = {
            row.selector
            for line, body in peer.messages
            for row in CODEC.decode(f"v4/purges/{line.rpartition('/')[2]}", body)
        }
        assert told == set(map(ByTag, tags))
        await machine.cache.close()
