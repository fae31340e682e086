"""The commands, run as a shell would run them."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

import proxy
from proxy import Framekeep, Signer
from proxy.cli.development import set_dev_defaults
from proxy.cli.parser import COMMANDS
from proxy.config import load
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
    assert explanation["subject"].startswith("2 face, 2 person")
    assert explanation["crop"].startswith("1x1: 3000x3000 at ")


def test_an_invalid_link_is_explained_too() -> None:
    explained = framekeep("explain", f"/{'a' * 22}/{SOURCE}", FRAMEKEEP_LINKS_KEYS=KEY)
    assert explained.returncode == 1
    assert explained.stdout.startswith(b"error        signature mismatch")


def test_a_srcset_is_printed_with_true_widths() -> None:
    printed = framekeep(
        "sign", SOURCE, "convert:webp", "--srcset", "320,640,1280", "--original", "1000x750",
        "--base", "https://img.example.com/", FRAMEKEEP_LINKS_KEYS=KEY,
    )  # fmt: skip
    widths = re.findall(
        rf"https://img\.example\.com/[\w-]{{22}}/resize:(\d+)/convert:webp/{SOURCE} (\d+)w",
        printed.stdout.decode(),
    )
    assert widths == [("320", "320"), ("640", "640"), ("1000", "1000")]


def test_a_picture_is_printed_with_other_ratios_for_other_screens() -> None:
    printed = framekeep(
        "sign", f"{SOURCE}?a=1&b=2", "--picture", "--srcset", "320", "--original", "1000x700",
        "--ratio", "16x9", "--art", "(max-width: 40em)", "4x5", "--formats", "webp,jpeg",
        "--sizes", "50vw", "--alt", 'A "b"', FRAMEKEEP_LINKS_KEYS=KEY,
    )  # fmt: skip
    lines = printed.stdout.decode().splitlines()
    assert lines[0] == "<picture>"
    assert lines[1].startswith('  <source media="(max-width: 40em)" type="image/webp" srcset="/')
    assert "/smart_crop:320:400/convert:webp/" in lines[1]
    assert lines[1].endswith('560w" sizes="50vw" width="560" height="700">')
    assert lines[3].startswith('  <source type="image/webp" srcset="/')
    assert "?a=1&amp;b=2 320w" in lines[4]
    assert lines[4].endswith('1000w" sizes="50vw" width="1000" height="563" alt="A &quot;b&quot;">')


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--srcset",), b"--original is missing"),
        (("--picture", "--srcset", "320"), b"--original is missing"),
        (("--max-width", "80"), b"--max-width needs --srcset or --picture"),
        (("--srcset", "--original", "4x3", "--alt", "A"), b"--alt needs --picture"),
        (("--picture", "--original", "4x3", "--art", "print", "4"), b"--art: expected two numbers"),
        (("--picture", "--original", "4x3", "--art", " ", "4x3"), b"media must be a media cond"),
        (("--picture", "--original", "4x3", "--formats", "bmp"), b"must be some of avif, gif"),
        (("resize:80", "--srcset", "--original", "4x3"), b"resize may change the size"),
        (("preset:a", "--srcset", "--original", "4x3"), b"preset may change the size"),
    ],
    ids=str,
)
def test_what_no_srcset_can_be_made_of_is_refused(
    arguments: tuple[str, ...], sentence: bytes
) -> None:
    printed = framekeep("sign", SOURCE, *arguments, FRAMEKEEP_LINKS_KEYS=KEY)
    assert printed.returncode == 1
    assert sentence in printed.stderr


@pytest.mark.parametrize("widths", ["0", "320,wide", "99999", "320,,640"])
def test_widths_are_bounded(widths: str) -> None:
    printed = framekeep(
        "sign", SOURCE, "--srcset", widths, "--original", "9x9", FRAMEKEEP_LINKS_KEYS=KEY
    )
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
    assert printed.stderr.startswith(
        b"FRAMEKEEP_SERVER_PORT: must be a whole number from 0 to 65535, not 'http'"
    )


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


def test_the_versions_are_printed() -> None:
    printed = framekeep("--version")
    pattern = rb"framekeep [\d.]+, libvips 8\.\d+\.\d+, Python 3\.\d+\.\d+\S*\n"
    assert re.fullmatch(pattern, printed.stdout)


def test_a_command_that_is_nearly_right_is_corrected() -> None:
    printed = framekeep("sgin", SOURCE)
    assert printed.returncode == 2
    assert (
        b"there is no command 'sgin'; did you mean sign? commands: serve, sign," in printed.stderr
    )


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_commands_and_options(shell: str) -> None:
    printed = framekeep("completion", shell)
    assert printed.returncode == 0
    for word in (*COMMANDS, "--srcset", "--everything", "imgproxy"):
        assert word in printed.stdout.decode()
    if found := shutil.which(shell):
        subprocess.run([found, "-n"], input=printed.stdout, check=True)


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("render", "{folder}", "flip", "-"), 1, "{folder}: Is a directory"),
        (("render", "{beach}", "resize:9", "{folder}/no/out.png"), 1, "No such file or directory"),
        (("render", "{beach}", "resize:9", "{folder}"), 1, "{folder}: Is a directory"),
        (("warm", "{folder}/none.txt"), 1, "none.txt: No such file or directory"),
        (("warm", "{beach}"), 2, "not a text file"),
        (("warm", "-", "--concurrency", "65"), 2, "whole number from 1 to 64, got '65'"),
        (("migrate", "imgproxy", "--env", "{beach}"), 2, "not a text file"),
        (("models", "list", "--dir", "{beach}/x"), 0, ""),
        (("models", "install", "--dir", "{beach}/x", "--from", "{folder}"), 1, "Not a directory"),
        (("serve", "--port", "http"), 2, "whole number from 0 to 65535, got 'http'"),
        ((), 2, "usage: framekeep"),
    ],
)
def test_no_failure_is_a_traceback(
    tmp_path: Path, arguments: tuple[str, ...], status: int, sentence: str
) -> None:
    names = {"folder": str(tmp_path), "beach": str(BEACH)}
    failed = framekeep(*(argument.format(**names) for argument in arguments))
    assert failed.returncode == status
    assert sentence.format(**names) in failed.stderr.decode()
    assert b"Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sgn",), "there is no command 'sgn'; did you mean sign?"),
        (("--verison",), "there is no option '--verison'; did you mean '--version'?"),
        (("sign", "--unsgined", SOURCE), "there is no option '--unsgined'; did you mean '--unsig"),
        (("cache", "purge", "--tga=a"), "did you mean '--tag'?; options: --dev, --dialect"),
        (("cache", "prge"), "ACTION: must be one of stats, verify, purge, not 'prge'; did you me"),
        (("completion", "bsh"), "shell: must be one of bash, zsh, not 'bsh'; did you mean 'bash'?"),
        (("config", "x"), "framekeep config: error: unexpected argument 'x'"),
        (("sign",), "the following arguments are required: source\n"),
        (("render", "a.jpg", "b.webp", "flip"), "framekeep render a.jpg flip b.webp"),
        (("sign", "--dev", "dmo:a.jpg"), "invalid source 'dmo:a.jpg': write an http(s):// URL"),
        (("sign", "--dev", "dmo:a.jpg"), "the aliases: demo (FRAMEKEEP_SOURCES_ALIASES); did you "),
    ],
)
def test_what_is_misspelled_is_refused_with_what_is_allowed_and_the_nearest(
    arguments: tuple[str, ...], sentence: str
) -> None:
    failed = framekeep(*arguments)
    assert failed.returncode in {1, 2}
    assert sentence in failed.stderr.decode()


def test_an_argument_that_is_not_text_is_refused() -> None:
    failed = framekeep("sign", SOURCE, os.fsdecode(b"text:\xff"), FRAMEKEEP_LINKS_KEYS=KEY)
    assert failed.returncode == 1
    assert b"Traceback" not in failed.stderr


@pytest.mark.parametrize("arguments", [["config"], ["render", str(BEACH), "resize:9", "-"]])
def test_a_full_disk_is_an_error_and_a_closed_pipe_ends_the_command(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "proxy", *arguments]
        failed = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, env={"PATH": ""}, check=False
        )
    assert failed.returncode == 1
    assert failed.stderr == b"framekeep: No space left on device\n"
    reader, writer = os.pipe()
    os.close(reader)
    closed = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, env={"PATH": ""}, check=False
    )
    os.close(writer)
    assert (closed.returncode, closed.stderr) == (141, b"")


def test_a_link_without_a_key_is_refused_unless_it_is_asked_for() -> None:
    refused = framekeep("sign", SOURCE, "flip")
    assert refused.returncode == 2
    assert b"FRAMEKEEP_LINKS_KEYS is not set" in refused.stderr
    assert b"--unsigned" in refused.stderr
    for keys in ("", KEY):
        unsigned = framekeep("sign", "--unsigned", SOURCE, "flip", FRAMEKEEP_LINKS_KEYS=keys)
        assert unsigned.stdout.decode() == f"/_/flip/{SOURCE}\n"


def test_what_a_link_cannot_contain_is_encoded() -> None:
    printed = framekeep("sign", "--unsigned", SOURCE, "text:Größe 1/2?#", "v:a b")
    assert printed.stdout.decode() == f"/_/text:Gr%C3%B6%C3%9Fe%201%2F2%3F%23/v:a%20b/{SOURCE}\n"


def test_a_preset_stays_in_a_signed_link() -> None:
    presets = '{"card": "resize:400:300"}'
    printed = framekeep(
        *("sign", "--unsigned", SOURCE, "preset:card", "tint:red"), FRAMEKEEP_LINKS_PRESETS=presets
    )
    assert printed.stdout.decode() == f"/_/preset:card/tint:FF0000/{SOURCE}\n"
    unknown = framekeep(
        *("sign", "--unsigned", SOURCE, "preset:crad"), FRAMEKEEP_LINKS_PRESETS=presets
    )
    assert unknown.returncode == 1
    assert b"did you mean 'card'?" in unknown.stderr


def test_links_of_development_mode_are_signed_and_explained() -> None:
    link = framekeep("sign", "--dev", "demo:beach.jpg", "flip").stdout.decode().strip()
    assert link == "/_/flip/demo:beach.jpg"
    assert b"operation    flip" in framekeep("explain", "--dev", link).stdout


def test_development_mode_takes_originals_from_servers_on_this_machine() -> None:
    environment: dict[str, str] = {}
    set_dev_defaults(environment)
    settings = load(environment).settings
    assert settings.transform.allow_http
    assert "127.0.0.0/8" in settings.sources.allow_nets


def test_the_suffix_of_the_output_chooses_the_format(tmp_path: Path) -> None:
    out = tmp_path / "small.webp"
    rendered = framekeep("render", str(BEACH), "resize:40", str(out))
    assert b"webp, 40x30" in rendered.stdout
    rendered = framekeep("render", str(BEACH), "resize:40/convert:png", str(out))
    assert b"png, 40x30" in rendered.stdout
    refused = framekeep("render", str(BEACH), "resize:40", str(tmp_path / "small.doc"))
    assert b"no format has the suffix '.doc'; use one of .jpg, .jpeg," in refused.stderr


def test_info_is_rendered_as_json() -> None:
    rendered = framekeep("render", str(BEACH), "info:1x1", "-")
    info = json.loads(rendered.stdout)
    assert (info["width"], info["windows"][0]["ratio"]) == (4000, "1x1")


def test_a_watermark_is_read_from_a_file(tmp_path: Path) -> None:
    plain, marked = tmp_path / "plain.png", tmp_path / "marked.png"
    assert framekeep("render", str(BEACH), "resize:80", str(plain)).returncode == 0
    source = quote(f"file:{plain}", safe="")
    rendered = framekeep(
        "render", str(BEACH), f"resize:90/invert_colors/watermark:{source}", str(marked)
    )
    assert rendered.returncode == 0, rendered.stderr
    missing = framekeep("render", str(BEACH), "watermark:file%3Anone.png", str(marked))
    assert b"none.png: No such file or directory" in missing.stderr


def test_changed_settings_are_printed_and_all_are_checked() -> None:
    printed = framekeep("config", "--changed", FRAMEKEEP_SERVER_PORT="80")
    settings = [line for line in printed.stdout.decode().splitlines() if line[0] != " "]
    assert settings == ["FRAMEKEEP_SERVER_PORT=80"]
    bad = framekeep("config", "--check")
    assert bad.returncode == 2
    assert b"FRAMEKEEP_LINKS_KEYS is not set" in bad.stderr
    good = framekeep("config", "--check", FRAMEKEEP_LINKS_KEYS=KEY)
    assert good.returncode == 0, good.stderr
    assert good.stdout == b""


def test_sign_says_what_a_rule_allows_and_chooses_within_it() -> None:
    steps = ("resize:{320,640}", "convert:auto")
    rule = framekeep("sign", SOURCE, *steps, FRAMEKEEP_LINKS_KEYS=KEY)
    link = rule.stdout.decode().strip()
    assert link.endswith(f"/resize:%7B320,640%7D/convert:auto/{SOURCE}")
    assert b"resize: width_in_px: 320, 640" in rule.stderr
    assert b"renditions   8 of one original" in rule.stderr
    chosen = framekeep("sign", SOURCE, *steps, "--choose", "640", FRAMEKEEP_LINKS_KEYS=KEY)
    assert chosen.stdout.decode().strip() == link.replace("/resize", "/choose:640/resize")
    refused = framekeep("sign", SOURCE, *steps, "--choose", "641", FRAMEKEEP_LINKS_KEYS=KEY)
    assert refused.returncode == 1
    assert b"the nearest is 640" in refused.stderr
