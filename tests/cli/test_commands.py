"""The commands, run as a shell would run them."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import proxy
from proxy import Framekeep, Signer
from proxy.__main__ import COMMANDS
from proxy.errors import InvalidOperation
from proxy.formats import sniff

KEY = "0f" * 16
SOURCE = "https://cdn.example.com/u/42.jpg"
BEACH = Path(proxy.__file__).parent / "data" / "demo" / "beach.jpg"


def framekeep(
    *arguments: str, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "proxy", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        env={"PATH": "", **environment},
    )


def test_a_signed_link_is_explained() -> None:
    signed = framekeep("sign", SOURCE, "resize:800:600", "convert:auto", FRAMEKEEP_LINKS_KEYS=KEY)
    assert signed.returncode == 0
    link = signed.stdout.decode().strip()
    assert re.fullmatch(rf"/[\w-]{{22}}/resize:800:600/convert(:auto)?/{SOURCE}", link)
    explained = framekeep("explain", f"https://img.example.com{link}", FRAMEKEEP_LINKS_KEYS=KEY)
    assert explained.returncode == 0
    explanation = dict(line.split(maxsplit=1) for line in explained.stdout.decode().splitlines())
    assert explanation["source"] == SOURCE
    assert explanation["canonical"] == link
    assert re.fullmatch("[0-9a-f]{64}", explanation["key"])


def test_the_subject_of_a_fetched_original_is_explained() -> None:
    explained = framekeep(
        "explain",
        "--fetch",
        "/_/info:1x1/demo:beach.jpg",
        FRAMEKEEP_LINKS_ALLOW_UNSIGNED="true",
        FRAMEKEEP_SOURCES_ALIASES=json.dumps({"demo": f"file://{BEACH.parent}"}),
    )
    assert explained.returncode == 0
    explanation = dict(line.split(maxsplit=1) for line in explained.stdout.decode().splitlines())
    assert explanation["original"].startswith("jpeg, 4000x3000, 1 frames")
    assert explanation["subject"] == "2 face"
    assert explanation["crop"].startswith("1x1: 3000x3000 at ")


def test_an_invalid_link_is_explained_too() -> None:
    explained = framekeep("explain", f"/{'a' * 22}/{SOURCE}", FRAMEKEEP_LINKS_KEYS=KEY)
    assert explained.returncode == 1
    assert explained.stdout.startswith(b"error        signature mismatch")


def test_a_srcset_is_printed_with_a_resize_before_the_format() -> None:
    printed = framekeep(
        "sign", SOURCE, "convert:webp", "--srcset", "320,640", "--base", "https://img.example.com/",
        FRAMEKEEP_LINKS_KEYS=KEY,
    )  # fmt: skip
    widths = re.findall(
        rf"https://img\.example\.com/[\w-]{{22}}/resize:(\d+)/convert:webp/{SOURCE} (\d+)w",
        printed.stdout.decode(),
    )
    assert widths == [("320", "320"), ("640", "640")]


@pytest.mark.parametrize("widths", ["0", "320,wide", "99999", "320,,640"])
def test_widths_are_bounded(widths: str) -> None:
    printed = framekeep("sign", SOURCE, "--srcset", widths, FRAMEKEEP_LINKS_KEYS=KEY)
    assert printed.returncode == 1
    assert b"--srcset takes widths from 1 to 16384" in printed.stderr


def test_a_file_is_rendered(tmp_path: Path) -> None:
    out = tmp_path / "avatar.webp"
    rendered = framekeep("render", str(BEACH), "resize:200:200:cover/convert:webp", str(out))
    assert rendered.returncode == 0, rendered.stderr
    assert b"webp, 200x200" in rendered.stdout
    form = sniff(out.read_bytes())
    assert form is not None
    assert form.name == "webp"


def test_images_are_rendered_through_pipes() -> None:
    rendered = framekeep("render", "-", "resize:20/convert:png", "-", stdin=BEACH.read_bytes())
    form = sniff(rendered.stdout)
    assert form is not None
    assert form.name == "png"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    rendered = framekeep("render", str(tmp_path / "none.jpg"), "flip", "-")
    assert rendered.returncode == 1
    assert b"none.jpg: No such file or directory" in rendered.stderr


@pytest.mark.parametrize(
    "command",
    ["", *COMMANDS, "cache stats", "cache verify", "cache purge"],
)
def test_the_help_of_every_command_has_an_example(command: str) -> None:
    printed = framekeep(*command.split(), "--help")
    assert printed.returncode == 0
    assert f"\n  framekeep {command}".encode() in printed.stdout.partition(b"example")[2]


def test_settings_are_printed_without_secrets() -> None:
    printed = framekeep("config", "--json", FRAMEKEEP_LINKS_KEYS=KEY)
    rows = {row["variable"]: row for row in json.loads(printed.stdout)}
    assert rows["FRAMEKEEP_LINKS_KEYS"]["value"] == "(1 set)"
    assert KEY.encode() not in printed.stdout


def test_a_bad_setting_stops_every_command() -> None:
    printed = framekeep("config", FRAMEKEEP_SERVER_PORT="http")
    assert printed.returncode == 2
    assert printed.stderr.startswith(b"FRAMEKEEP_SERVER_PORT='http': expected `int`")


def test_a_port_that_is_in_use_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        served = framekeep("serve", "--dev", FRAMEKEEP_SERVER_PORT=port)
    assert served.returncode == 2
    expected = "FRAMEKEEP_SERVER_HOST, FRAMEKEEP_SERVER_PORT: Address already in use"
    assert served.stderr.decode().startswith(expected)
    assert port in served.stderr.decode()


def test_a_server_without_keys_does_not_start_and_names_the_settings() -> None:
    served = framekeep("serve")
    assert served.returncode == 2
    assert b"FRAMEKEEP_LINKS_KEYS" in served.stderr
    assert b"FRAMEKEEP_LINKS_ALLOW_UNSIGNED=true" in served.stderr


def test_the_doctor_reports_what_works_and_what_does_not(tmp_path: Path) -> None:
    examined = framekeep("doctor", FRAMEKEEP_CACHE_DIR=str(tmp_path), FRAMEKEEP_LINKS_KEYS=KEY)
    assert examined.returncode == 0, examined.stdout
    assert re.search(rb"ok +webp +can be written and read", examined.stdout)
    sandbox = rb"(ok|note) +sandbox +(limits|complete|render processes run)"
    assert re.search(sandbox, examined.stdout)
    open_to_all = framekeep(
        "doctor",
        FRAMEKEEP_CACHE_DIR=str(tmp_path),
        FRAMEKEEP_SOURCES_ALLOW_NETS="10.0.0.0/8",
        FRAMEKEEP_METRICS_ACCESS="keys",
    )
    assert open_to_all.returncode == 1
    assert re.search(rb"bad +links +FRAMEKEEP_LINKS_KEYS is not set", open_to_all.stdout)
    assert re.search(
        rb"note +networks +sources may have public addresses, and those in 10.0.0.0/8",
        open_to_all.stdout,
    )
    assert re.search(
        rb"bad +metrics +FRAMEKEEP_METRICS_ACCESS is keys, and .* nobody could", open_to_all.stdout
    )
    assert re.search(rb"ok +tracing +turned off", open_to_all.stdout)


def test_links_are_signed_in_python_as_on_the_command_line() -> None:
    signer = Signer("https://img.example.com", keys=[KEY])
    signed = framekeep("sign", SOURCE, "flip", FRAMEKEEP_LINKS_KEYS=KEY).stdout.decode().strip()
    assert signer.url(SOURCE, "flip") == f"https://img.example.com{signed}"
    with pytest.raises(InvalidOperation, match="blur: sigma"):
        signer.url(SOURCE, "blur:-1")


def test_images_are_rendered_in_python() -> None:
    rendition = Framekeep().render(BEACH.read_bytes(), "smart_crop:120:63", "convert:jpeg")
    assert (rendition.format, str(rendition.size)) == ("jpeg", "120x63")
