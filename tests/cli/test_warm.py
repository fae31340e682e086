"""The command `warm`, against a server: each format once, long lists, failures, and retries."""

import asyncio
import io
import json
import os
import sys
from pathlib import Path

import pytest
from aiohttp import web
from dev_server import ALLOW_LOOPBACK, DevServer, dev_server
from hypothesis import given, settings
from hypothesis import strategies as st
from origin_server import OriginServer
from pictures import encode, scene

from proxy.cli.progress import ProgressReport
from proxy.cli.warm_failure import Failure
from proxy.cli.warm_list import MAX_LINE_BYTES, SeenLinks, count_lines, read_lines
from proxy.cli.warm_rules import RuleExpander
from proxy.errors import ConfigError

pytestmark = pytest.mark.anyio

CLASSES = ("image/avif,image/webp,*/*", "image/webp,*/*", "image/avif,*/*", "*/*")
PRESETS = {
    "FRAMEKEEP_LINKS_PRESETS": '{"small": "resize:20", "large": "resize:40/convert:auto"}',
    "FRAMEKEEP_LINKS_KEYS": "0f" * 16,
}


async def warm(
    *arguments: str | Path, base: object, stdin: str = "", **environment: str
) -> tuple[int, str, str]:
    """Run the command; returns its status and what it writes to both outputs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "warm", "--base", str(base), *map(str, arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "", **environment},
    )
    stdout, stderr = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, stdout.decode(), stderr.decode()


async def cache_states(server: DevServer, links: list[str]) -> set[str]:
    """Request each link as each class of clients."""
    responses = [
        await server.client.get(link, headers={"accept": accept})
        for link in links
        for accept in CLASSES
    ]
    assert {response.status_code for response in responses} == {200}
    return {response.headers["x-cache"] for response in responses}


async def test_each_format_that_a_client_may_get_is_warmed_once(
    tmp_path: Path, origin: OriginServer
) -> None:
    picture = origin.serve("/warm/a.png", encode(scene()))
    links = [f"/_/resize:60/convert:auto/{picture}", f"/_/resize:30/convert:jpeg/{picture}"]
    file = tmp_path / "list"
    file.write_text("\n".join(links))
    async with dev_server(tmp_path / "cache", environment=ALLOW_LOOPBACK) as server:
        status, output, errors = await warm(file, base=server.client.base_url)
        assert (status, output) == (0, "2 warmed, 0 failed, 0 skipped\n")
        assert not errors
        assert await cache_states(server, links) == {"hit"}
    assert origin.count("/warm/a.png") == 1


async def test_links_are_requested_with_each_class_of_accept_if_they_vary(
    tmp_path: Path, origin: OriginServer
) -> None:
    origin.serve("/warm/auto", b"-", headers={"Vary": "Origin, Accept"})
    origin.serve("/warm/jpeg", b"-", headers={"Vary": "Origin"})
    done = tmp_path / "done"
    text = "/warm/auto\n/warm/jpeg\n\n/warm/auto\n"
    result = await warm("-", "--done", done, base=origin.url(""), stdin=text)
    assert result == (0, "2 warmed, 0 failed, 1 skipped\n", "")
    assert sorted(done.read_text().splitlines()) == ["/warm/auto", "/warm/jpeg"]
    accepts = {
        path: sorted(r.headers["accept"] for r in origin.requests if r.target == path)
        for path in ("/warm/auto", "/warm/jpeg")
    }
    assert accepts == {"/warm/auto": sorted(CLASSES), "/warm/jpeg": ["*/*"]}
    # The second run skips what is done, also where it is written as a URL.
    result = await warm(
        *("-", "--done", done), base=origin.url("/"), stdin=f"{origin.url('/warm/auto')}\n"
    )
    assert result == (0, "0 warmed, 0 failed, 1 skipped\n", "")


async def test_failures_have_the_reason_of_the_server_and_can_be_retried(
    tmp_path: Path, origin: OriginServer
) -> None:
    good = f"/_/resize:20/{origin.serve('/warm/good.png', encode(scene()))}"
    missing = f"/_/resize:20/{origin.url('/warm/late.png')}"
    failures, left = tmp_path / "failures", tmp_path / "left"
    async with dev_server(tmp_path / "cache", environment=ALLOW_LOOPBACK) as server:
        base = str(server.client.base_url).rstrip("/")
        text = f"{good}\n{missing}\n/_/resize:0/{good}\nwords\n"
        status, output, errors = await warm("-", "--failures", failures, base=base, stdin=text)
        assert status == 1
        assert output.startswith("1 warmed, 3 failed (")
        written = {line["url"]: line for line in map(json.loads, failures.read_text().splitlines())}
        assert written[base + missing] == {
            "url": base + missing,
            "accept": "*/*",
            "status": 404,
            "type": "/docs#problem-source-not-found",
            "detail": "source has no such original (status 404)",
        }
        assert written[f"{base}/_/resize:0/{good}"]["type"] == "/docs#problem-bad-plan"
        assert written["words"]["detail"] == "neither a path, which begins with /, nor a URL"
        assert "4 links, " in errors
        assert "/s, 3 failed (" in errors
        # Without a file they go to standard error, and nothing else does.
        failures.write_text(json.dumps(written[base + missing]))
        status, output, errors = await warm("--retry", failures, base=base)
        assert (status, output) == (1, "0 warmed, 1 failed (source-not-found 1), 0 skipped\n")
        assert json.loads(errors) == written[base + missing]
        # A link that is good in the end is neither failed nor written.
        failures.write_text(json.dumps({"url": base + good}) + '\n{"url": "/torn')
        status, output, _ = await warm("--retry", failures, "--failures", left, base=base)
        assert (status, output) == (1, "1 warmed, 1 failed (no response 1), 0 skipped\n")
        assert json.loads(left.read_text())["url"] == '{"url": "/torn'


async def test_a_busy_server_is_asked_again_and_a_gateway_is_quoted(origin: OriginServer) -> None:
    answers = iter([503, 429])

    async def busy(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=next(answers, 200), headers={"Retry-After": "0"})

    origin.handle("/warm/busy", busy)
    origin.serve("/warm/gateway", b"<h1>no</h1>", status=502)
    origin.serve("/warm/fallback", b"-", headers={"X-Fallback": "not-an-image"})
    text = "/warm/busy\n/warm/gateway\n/warm/fallback\n"
    status, output, errors = await warm("-", base=origin.url(""), stdin=text)
    assert (status, output.partition(" (")[0]) == (1, "1 warmed, 2 failed")
    found = {line["status"]: line for line in map(json.loads, errors.splitlines())}
    assert (found[502]["type"], found[502]["detail"]) == (None, "Bad Gateway")
    assert found[200]["type"] == "/docs#problem-not-an-image"


async def test_one_class_may_fail(origin: OriginServer) -> None:
    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        is_bad = request.headers["accept"] == "image/avif,*/*"
        return web.Response(status=504 if is_bad else 200, headers={"Vary": "Accept"})

    origin.handle("/warm/heavy", respond)
    status, output, errors = await warm("-", base=origin.url(""), stdin="/warm/heavy\n")
    assert (status, output) == (1, "0 warmed, 1 failed (status 504 1), 0 skipped\n")
    assert json.loads(errors)["accept"] == "image/avif,*/*"


async def test_sources_are_warmed_by_preset_in_all_formats(
    tmp_path: Path, origin: OriginServer
) -> None:
    url = origin.serve("/warm/preset.png", encode(scene()))
    async with dev_server(tmp_path / "cache", environment={**ALLOW_LOOPBACK, **PRESETS}) as server:
        status, output, errors = await warm(
            *("-", "--preset", "small", "--preset", "large"),
            base=server.client.base_url,
            stdin=f"{url}\nno source\n",
            **PRESETS,
        )
        assert (status, output.partition(" (")[0]) == (1, "2 warmed, 1 failed")
        assert json.loads(errors)["url"] == "no source"
        links = [f"/_/resize:20/{url}", f"/_/resize:40/convert:auto/{url}"]
        assert await cache_states(server, links) == {"hit"}


async def test_each_choice_of_a_rule_is_warmed_in_each_format(
    tmp_path: Path, origin: OriginServer
) -> None:
    picture = origin.serve("/warm/rule.png", encode(scene()))
    rule = f"resize:{{auto,60,30}}/convert:auto/{picture}"
    file = tmp_path / "list"
    file.write_text(f"/_/{rule}\n/_/choose:15/resize:{{15,20}}/{picture}\n")
    async with dev_server(tmp_path / "cache", environment=ALLOW_LOOPBACK) as server:
        status, output, errors = await warm(file, base=server.client.base_url)
        assert (status, output) == (0, "3 warmed, 0 failed, 0 skipped\n")
        assert not errors
        links = [f"/_/{rule}", *(f"/_/choose:{width}/{rule}" for width in (60, 30))]
        assert await cache_states(server, links) == {"hit"}


async def test_a_preset_with_open_fields_is_warmed_with_each_choice(
    tmp_path: Path, origin: OriginServer
) -> None:
    picture = origin.serve("/warm/preset.png", encode(scene()))
    presets = {"FRAMEKEEP_LINKS_PRESETS": '{"card": "resize:{40,50}"}'}
    environment = {**presets, "FRAMEKEEP_LINKS_KEYS": "0f" * 16}
    async with dev_server(tmp_path / "cache", environment=ALLOW_LOOPBACK | environment) as server:
        status, output, errors = await warm(
            "-", "--preset", "card", base=server.client.base_url, stdin=picture, **environment
        )
    assert (status, output) == (0, "2 warmed, 0 failed, 0 skipped\n"), errors


async def test_a_rule_with_too_many_choices_fails(origin: OriginServer) -> None:
    link = "/_/resize:{1..50}/dpr:{1,2}/media:a.jpg"
    status, output, errors = await warm("-", "--max-choices", "99", base=origin.url(""), stdin=link)
    assert (status, output) == (1, "0 warmed, 1 failed (no response 1), 0 skipped\n")
    assert "the link has 100 choices, more than 99 (--max-choices)" in errors
    assert not origin.requests


@given(
    st.lists(st.integers(1, 999), min_size=1, max_size=4, unique=True),
    st.sampled_from(("_", "A" * 22, "-" * 43)),
    st.sampled_from(("", "/img", "https://img.example.com", "https://img.example.com/img/resize")),
    st.sampled_from(("media:a/{1,2}.jpg", "https://a.example/x:{1,2}/blur:{3,4}", "b64:AAAA")),
    st.sampled_from(("", "text:%7B1,2%7D/", "preset:card/", "attachment/")),
)
def test_a_rule_is_found_by_its_text(
    widths: list[int], signature: str, base: str, source: str, before: str
) -> None:
    grid = ",".join(map(str, widths))
    rest = f"{before}resize:%7B{grid}%7D:fit=cover/convert:{{avif,webp}}/{source}"
    assert RuleExpander().expand(f"{base}/{signature}/{rest}") == [
        f"{base}/{signature}/choose:{width}:{format}/{rest}"
        for width in widths
        for format in ("avif", "webp")
    ]


@pytest.mark.parametrize(
    "link",
    [
        "/_/resize:640/media:a.jpg",
        "/_/choose:640/resize:{640,320}/media:a.jpg",
        "/resize:{640,320}/media:a.jpg",
        "/_/resize:{640,}/media:a.jpg",
        "/_/unknown:{640,320}/media:a.jpg",
        "/_/media:a/resize:{1,2}",
        "no link",
        "",
    ],
)
def test_a_link_without_open_fields_stays_as_it_is(link: str) -> None:
    assert RuleExpander().expand(link) == (link,)


async def test_links_are_requested_while_the_list_is_still_written(origin: OriginServer) -> None:
    """A list from a pipe has no length; each link is requested as it comes."""
    requested = asyncio.Event()

    async def respond(_: web.BaseRequest) -> web.StreamResponse:
        requested.set()
        return web.Response()

    origin.handle("/warm/first", respond)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "warm", "-", "--base", origin.url("")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": ""},
    )
    assert process.stdin is not None
    process.stdin.write(b"/warm/first\n/war")
    await process.stdin.drain()
    await requested.wait()
    output, _ = await process.communicate(b"m/gone\n")
    assert output == b"1 warmed, 1 failed (status 404 1), 0 skipped\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "one of the arguments FILE --retry is required"),
        (("{list}", "--retry", "{list}"), "not allowed with argument"),
        (("--retry", "{list}", "--preset", "a"), "--preset is for lists of sources"),
        (("--retry", "{list}", "--failures", "{list}"), "the same file"),
        (("{list}", "--done", "{list}"), "the same file"),
        (("{list}", "--done", "{other}", "--failures", "{other}"), "the same file"),
        (("{list}", "--base", "img.example.com"), "--base img.example.com: invalid URL"),
        (("{long}",), "line 2 is longer than 65536 bytes"),
    ],
)
async def test_arguments_that_make_no_sense_are_refused(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    names = {name: tmp_path / name for name in ("list", "other", "long")}
    names["list"].write_text("/a\n")
    names["long"].write_text("/a\n/" + "a" * MAX_LINE_BYTES)
    status, _, errors = await warm(
        *(argument.format(**names) for argument in arguments), base="http://127.0.0.1:9"
    )
    assert status == 2
    assert sentence in errors
    assert names["list"].read_text() == "/a\n"


async def _read(name: str) -> list[str]:
    return [line async for line in read_lines(name)]


@settings(max_examples=30)
@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=20), max_size=40
    )
)
def test_a_list_is_read_line_by_line_without_blank_lines(lines: list[str]) -> None:
    reader, writer = os.pipe()
    os.write(writer, "\n".join(lines).encode())
    os.close(writer)
    expected = [line.strip() for line in lines if line.strip()]
    assert asyncio.run(_read(f"/dev/fd/{reader}")) == expected
    assert count_lines(f"/dev/fd/{reader}") is None
    os.close(reader)


async def test_a_long_list_is_counted_and_read_across_parts(tmp_path: Path) -> None:
    path = tmp_path / "list"
    lines = [f"/_/resize:{number}/é" for number in range(20_000)]
    path.write_text("\n".join(lines))
    assert count_lines(str(path)) == 20_000
    assert await _read(str(path)) == lines
    path.write_bytes(b"/a\n\xff\n")
    with pytest.raises(ConfigError, match="not a text file: line 2 is not UTF-8"):
        await _read(str(path))


def test_a_link_is_new_once() -> None:
    seen = SeenLinks()
    assert [seen.add(link) for link in ("/a", "/b", "/a")] == [True, True, False]
    seen.close()


def test_the_progress_names_rate_reasons_and_the_time_left_where_the_number_is_known() -> None:
    failures = io.StringIO()
    report = ProgressReport(1000, failures, io.StringIO())
    report.done, report.failed, report.skipped = 95, 5, 100
    for number in range(4):
        problem = f"/docs#problem-{'bad-plan' if number < 2 else f'p{number}'}"
        report.add_failure(Failure("/", "*/*", 400, problem, "…"))
    report.add_failure(Failure("/", "*/*", 502, "about:blank", "…"))
    assert report.progress(50.0) == (
        "200/1000 links, 2.0/s, 5 failed (bad-plan 2, p2 1, p3 1, others 1), 0:06:40 left"
    )
    assert len(failures.getvalue().splitlines()) == 5
    report.expect(500)
    assert report.progress(50.0).startswith("200/1500 links")
    unknown = ProgressReport(None, failures, io.StringIO())
    unknown.done = 7
    assert unknown.progress(2.0) == "7 links, 3.5/s, 0 failed"
    assert unknown.progress(0.0) == "7 links, 0.0/s, 0 failed"
