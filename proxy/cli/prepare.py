"""Render many images ahead of time, so that the server answers them from its cache, or into files.

The manifest lists sources: a text file with one a line, CSV, JSON Lines or
Parquet with a column `source` and optional columns `presets`, `tags` and
`version`, or a bucket. It is worked on in shards of about 200 sources. What a
run has done is in its report: the same command goes on where it was stopped.
"""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from proxy.cli.files import open_input, standard_error
from proxy.cli.parser import whole_number
from proxy.cli.progress import ProgressReport
from proxy.config import LoadedConfig, load
from proxy.errors import ConfigError, InvalidSource
from proxy.prepare import parquet
from proxy.prepare.engines.engine import Engine
from proxy.prepare.engines.local import LocalEngine
from proxy.prepare.engines.ray import RayEngine
from proxy.prepare.estimate import describe_estimate, render_sample
from proxy.prepare.job import ACCEPT, DEFAULT_ACCEPT, Job, JobLinks
from proxy.prepare.listing import BUCKET_SCHEMES, find_prefix, list_rows
from proxy.prepare.manifest import MANIFEST_FORMATS, ManifestRow, guess_format, read_rows
from proxy.prepare.outputs.output import check_destination, is_template
from proxy.prepare.report import (
    REPORT_FORMATS,
    PreparedRendition,
    ReportFormat,
    ReportStore,
    group_failures,
)
from proxy.prepare.run import PrepareRun, RunOptions
from proxy.prepare.shards import ShardedManifest, Slice
from proxy.prepare.storage import open_storage
from proxy.prepare.template import NameTemplate
from proxy.runtime.event_loop import run as run_loop

EXAMPLES = """\
examples:
  framekeep prepare uploads.txt --preset card --preset hero --to cache
  framekeep prepare uploads.parquet --preset card --to shared --report s3://bucket/reports
  framekeep prepare uploads.csv --preset card --to 's3://site/img/{preset}/{path}.{ext}'
  framekeep prepare s3://uploads/2026/ --preset card --to shared --engine ray
  framekeep prepare uploads.txt --preset card --to shared --shard 17/400
  framekeep prepare uploads.txt --preset card --to shared --retry failed
"""

MAX_TTL_DAYS = 3650
_DEFAULT_TTL_SECONDS = 31_536_000.0
_MAX_CACHE_CONTROL = 500


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "manifest",
        metavar="MANIFEST",
        help="a file, - for standard input, or a bucket of an alias, such as s3://uploads/2026/",
    )
    parser.add_argument(
        "--manifest-format",
        choices=MANIFEST_FORMATS,
        help="format of the manifest; by default its suffix says it, else it is one source a line",
    )
    parser.add_argument(
        "--preset",
        action="append",
        default=[],
        metavar="NAME",
        help="a preset of FRAMEKEEP_LINKS_PRESETS to render each source with; may be repeated",
    )
    parser.add_argument(
        "--accept",
        type=lambda text: tuple(dict.fromkeys(text.split(","))),
        default=DEFAULT_ACCEPT,
        metavar="CLASSES",
        help="for presets with convert:auto, the classes of clients to render for, of "
        f"{', '.join(ACCEPT)}; default {','.join(DEFAULT_ACCEPT)}",
    )
    parser.add_argument(
        "--to",
        required=True,
        metavar="WHERE",
        help="cache (of this machine), shared (the bucket of FRAMEKEEP_SHARED_CACHE_URL), or a "
        "template of files in a folder or bucket, such as 's3://site/img/{preset}/{path}.{ext}'",
    )
    parser.add_argument(
        "--cache-control",
        default="",
        metavar="VALUE",
        help="Cache-Control of files in a bucket; by default what a link would answer",
    )
    parser.add_argument(
        "--ttl",
        type=_parse_days,
        metavar="DAYS",
        help="for how long originals are fresh whose source does not say it; default 365 for "
        "caches, unless FRAMEKEEP_CACHE_TTL_DEFAULT is set",
    )
    parser.add_argument(
        "--revalidate",
        action="store_true",
        help="ask each source whether its original has changed, however fresh it is",
    )
    _add_run_arguments(parser)


def _add_run_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="what runs it")
    parser.add_argument(
        "--ray-address",
        default="",
        metavar="ADDRESS",
        help="the Ray cluster; by default that of RAY_ADDRESS, else a new one on this machine",
    )
    parser.add_argument(
        "--shard",
        type=Slice.parse,
        default=Slice(1, 1),
        metavar="NUMBER/COUNT",
        help="do only this part of the manifest, such as 17/400",
    )
    parser.add_argument(
        "--concurrency",
        type=whole_number(1, 1000),
        default=0,
        metavar="NUMBER",
        help="sources at the same time in one process; default 6 for each render process",
    )
    parser.add_argument(
        "--report",
        default="prepare-report",
        metavar="WHERE",
        help="folder or bucket for the reports of the shards; default prepare-report",
    )
    parser.add_argument(
        "--report-format",
        choices=REPORT_FORMATS,
        help="format of reports and of the index of files; default parquet where pyarrow is "
        "installed, else jsonl",
    )
    parser.add_argument(
        "--failures",
        type=Path,
        metavar="FILE",
        help="a file for the failures, one JSON object a line; default standard error",
    )
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        "--retry", choices=("failed",), help="do what failed in an earlier run once more"
    )
    again.add_argument(
        "--again", action="store_true", help="take no notice of the reports of earlier runs"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="only count, and estimate time and cost by rendering a sample that is not kept",
    )
    parser.add_argument(
        "--sample",
        type=whole_number(0, 1000),
        default=20,
        metavar="NUMBER",
        help="sources that --dry-run renders; default 20",
    )
    parser.add_argument(
        "--core-hour-price",
        type=_parse_price,
        metavar="PRICE",
        help="price of an hour of one core, for the estimate of --dry-run",
    )


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    loaded = load(environment)
    settings = loaded.settings
    job = _make_job(args, loaded)
    check_destination(job, settings.shared_cache.url)
    settings.validate()
    links = JobLinks.from_settings(job, settings)
    with ShardedManifest(args.shard) as manifest:
        total = run_loop(_fill(manifest, args, loaded, links))
        reports = ReportStore(
            open_storage(args.report, "--report"),
            args.report_format or ("parquet" if parquet.is_installed() else "jsonl"),
            links.fingerprint(settings),
        )
        options = RunOptions(again=args.again, retry=args.retry == "failed")
        prepared = PrepareRun(job, settings, manifest, reports, options)
        if args.dry_run:
            return run_loop(_estimate(args, loaded, job, prepared, total))
        with ExitStack() as stack:
            failures = (
                stack.enter_context(args.failures.open("w", encoding="utf-8", buffering=1))
                if args.failures
                else None
            )
            progress = ProgressReport(total, failures, standard_error(), unit="renditions")
            return run_loop(_prepare(args, prepared, reports, progress))


def _make_job(args: Namespace, loaded: LoadedConfig) -> Job:
    """Raises ConfigError where arguments contradict each other."""
    if is_template(args.to):
        template = NameTemplate.parse(args.to)
        template.check([(preset, accept) for preset in args.preset for accept in args.accept])
    elif args.cache_control:
        raise ConfigError("--cache-control is for files; caches go by what the source says")
    if len(args.cache_control) > _MAX_CACHE_CONTROL or not args.cache_control.isprintable():
        raise ConfigError(f"--cache-control: must be up to {_MAX_CACHE_CONTROL} characters of text")
    if args.ray_address and args.engine != "ray":
        raise ConfigError("--ray-address needs --engine ray")
    if args.engine == "ray" and args.to == "cache":
        raise ConfigError(
            "--engine ray: the caches of workers end with them; use --to shared, or a bucket"
        )
    is_set = "FRAMEKEEP_CACHE_TTL_DEFAULT" in loaded.origins
    default = None if is_set or is_template(args.to) else _DEFAULT_TTL_SECONDS
    return Job(
        presets=tuple(dict.fromkeys(args.preset)),
        accept=args.accept,
        to=args.to,
        ttl=default if args.ttl is None else args.ttl,
        cache_control=args.cache_control,
        revalidate=args.revalidate,
        concurrency=args.concurrency,
    )


async def _fill(
    manifest: ShardedManifest, args: Namespace, loaded: LoadedConfig, links: JobLinks
) -> int:
    """Read the manifest; return how many renditions it asks for. Raises ConfigError."""
    template = NameTemplate.parse(args.to) if is_template(args.to) else None
    async for row in _rows(args, loaded):
        links.count(row, args.manifest)
        name = ""
        if template is not None:
            try:
                name = template.base_name(row)
            except InvalidSource:
                name = ""  # its row will say so
            if row.presets:
                template.check(links.pairs(row))
        manifest.add(row, name)
    shared = manifest.find_shared_name()
    if shared is not None:
        raise ConfigError(
            f"--to: files of several sources would be {shared}; add {{suffix}}, {{host}} or "
            "{version} to the template"
        )
    return sum(len(links.pairs(row)) for row in manifest)


async def _rows(args: Namespace, loaded: LoadedConfig) -> AsyncIterator[ManifestRow]:
    if args.manifest.startswith(BUCKET_SCHEMES):
        async for row in list_rows(find_prefix(args.manifest, loaded.settings.sources.aliases)):
            yield row
        return
    format = args.manifest_format or guess_format(args.manifest)
    for row in read_rows(open_input(args.manifest), args.manifest, format):
        yield row


async def _estimate(
    args: Namespace, loaded: LoadedConfig, job: Job, run: PrepareRun, total: int
) -> int:
    settings, manifest = loaded.settings, run.manifest
    sources, (shards, done) = len(manifest), await run.count_shards()
    print(f"{sources:,} sources, {total:,} renditions; {shards:,} shards, {done:,} of them done")
    if args.sample and sources:
        sample = await render_sample(job, settings, iter(manifest), args.sample)
        for line in describe_estimate(
            sample,
            sources=sources,
            renditions=total,
            cores=settings.render.process_count,
            price=args.core_hour_price,
        ):
            print(line)
    return 0


async def _prepare(
    args: Namespace, prepared: PrepareRun, reports: ReportStore, progress: ProgressReport
) -> int:
    """Returns the exit status: 1 where anything is missing."""
    await reports.open()

    budget = prepared.cache_budget
    stored = 0

    def on_rows(rows: Sequence[PreparedRendition]) -> None:
        nonlocal stored
        stored += sum(row.bytes for row in rows)
        if budget is not None and stored > budget:
            raise ConfigError(
                f"--to cache: more than {budget:,} bytes, so the cache evicts what was prepared; "
                "raise FRAMEKEEP_CACHE_MAX_RESULT_BYTES"
            )
        failed = sum(row.state == "failed" for row in rows)
        progress.failed += failed
        progress.done += len(rows) - failed
        progress.skipped = prepared.skipped + prepared.failed_before
        for failure in group_failures(rows):
            progress.add_failure(failure)
        progress.show_progress()

    engine: Engine = RayEngine(args.ray_address) if args.engine == "ray" else LocalEngine()
    try:
        await prepared.run(engine, on_rows)
    finally:
        progress.skipped = prepared.skipped + prepared.failed_before
        progress.show_progress(is_last=True)
    if is_template(args.to):
        template = NameTemplate.parse(args.to)
        await prepared.write_index(
            open_storage(template.location, "--to"), _index_name(args.shard, reports.format)
        )
    before = f", {prepared.failed_before} failed before" if prepared.failed_before else ""
    failed = progress.describe_failed()
    print(f"{progress.done} prepared, {failed}, {prepared.skipped} skipped{before}")
    return 1 if progress.failed or prepared.failed_before else 0


def _index_name(part: Slice, format: ReportFormat) -> str:
    name = "index" if part.total == 1 else f"index-{part.number}-of-{part.total}"
    return f"{name}.{format}"


def _parse_days(text: str) -> float:
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= MAX_TTL_DAYS):
        raise ArgumentTypeError(f"expected whole days from 0 to {MAX_TTL_DAYS}, got {text!r}")
    return int(text) * 86_400.0


def _parse_price(text: str) -> float:
    try:
        price = float(text)
    except ValueError:
        price = -1.0
    if not 0 <= price <= 1000:
        raise ArgumentTypeError(f"expected a price from 0 to 1000, got {text!r}")
    return price
