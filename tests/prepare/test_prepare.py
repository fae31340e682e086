"""`framekeep prepare`: what it made is what live requests find, whatever happened meanwhile."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from aiohttp import web
from dev_server import ALLOW_LOOPBACK, dev_server
from live_server import GENEROUS_TIMEOUTS
from msgspec.structs import replace
from origin_server import OriginServer
from pictures import encode, gradient, scene
from s3_server import CREDENTIALS, S3Server

from proxy.app import create_service
from proxy.cache import entries
from proxy.cache.detections import DetectionCache
from proxy.cache.disk import DiskStore
from proxy.cache.factory import open_cache
from proxy.cache.negative import NegativeCache
from proxy.cache.origin_cache import OriginCache
from proxy.cache.renditions import RenditionCache, StoredRendition
from proxy.cli import prepare
from proxy.cli.parser import make_parser
from proxy.config import Settings, load
from proxy.errors import ConfigError, StoreUnavailable
from proxy.image_request import ImageRequest
from proxy.originals import SourceRef
from proxy.prepare.batches import BatchRenderer
from proxy.prepare.engines.ray import close_renderers, prepare_shard
from proxy.prepare.job import Job, JobLinks
from proxy.prepare.manifest import ManifestRow
from proxy.prepare.outputs.caches import LocalCacheOutput
from proxy.prepare.outputs.output import Output
from proxy.prepare.recent_originals import RecentOriginals
from proxy.prepare.renderer import ShardRenderer, failed_rows
from proxy.prepare.report import PreparedRendition, decode_rows
from proxy.prepare.service import PrepareParts, open_parts
from proxy.prepare.shards import Shard
from proxy.prepare.storage import BucketStorage, FileHeaders
from proxy.render.manager import RenderProcessManager
from proxy.render.pool import RenderPool
from proxy.render.tasks import RenderContext
from proxy.runtime.singleflight import SingleFlight
from proxy.service import ImageResult
from proxy.sources.router import SourceRouter

pytestmark = pytest.mark.anyio

PRESETS = {"card": "smart_crop:60:40/convert:auto", "icon": "resize:16/convert:png"}
ACCEPT = {"avif": "image/avif,image/webp,*/*", "webp": "image/webp,*/*", "jpeg": "*/*"}
DAY = 86_400.0


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {
        **GENEROUS_TIMEOUTS,
        **ALLOW_LOOPBACK,
        "FRAMEKEEP_LINKS_KEYS": "0f" * 16,
        "FRAMEKEEP_LINKS_PRESETS": json.dumps(PRESETS),
        "FRAMEKEEP_CACHE_DIR": str(folder),
        "FRAMEKEEP_CACHE_NEGATIVE_TTL": "0",
        "FRAMEKEEP_CACHE_ERROR_BACKOFF_SECONDS": "0",
        "FRAMEKEEP_RENDER_PROCESSES": "1",
        **more,
    }


async def run(settings: Mapping[str, str], *arguments: str | Path) -> int:
    """Run the command in this process; returns its exit status."""
    args = make_parser(["prepare"]).parse_args(["prepare", *map(str, arguments)])
    return await asyncio.to_thread(prepare.run, args, settings)


def serve(origin: OriginServer, count: int, folder: str) -> list[str]:
    """Pictures that differ; returns their URLs."""
    return [
        origin.serve(f"/{folder}/{number}.png", encode(scene(200 + number, 150)))
        for number in range(count)
    ]


def report_rows(folder: Path) -> list[PreparedRendition]:
    return [
        row
        for path in sorted(folder.glob("shards/*.jsonl"))
        for row in decode_rows(path.read_bytes(), "jsonl", path.name)
    ]


async def age_records(folder: Path, urls: Sequence[str], seconds: float) -> None:
    """Make it look as if the originals had been fetched that much earlier."""
    settings = load(environment(folder)).settings
    store = DiskStore(settings.cache)
    for url in urls:
        entry = await store.get("record", SourceRef(url).key)
        record = entries.decode_record(entry)
        assert entry is not None
        assert record is not None
        aged = replace(record, validated_at=record.validated_at - seconds)
        await store.put("record", SourceRef(url).key, entries.encode_record(aged, entry.tags))
    await store.close()


async def test_live_requests_hit_what_was_prepared_also_40_days_later_and_ask_no_origin(
    tmp_path: Path, origin: OriginServer, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = serve(origin, 4, "live")
    manifest, cache = tmp_path / "list", tmp_path / "cache"
    manifest.write_text("\n".join(urls))
    common = (manifest, "--preset", "card", "--preset", "icon", "--report", tmp_path / "report")
    assert await run(environment(cache), *common, "--to", "cache") == 0
    assert capsys.readouterr().out == "16 prepared, 0 failed, 0 skipped\n"
    assert [origin.count(f"/live/{number}.png") for number in range(4)] == [1] * 4
    assert await run(environment(cache), *common, "--to", "cache") == 0
    assert capsys.readouterr().out == "0 prepared, 0 failed, 16 skipped\n"
    await age_records(cache, urls, 40 * DAY)
    async with dev_server(cache, environment=environment(cache)) as server:
        for url in urls:
            for preset in PRESETS:
                for accept in ACCEPT.values():
                    found = await server.get(f"/_/preset:{preset}/{url}", accept=accept)
                    assert (found.status_code, found.headers["x-cache"]) == (200, "hit")
                    # Browsers keep it for a day: no purge reaches them.
                    assert "max-age=86400, s-maxage=31536000" in found.headers["cache-control"]
    assert [origin.count(f"/live/{number}.png") for number in range(4)] == [1] * 4


async def test_what_was_requested_before_is_made_to_last_and_what_a_source_says_goes_first(
    tmp_path: Path, origin: OriginServer
) -> None:
    silent = origin.serve("/last/silent.png", encode(scene()))
    brief = origin.serve("/last/b.png", encode(scene()), headers={"Cache-Control": "max-age=60"})
    settings = load(environment(tmp_path / "cache")).settings
    job = Job(presets=("icon",), accept=("jpeg",), to="cache", ttl=365 * DAY)
    shard = Shard("one", (ManifestRow(silent), ManifestRow(brief)))
    for ttl in (None, job.ttl):
        async with ShardRenderer.open(replace(job, ttl=ttl), settings) as renderer:
            rows = await renderer.run(shard)
            states = [row.state for row in rows]
            ttls = [(await result(renderer, row.source)).ttl for row in rows]
        expected = ("made", DAY) if ttl is None else ("hit", 365 * DAY)
        assert list(zip(states, ttls, strict=True)) == [expected, (expected[0], 60)]
    assert (origin.count("/last/silent.png"), origin.count("/last/b.png")) == (1, 1)


async def result(renderer: ShardRenderer, source: str) -> ImageResult:
    (wanted,) = renderer._links.requests(ManifestRow(source))
    return await renderer._parts.service.get_fresh(wanted.request, "background")


async def test_what_failed_is_reported_once_for_each_source_and_can_be_retried(
    tmp_path: Path, origin: OriginServer, capsys: pytest.CaptureFixture[str]
) -> None:
    (good,) = serve(origin, 1, "retry")
    missing, private = origin.url("/retry/late.png"), origin.url("/retry/private.png")
    origin.serve("/retry/private.png", encode(gradient(9, 9)), headers={"Cache-Control": "private"})
    manifest, failures = tmp_path / "list.csv", tmp_path / "failures"
    manifest.write_text(f"source,presets\n{good},\n{missing},icon card\n{private},icon\nb64:,\n")
    common = (
        *(manifest, "--preset", "icon", "--to", "cache", "--report-format", "jsonl"),
        *("--report", tmp_path / "report", "--failures", failures),
    )
    settings = environment(tmp_path / "cache")
    assert await run(settings, *common) == 1
    out, err = capsys.readouterr()
    assert out.startswith("1 prepared, 6 failed (")
    assert "7/7 renditions, " in err
    lines = {line["source"]: line for line in map(json.loads, failures.read_text().splitlines())}
    assert lines[missing]["problem"] == "source-not-found"
    assert lines[missing]["renditions"] == ["icon", "card avif", "card webp", "card jpeg"]
    assert lines[private]["problem"] == "not-storable"
    assert lines["b64:"]["problem"] == "bad-source"
    assert await run(settings, *common) == 1  # it is known, and not tried again
    assert capsys.readouterr().out == "0 prepared, 0 failed, 1 skipped, 6 failed before\n"
    origin.serve("/retry/late.png", encode(scene()))
    assert await run(settings, *common, "--retry", "failed") == 1
    assert capsys.readouterr().out.startswith("4 prepared, 2 failed (")
    assert origin.count("/retry/0.png") == 1
    rows = report_rows(tmp_path / "report")
    assert sorted(row.source for row in rows if row.state == "failed") == ["b64:", private]
    assert len(rows) == 7


async def test_a_run_that_was_killed_goes_on_and_leaves_nothing_out(
    tmp_path: Path, origin: OriginServer
) -> None:
    urls = serve(origin, 8, "killed")
    blocked, body, is_open = asyncio.Event(), encode(scene(210, 150)), asyncio.Event()

    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        blocked.set()
        await is_open.wait()
        return web.Response(body=body)

    urls.append(origin.handle("/killed/last.png", hang))
    manifest = tmp_path / "list"
    manifest.write_text("\n".join(urls))
    settings = environment(tmp_path / "cache")
    common = (
        *(manifest, "--preset", "icon", "--preset", "card", "--to", "cache"),
        *("--report", tmp_path / "report", "--report-format", "jsonl"),
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "prepare", *map(str, common)),
        env={"PATH": os.environ["PATH"], **settings},
    )
    await blocked.wait()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    is_open.set()
    assert not list(tmp_path.glob("report/shards/*"))
    assert await run(settings, *common) == 0
    rows = report_rows(tmp_path / "report")
    assert len({(row.source, row.preset, row.accept) for row in rows}) == len(rows) == 9 * 4
    assert {row.state for row in rows} <= {"made", "hit"}


async def test_files_are_named_by_the_template_and_listed(
    tmp_path: Path, origin: OriginServer
) -> None:
    manifest, site = tmp_path / "list", tmp_path / "site"
    manifest.write_text("\n".join(serve(origin, 2, "files")))
    common = (
        *(manifest, "--preset", "card", "--preset", "icon", "--report", tmp_path / "report"),
        *("--to", f"{site}/{{preset}}/{{path}}.{{ext}}", "--report-format", "jsonl"),
    )
    assert await run(environment(tmp_path / "cache"), *common) == 0
    files = {str(p.relative_to(site)): p.read_bytes() for p in site.rglob("*") if p.is_file()}
    index = decode_rows(files.pop("index.jsonl"), "jsonl", "index")
    # Small pictures are WebP for the class of AVIF too, so both have one file.
    assert set(files) == {
        f"{name}.{ext}"
        for number in range(2)
        for name, exts in ((f"card/files/{number}", "webp png"), (f"icon/files/{number}", "png"))
        for ext in exts.split()
    }
    assert {row.name for row in index} == set(files)
    assert len(index) == 8
    # Another machine, or a cache that was emptied, makes the same bytes under the same names.
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*.webp")}
    assert await run(environment(tmp_path / "other"), *common, "--again") == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    manifest.write_text("media:a.jpg\nmedia:a.png\n")
    with pytest.raises(ConfigError, match=r"files of several sources would be \*/a\.\*"):
        await run(environment(tmp_path / "cache"), *common)


async def test_files_in_a_bucket_have_their_headers_and_are_written_once(
    origin: OriginServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: dict[str, str] = {}

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "PUT":
            stored.update(request.headers)
            return web.Response(headers={"ETag": '"1"'})
        if not stored:
            return web.Response(status=404)
        meta = {n: v for n, v in stored.items() if n.lower().startswith("x-amz-meta-")}
        modified = "Sun, 06 Nov 1994 08:49:37 GMT"
        return web.Response(
            body=b"body", headers={**meta, "ETag": '"1"', "Last-Modified": modified}
        )

    origin.handle("/site/img/a.avif", handle)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    storage = BucketStorage(f"s3://site/img?region=eu-central-1&endpoint={origin.url('')}")
    headers = FileHeaders("image/avif", "public, max-age=60", "etag-1")
    for etag in ("etag-1", "etag-1", "etag-2"):
        await storage.write("a.avif", b"body", headers._replace(etag=etag))
    methods = [request.method for request in origin.requests]
    assert methods == ["HEAD", "PUT", "HEAD", "HEAD", "PUT"]
    put = origin.requests[1].headers
    assert put["content-type"] == "image/avif"
    assert put["cache-control"] == "public, max-age=60"
    assert put["x-amz-meta-framekeep-etag"] == "etag-1"


async def test_another_machine_finds_everything_in_the_bucket(
    tmp_path: Path,
    origin: OriginServer,
    s3: S3Server,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shared = {
        "FRAMEKEEP_SHARED_CACHE_URL": f"s3://shared/p?region=eu-west-1&endpoint={s3.address}",
        "FRAMEKEEP_SHARED_CACHE_KEYS": "0a" * 16,
        "FRAMEKEEP_SHARED_CACHE_READ_TIMEOUT_SECONDS": "10",
    }
    urls = serve(origin, 3, "shared")
    manifest = tmp_path / "list"
    manifest.write_text("\n".join(urls))
    common = (manifest, "--preset", "card", "--report", tmp_path / "report")
    # One of them was rendered on this machine before there was a bucket.
    first = tmp_path / "first"
    first.write_text(urls[0])
    one = environment(tmp_path / "one")
    assert await run(one, first, *common[1:], "--to", "cache") == 0
    assert await run({**one, **shared}, *common, "--to", "shared") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "9 prepared, 0 failed, 0 skipped"
    settings = load({**environment(tmp_path / "two"), **shared}).settings
    job = Job(presets=("card",), accept=("avif", "webp", "jpeg"), to="shared")
    links = JobLinks.from_settings(job, settings)
    async with open_parts(settings, ttl=None, shares=True) as parts:
        for url in urls:
            for wanted in links.requests(ManifestRow(url)):
                found = await parts.service.get_or_render(wanted.request)
                assert (found.state, found.ttl) == ("hit", 365 * DAY)
    assert [origin.count(f"/shared/{number}.png") for number in range(3)] == [1] * 3


async def test_a_bucket_is_a_manifest_of_the_objects_that_links_name_by_its_alias(
    tmp_path: Path, s3: S3Server
) -> None:
    at = f"region=eu-west-1&endpoint={s3.address}"
    storage = BucketStorage(f"s3://shared/uploads?{at}")
    for name in ("2026/a.png", "2026/b/c.PNG", "2026/notes.txt", "2025/old.png"):
        await storage.write(name, encode(scene()), FileHeaders("image/png"))
    settings = environment(
        tmp_path / "cache",
        FRAMEKEEP_SOURCES_ALIASES=json.dumps({"media": f"s3://shared/uploads/?{at}"}),
    )
    status = await run(
        settings,
        *("s3://shared/uploads/2026", "--preset", "icon", "--to", "cache"),
        *("--report", tmp_path / "report", "--report-format", "jsonl"),
    )
    found = {row.source: row.state for row in report_rows(tmp_path / "report")}
    assert (status, found) == (0, {"media:2026/a.png": "made", "media:2026/b/c.PNG": "made"})


async def test_a_cache_that_is_too_small_is_said_before_it_evicts(
    tmp_path: Path, origin: OriginServer
) -> None:
    manifest = tmp_path / "list"
    noise = np.random.default_rng(1).integers(0, 256, (3, 500, 400, 3), np.uint8)
    urls = [origin.serve(f"/noise/{at}.png", encode(pixels)) for at, pixels in enumerate(noise)]
    manifest.write_text("\n".join(urls))
    presets = {"FRAMEKEEP_LINKS_PRESETS": '{"all": "convert:png"}'}
    small = {"FRAMEKEEP_CACHE_MAX_RESULT_BYTES": "1048576", **presets}
    with pytest.raises(ConfigError, match="raise FRAMEKEEP_CACHE_MAX_RESULT_BYTES"):
        await run(
            environment(tmp_path / "cache", **small),
            *(manifest, "--preset", "all", "--to", "cache", "--report", tmp_path / "report"),
            *("--concurrency", "1"),
        )


class FailsOnce:
    """An output that refuses the first rendition, once."""

    def __init__(self) -> None:
        self.failures = [StoreUnavailable("try again")]

    async def store(self, *_: object) -> str:
        while self.failures:
            raise self.failures.pop()
        return ""


class StopsOnce(RenditionCache):
    """A cache in which time is over, once, after the first rendition of a batch was stored."""

    is_over = False

    async def put(self, *args: Any, **more: Any) -> StoredRendition:
        if not self.is_over:
            self.is_over = True
            return await super().put(*args, **more)
        await self.flush()
        raise TimeoutError


@pytest.mark.parametrize("failure", ["of the output", "of the batch"])
async def test_what_a_failed_attempt_has_made_counts_as_made_and_later_as_there_before(
    tmp_path: Path, origin: OriginServer, failure: str
) -> None:
    settings = load(environment(tmp_path / "cache")).settings
    job = Job(presets=("icon", "card"), accept=("webp", "jpeg"), to="cache")
    links = JobLinks.from_settings(job, settings)
    (url,) = serve(origin, 1, f"attempts-{failure[-5:]}")
    shard = Shard("one", (ManifestRow(url),))
    async with open_parts(settings, ttl=None, shares=False) as parts:
        output: Output = LocalCacheOutput(parts.cache)
        renderer = ShardRenderer(job, links, parts, output)
        match failure:
            case "of the output":
                renderer = ShardRenderer(job, links, parts, FailsOnce())
            case "of the batch":
                parts.batches._renditions = StopsOnce(parts.cache, parts.origins)
        states = [[row.state for row in await renderer.run(shard)] for _ in range(2)]
    assert states == [["made"] * 3, ["hit"] * 3]


async def test_a_rendition_that_the_cache_does_not_keep_is_not_made(
    tmp_path: Path, origin: OriginServer
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (800, 700, 3), np.uint8)
    url = origin.serve("/not-kept.png", encode(noise))
    presets = {"large": "convert:png", "small": "resize:16/convert:png"}
    settings = load(
        environment(
            tmp_path / "cache",
            FRAMEKEEP_CACHE_MAX_RESULT_BYTES="1048576",
            FRAMEKEEP_LINKS_PRESETS=json.dumps(presets),
        )
    ).settings
    job = Job(presets=tuple(presets), accept=("jpeg",), to="cache", attempts=1)
    async with ShardRenderer.open(job, settings) as renderer:
        rows = await renderer.run(Shard("one", (ManifestRow(url),)))
        assert renderer._parts.batches.task_count == 1
    assert [(row.preset, row.state) for row in rows] == [("large", "failed"), ("small", "made")]
    assert "FRAMEKEEP_CACHE_MAX_RESULT_BYTES" in rows[0].detail


class Broken:
    """An output with a bug, of which nobody knows."""

    async def store(self, row: ManifestRow, *_: object) -> str:
        raise ZeroDivisionError(row.source)


async def test_an_unexpected_error_costs_the_rows_of_its_source(
    tmp_path: Path, origin: OriginServer
) -> None:
    settings = load(environment(tmp_path / "cache")).settings
    job = Job(presets=("icon",), accept=("jpeg",), to="cache")
    links = JobLinks.from_settings(job, settings)
    (url,) = serve(origin, 1, "broken")
    async with open_parts(settings, ttl=None, shares=False) as parts:
        renderer = ShardRenderer(job, links, parts, Broken())
        (row,) = await renderer.run(Shard("one", (ManifestRow(url),)))
    assert (row.state, row.problem) == ("failed", "internal-error")
    assert "ZeroDivisionError" in row.detail


def test_a_shard_that_cost_its_workers_fails_but_for_what_was_done_before(tmp_path: Path) -> None:
    settings = load(environment(tmp_path / "cache")).settings
    job = Job(presets=("icon", "card"), accept=("jpeg",), to="shared")
    links = JobLinks.from_settings(job, settings)
    shard = Shard("one", (ManifestRow("media:a"), ManifestRow("media:b")))
    known = [PreparedRendition("media:a", "icon", "", "made")]
    rows = failed_rows(shard, links, "worker-lost", "it died", known)
    assert rows[0] == known[0]
    assert [(row.source, row.preset, row.problem) for row in rows[1:]] == [
        ("media:a", "card", "worker-lost"),
        ("media:b", "icon", "worker-lost"),
        ("media:b", "card", "worker-lost"),
    ]


@pytest.mark.skipif(find_spec("ray") is None, reason="an extra")
async def test_a_ray_cluster_prepares_files(tmp_path: Path, origin: OriginServer) -> None:
    manifest, site = tmp_path / "list", tmp_path / "site"
    manifest.write_text("\n".join([*serve(origin, 2, "ray"), origin.url("/ray/missing.png")]))
    arguments = (
        *(manifest, "--preset", "icon", "--to", f"{site}/{{path}}.{{ext}}", "--engine", "ray"),
        *("--ray-address", "local", "--report", tmp_path / "report", "--report-format", "jsonl"),
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "prepare", *map(str, arguments)),
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "RAY_AUTH_MODE": "disabled",
            **environment(tmp_path / "cache"),
        },
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert output.startswith(b"2 prepared, 1 failed (source-not-found 1)")
    assert process.returncode == 1
    assert sorted(path.name for path in site.rglob("*.png")) == ["0.png", "1.png"]


async def test_a_picture_that_kills_its_render_process_costs_its_own_rows(
    tmp_path: Path, origin: OriginServer
) -> None:
    urls = serve(origin, 3, "deadly")
    deadly = origin.serve("/deadly/x.png", encode(scene()) + b"DEADLY")
    settings = load(environment(tmp_path / "cache")).settings
    job = Job(presets=("card",), accept=("webp", "jpeg"), to="cache")
    processes = RenderProcessManager(
        settings.render, handlers="deadly_tasks", task_seconds=600, reserve_first=False
    )
    async with processes:
        cache = open_cache(settings.cache, settings.shared_cache)
        sources = SourceRouter.from_config(settings.sources, settings.limits)
        flights = SingleFlight(tmp_path / "flights")
        origins = OriginCache(sources, cache, flights, settings.cache)
        pool = RenderPool(processes.directory, process_count=1, wall_seconds=600)
        context = RenderContext(settings.limits)
        service = create_service(
            origins=origins,
            cache=cache,
            pool=pool,
            context=context,
            single_flight=flights,
            negative=NegativeCache(0, lambda: 0.0),
        )
        batches = BatchRenderer(
            renditions=RenditionCache(cache, origins),
            origins=origins,
            detections=DetectionCache(cache, ""),
            pool=pool,
            context=context,
        )
        parts = PrepareParts(
            service, batches, RecentOriginals(cache), origins, cache, settings, None
        )
        links = JobLinks.from_settings(job, settings)
        renderer = ShardRenderer(job, links, parts, LocalCacheOutput(cache))
        rows = await renderer.run(Shard("one", tuple(map(ManifestRow, (*urls, deadly)))))
        for opened in (service, cache, sources):
            await opened.close()
    failed = {(row.source, row.problem) for row in rows if row.state == "failed"}
    assert failed == {(deadly, "render-failed")}
    assert sum(row.state == "made" for row in rows) == 6


async def test_all_renditions_of_a_source_are_made_in_one_task_and_its_original_is_not_written(
    tmp_path: Path, origin: OriginServer
) -> None:
    (url,) = serve(origin, 1, "together")
    settings = load(environment(tmp_path / "cache")).settings
    job = Job(presets=("card", "icon"), accept=("avif", "webp", "jpeg"), to="cache")
    async with open_parts(settings, ttl=None, shares=False) as parts:
        links = JobLinks.from_settings(job, settings)
        renderer = ShardRenderer(job, links, parts, LocalCacheOutput(parts.cache))
        rows = await renderer.run(Shard("one", (ManifestRow(url),)))
        stats = await parts.cache.stats()
        assert renderer.original_bytes > 0
        assert parts.batches.task_count == 1
    assert [row.state for row in rows] == ["made"] * 4
    assert {row.format for row in rows if row.preset == "card"} == {"webp", "png"}
    assert (stats["original"].entries, stats["rendition"].entries) == (0, 4)
    assert origin.count("/together/0.png") == 1


async def test_a_file_that_is_not_there_is_said_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "list").write_text("media:42.jpg\n")
    settings = environment(
        tmp_path / "cache",
        FRAMEKEEP_SOURCES_ALIASES=json.dumps({"media": f"file://{tmp_path / 'media'}"}),
    )
    status = await run(
        settings,
        *(tmp_path / "list", "--preset", "icon", "--to", "cache", "--report", tmp_path / "report"),
        *("--failures", tmp_path / "failures", "--report-format", "jsonl"),
    )
    (failure,) = map(json.loads, (tmp_path / "failures").read_text().splitlines())
    assert status == 1
    assert failure["problem"] == "source-not-found"
    assert failure["detail"] == (
        "source file not found (symbolic links are not followed): 42.jpg: No such file or directory"
    )


async def test_a_dry_run_estimates_by_a_sample_and_keeps_nothing(
    tmp_path: Path, origin: OriginServer, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "list"
    manifest.write_text("\n".join([*serve(origin, 2, "dry"), origin.url("/dry/missing.png")]))
    status = await run(
        environment(tmp_path / "cache"),
        *(manifest, "--preset", "icon", "--to", "cache", "--dry-run", "--core-hour-price", "0.05"),
        *("--report", tmp_path / "report"),
    )
    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert lines[:2] == [
        "3 sources, 3 renditions; 1 shards, 0 of them done",
        "sample       3 sources: 2 renditions, 1 failed (source-not-found 1)",
    ]
    assert [line.split()[0] for line in lines[2:]] == ["rendering", "output", "origins", "cost"]
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "cache", "--preset", "hero"), "--preset: 'hero' is no preset; those of"),
        (("--to", "cache"), "has no preset: name some"),
        (("--to", "cache", "--preset", "card", "--accept", "bmp"), "--accept: 'bmp' is not one"),
        (("--to", "cache", "--preset", "card", "--accept", "jxl"), "FRAMEKEEP_LINKS_AUTO_JXL"),
        (("--to", "shared", "--preset", "card"), "no bucket is set"),
        (("--to", "cache", "--preset", "card", "--engine", "ray"), "the caches of workers end"),
        (("--to", "cache", "--preset", "card", "--ray-address", "x"), "needs --engine ray"),
        (("--to", "cache", "--preset", "card", "--cache-control", "x"), "is for files"),
        (("--to", "x/{path}", "--preset", "card"), "add {accept} or {ext}"),
        (("--to", "cache", "--preset", "card", "--report", "ftp://x"), "must be a folder or"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_rendered(
    tmp_path: Path, arguments: Sequence[str], message: str
) -> None:
    manifest = tmp_path / "list"
    manifest.write_text("media:a.jpg\n")
    with pytest.raises(ConfigError, match=message):
        await run(environment(tmp_path / "cache"), manifest, *arguments)


async def test_requests_have_the_keys_of_links(tmp_path: Path) -> None:
    settings = load(environment(tmp_path)).settings
    row = ManifestRow("https://a.example/ä b.jpg", tags=("x/y",), version="2/3")
    job = Job(presets=("card",), accept=("avif",), to="cache")
    links = JobLinks.from_settings(job, settings)
    (wanted,) = links.requests(row)
    link = links._links.build_link(row.source, ["preset:card", "tag:x%2Fy", "v:2%2F3"])
    parsed = links._links.parse(link.encode())
    plan = parsed.plan.with_accepted_formats(["avif", "webp"])
    assert wanted.request == ImageRequest(parsed.source, plan, parsed.response_options)


def worker_rows(settings: Settings, shard: Shard, job: Job) -> list[PreparedRendition]:
    fingerprint = JobLinks.from_settings(job, settings).fingerprint(settings)
    encoded = prepare_shard(
        msgspec.json.encode(job), fingerprint, msgspec.json.encode(shard), b"[]"
    )
    return msgspec.json.decode(encoded, type=list[PreparedRendition])


async def test_a_worker_prepares_with_its_own_settings_and_refuses_others(
    tmp_path: Path, origin: OriginServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = environment(tmp_path / "cache")
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    (url,) = serve(origin, 1, "worker")
    site = tmp_path / "site"
    job = Job(presets=("icon",), accept=("jpeg",), to=f"{site}/{{path}}.{{ext}}")
    settings, shard = load(own).settings, Shard("one", (ManifestRow(url),))
    try:
        (row,) = await asyncio.to_thread(worker_rows, settings, shard, job)
    finally:
        await asyncio.to_thread(close_renderers)
    assert (row.state, row.name) == ("made", "worker/0.png")
    assert (site / row.name).is_file()
    links = replace(settings.links, presets={"icon": "resize:17/convert:png"})
    with pytest.raises(ConfigError, match="settings are not those of the command"):
        await asyncio.to_thread(
            worker_rows, replace(settings, links=links), shard, replace(job, attempts=1)
        )


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="an extra")
async def test_reports_are_parquet_where_that_is_installed(
    tmp_path: Path, origin: OriginServer
) -> None:
    manifest = tmp_path / "list"
    manifest.write_text("\n".join(serve(origin, 1, "parquet")))
    common = (manifest, "--preset", "icon", "--report", tmp_path / "report")
    assert await run(environment(tmp_path / "cache"), *common, "--to", "cache") == 0
    (path,) = (tmp_path / "report" / "shards").iterdir()
    (row,) = decode_rows(path.read_bytes(), "parquet", path.name)
    assert (row.state, row.format, row.width) == ("made", "png", 16)
