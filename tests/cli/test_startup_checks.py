"""What prevents a start is found before it: `serve` does not start, and `doctor` fails, alike."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from proxy.app import create_app
from proxy.cli.serve import describe_exposure
from proxy.cli.startup_checks import STARTUP_CHECKS, CheckResult, run_startup_checks
from proxy.config import load
from proxy.errors import ConfigError

KEYS = {"FRAMEKEEP_LINKS_KEYS": "0f" * 16}


def failures(environment: Mapping[str, str]) -> list[CheckResult]:
    results = run_startup_checks(load(environment).settings)
    return [result for result in results if result.state == "bad"]


def framekeep(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "proxy", *arguments],
        capture_output=True,
        check=False,
        text=True,
        env={"PATH": "", **environment},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a file that is no model, and a file where a folder should be."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "yunet_s_dynamic.onnx").write_bytes(b"no model")
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "planted").touch()
    (tmp_path / "open").chmod(0o755)
    return tmp_path


MISTAKES = {
    "keys": ({"FRAMEKEEP_LINKS_KEYS": ""}, "links", "FRAMEKEEP_LINKS_KEYS is not set"),
    "preset": (
        {"FRAMEKEEP_LINKS_PRESETS": json.dumps({"a": "preset:a"})},
        "links",
        "FRAMEKEEP_LINKS_PRESETS: preset cycle: a > a",
    ),
    "mount": (
        {"FRAMEKEEP_LINKS_MOUNTS": json.dumps({"": "esperanto"})},
        "links",
        "FRAMEKEEP_LINKS_MOUNTS: unknown dialect 'esperanto'",
    ),
    "mount of an API": (
        {"FRAMEKEEP_LINKS_MOUNTS": json.dumps({"health": "native"})},
        "app",
        "FRAMEKEEP_LINKS_MOUNTS: 'health' is the path of an API",
    ),
    "alias": (
        {"FRAMEKEEP_SOURCES_ALIASES": json.dumps({"media": "ftp://srv"})},
        "sources",
        "FRAMEKEEP_SOURCES_ALIASES: media: unknown scheme",
    ),
    "cache folder": (
        {"FRAMEKEEP_CACHE_DIR": "{folder}/open"},
        "cache",
        "FRAMEKEEP_CACHE_DIR: {folder}/open is open to other users",
    ),
    "cache file": (
        {"FRAMEKEEP_CACHE_DIR": "{folder}/file"},
        "cache",
        "FRAMEKEEP_CACHE_DIR: {folder}/file is not a folder",
    ),
    "cache home": (
        {"FRAMEKEEP_CACHE_DIR": "~no-such-user/cache"},
        "cache",
        "FRAMEKEEP_CACHE_DIR: ~no-such-user/cache cannot be used",
    ),
    "shared cache": (
        {"FRAMEKEEP_SHARED_CACHE_URL": "gs://bucket?skip_signature=maybe"},
        "cache",
        "FRAMEKEEP_SHARED_CACHE_URL: bucket cannot be opened",
    ),
    "runtime": (
        {"FRAMEKEEP_RUNTIME_DIR": "{folder}/none"},
        "runtime",
        "FRAMEKEEP_RUNTIME_DIR='{folder}/none': the directory does not exist",
    ),
    "models": (
        {"FRAMEKEEP_MODELS_DIR": "{folder}/none"},
        "models",
        "FRAMEKEEP_MODELS_DIR='{folder}/none': the directory does not exist",
    ),
    "model file": (
        {"FRAMEKEEP_MODELS_DIR": "{folder}/models"},
        "models",
        "FRAMEKEEP_MODELS_DIR: yunet_s_dynamic.onnx is not an ONNX model",
    ),
    "metrics": (
        {"FRAMEKEEP_METRICS_ACCESS": "keys"},
        "metrics",
        "FRAMEKEEP_METRICS_ACCESS is keys, and FRAMEKEEP_METRICS_KEYS is not set",
    ),
}


def fill(text: str, folder: Path) -> str:
    return text.replace("{folder}", str(folder))


@pytest.mark.parametrize(("environment", "name", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_found_before_the_start(
    folder: Path, environment: dict[str, str], name: str, sentence: str
) -> None:
    cache = {"FRAMEKEEP_CACHE_DIR": str(folder / "cache")}
    filled = {key: fill(value, folder) for key, value in environment.items()}
    (failure,) = failures({**KEYS, **cache, **filled})
    assert failure.name == name
    assert failure.message.startswith(fill(sentence, folder))
    assert not (folder / "cache").exists(), "a check changes nothing"


@pytest.mark.parametrize("mistake", ["keys", "mount of an API", "cache folder", "model file"])
def test_serve_does_not_start_and_doctor_fails_with_the_same_sentence(
    folder: Path, mistake: str
) -> None:
    environment, name, _ = MISTAKES[mistake]
    filled = {**KEYS, **{key: fill(value, folder) for key, value in environment.items()}}
    (failure,) = failures(filled)
    served = framekeep("serve", "--port", "0", environment=filled)
    assert (served.returncode, served.stderr) == (2, f"{failure.message}\n")
    checked = framekeep("doctor", environment=filled)
    assert checked.returncode == 1
    (line,) = [line for line in checked.stdout.splitlines() if line.startswith("bad")]
    assert line == f"bad  {name:<12}{failure.message}"


def test_all_mistakes_are_reported_together(folder: Path) -> None:
    environment = {
        "FRAMEKEEP_CACHE_DIR": str(folder / "open"),
        "FRAMEKEEP_MODELS_DIR": str(folder / "none"),
        "FRAMEKEEP_SOURCES_ALIASES": json.dumps({"media": "ftp://srv", "old": "gopher://srv"}),
    }
    names = [failure.name for failure in failures(environment)]
    assert names == ["links", "sources", "cache", "models"]
    served = framekeep("serve", "--port", "0", environment=environment)
    assert served.returncode == 2
    assert len(served.stderr.splitlines()) == 5


def test_settings_that_pass_the_checks_make_an_app(tmp_path: Path) -> None:
    settings = load({**KEYS, "FRAMEKEEP_CACHE_DIR": str(tmp_path / "cache")}).settings
    results = list(run_startup_checks(settings))
    assert [result.name for result in results] == [name for name, _ in STARTUP_CHECKS]
    assert {result.state for result in results} == {"ok"}
    create_app(settings)


def test_a_token_without_its_zone_is_a_mistake_of_the_settings() -> None:
    with pytest.raises(ConfigError, match=r"FRAMEKEEP_CDN_CLOUDFLARE_API_TOKEN: .* together"):
        load({**KEYS, "FRAMEKEEP_CDN_CLOUDFLARE_ZONE_ID": "zone"})


def test_a_socket_path_that_is_too_long_is_found_before_the_start(tmp_path: Path) -> None:
    long = tmp_path / ("x" * max(1, 78 - len(str(tmp_path))))
    long.mkdir()
    (failure,) = failures(
        {
            **KEYS,
            "FRAMEKEEP_RUNTIME_DIR": str(long),
            "FRAMEKEEP_CACHE_DIR": str(tmp_path / "cache"),
        }
    )
    assert failure.message == (
        f"FRAMEKEEP_RUNTIME_DIR: no socket can be made in {long}: AF_UNIX path too long"
    )


def test_a_low_limit_of_file_descriptors_is_reported() -> None:
    command = ("prlimit", "--nofile=1000:1000", sys.executable, "-m", "proxy", "doctor")
    environment = {"PATH": os.environ["PATH"], **KEYS}
    report = subprocess.run(command, capture_output=True, check=False, text=True, env=environment)
    assert "a worker keeps 500 connections, not the 4096" in report.stdout
    assert "LimitNOFILE=" in report.stdout


@pytest.mark.parametrize(
    ("host", "is_open"), [("0.0.0.0", True), ("::", True), ("127.0.0.1", False), ("::1", False)]
)
def test_development_mode_says_when_it_is_open_to_everybody(host: str, is_open: bool) -> None:
    settings = load(
        {
            "FRAMEKEEP_SERVER_HOST": host,
            "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
            "FRAMEKEEP_API_ALLOW_ANONYMOUS": "true",
        }
    ).settings
    text = describe_exposure(settings)
    assert bool(text) == is_open
    assert not is_open or (
        "OPEN TO EVERYBODY" in text and "no signature and the APIs need no key" in text
    )
