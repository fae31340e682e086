"""Check this machine and its settings, and print how to fix what does not work.

The exit status is 1 where `framekeep serve` would not start.
"""

import os
import re
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import metadata

from proxy.cli.startup_checks import CheckResult, check_sandbox, run_startup_checks
from proxy.config import Settings, load
from proxy.errors import ConfigError, ProxyError
from proxy.imaging.advisories import library_versions, vulnerabilities
from proxy.library import Framekeep

EXAMPLES = """\
example:
  framekeep doctor
"""

_OUTPUT_FORMATS = ("jpeg", "png", "webp", "avif", "gif", "heif")

_RED_PIXEL_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)

_UPPER_BOUND = re.compile(r"(?P<name>[A-Za-z0-9._-]+)[^;]*<(?P<bound>\d+(\.\d+)*)")
"""Name and upper bound of a requirement, such as ``aiohttp<3.15,>=3.13``."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add nothing: the settings determine what is checked."""


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    status = 0
    for result in run_checks(environment):
        print(f"{result.state:<5}{result.name:<12}{'; '.join(result.message.splitlines())}")
        if result.advice:
            print(f"{'':17}{result.advice}")
        status = max(status, result.state == "bad")
    return status


def run_checks(environment: Mapping[str, str]) -> Iterator[CheckResult]:
    yield CheckResult("ok", "python", sys.version.partition(" ")[0])
    yield check_versions(metadata.requires("framekeep") or (), metadata.version)
    for name in _OUTPUT_FORMATS:
        yield _check_format(name)
    try:
        loaded = load(environment)
    except ConfigError as error:
        yield CheckResult("bad", "settings", str(error))
        return
    if message := loaded.service_links_message():
        yield CheckResult("note", "settings", message)
    settings = loaded.settings
    failed = False
    for result in run_startup_checks(settings):
        failed |= result.state == "bad"
        yield result
    for check in (_check_libraries, _check_networks):
        yield check(settings)
    if not failed:  # else the server does not get so far
        yield _check_disk(settings)
        yield _check_access(settings)
        if not settings.render.require_sandbox:  # else it was one of the checks before the start
            yield check_sandbox(settings)


def check_versions(
    requirements: Iterable[str], installed_version: Callable[[str], str]
) -> CheckResult:
    """Compare libraries whose private API is used with the versions that Framekeep allows."""
    beyond, near = [], []
    for requirement in dict.fromkeys(one.partition(";")[0].strip() for one in requirements):
        match = _UPPER_BOUND.match(requirement)
        if match is None:
            continue
        try:
            version = installed_version(match["name"])
        except metadata.PackageNotFoundError:
            continue  # an extra
        bound = _release(match["bound"])
        series = _release(version)[: len(bound)]
        text = f"{match['name']} {version} (allowed: <{match['bound']})"
        if series >= bound:
            beyond.append(text)
        elif (*series[:-1], series[-1] + 1) == bound:
            near.append(text)
    if beyond:
        return CheckResult(
            "note",
            "versions",
            f"not tested with {', '.join(beyond)}",
            "install a version that is allowed, or a newer Framekeep",
        )
    if near:
        message = f"the last series that is allowed is installed: {', '.join(near)}"
        return CheckResult("ok", "versions", message)
    return CheckResult("ok", "versions", "below all upper bounds")


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0]))


def _check_format(name: str) -> CheckResult:
    try:
        encoded = Framekeep().render(_RED_PIXEL_PNG, "resize:16:16:fill", f"convert:{name}")
        Framekeep().render(encoded.body, "convert:png")
    except ProxyError as error:
        return CheckResult("note", name, f"{error}", "links that need this format get 422")
    return CheckResult("ok", name, "can be written and read")


def _check_libraries(settings: Settings) -> CheckResult:
    """Warn about decoders with a vulnerability that an accepted image can exploit."""
    versions = library_versions()
    found = list(vulnerabilities(versions, settings.limits.allow_source_formats))
    if found:
        return CheckResult(
            "note",
            "libraries",
            "; ".join(found),
            "update them, or remove the formats from FRAMEKEEP_LIMITS_ALLOW_SOURCE_FORMATS",
        )
    installed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return CheckResult("ok", "libraries", f"no known vulnerabilities in {installed}")


def _check_disk(settings: Settings) -> CheckResult:
    directory = settings.cache.directory()
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    free, allowed = shutil.disk_usage(existing).free, settings.cache.max_result_bytes
    if free < allowed:
        return CheckResult(
            "note",
            "disk",
            f"{existing} has {free:,} bytes free, less than the {allowed:,} that are allowed",
            "free some space, or lower FRAMEKEEP_CACHE_MAX_RESULT_BYTES",
        )
    return CheckResult("ok", "disk", f"{existing} has {free:,} bytes free")


def _check_networks(settings: Settings) -> CheckResult:
    networks = settings.sources.allow_nets
    if not networks:
        return CheckResult("ok", "networks", "sources must have public addresses")
    return CheckResult(
        "note",
        "networks",
        f"sources may have public addresses, and those in {', '.join(networks)}",
        "anyone who signs links can reach all servers in these networks; allow as few as possible",
    )


def _check_access(settings: Settings) -> CheckResult:
    """Tell what is open to everybody."""
    found = []
    if not settings.links.keys:
        found.append("unsigned links are accepted")
    if settings.metrics.access == "open":
        found.append("everybody can read /metrics")
    if not found:
        return CheckResult("ok", "access", "links are signed, and /metrics is not public")
    return CheckResult(
        "note",
        "access",
        ", ".join(found),
        "for development only: set FRAMEKEEP_LINKS_KEYS, and FRAMEKEEP_METRICS_ACCESS to private "
        "or keys",
    )
