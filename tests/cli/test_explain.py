"""`explain` reads links of every dialect."""

from argparse import Namespace

import pytest

from proxy.cli import explain
from proxy.errors import ConfigError

URL = "https://cdn.example.com/u/42.jpg"
IMGPROXY_LINK = f"/insecure/rs:fit:300:200/q:70/plain/{URL}@webp"


def explained(
    capsys: pytest.CaptureFixture[str], link: str, **environment: str
) -> tuple[int, dict[str, str]]:
    status = explain.run(Namespace(link=link, fetch=False, dev=False, header=[]), environment)
    lines = capsys.readouterr().out.splitlines()
    return status, {line[:13].strip(): line[13:] for line in lines}


def test_a_link_of_another_dialect_is_explained_as_a_native_link(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, lines = explained(
        capsys,
        f"https://img.example.com/old{IMGPROXY_LINK}",
        FRAMEKEEP_LINKS_ALLOW_UNSIGNED="true",
        FRAMEKEEP_LINKS_MOUNTS='{"": "native", "old": "imgproxy"}',
        FRAMEKEEP_IMGPROXY_ALLOW_UNSIGNED="true",
    )
    assert status == 0
    assert lines["dialect"] == "imgproxy"
    assert lines["native"] == f"/_/resize:300:200:inside/convert:webp:70/{URL}"
    native, _ = explained(capsys, lines["native"], FRAMEKEEP_LINKS_ALLOW_UNSIGNED="true")
    assert native == 0


def test_a_native_link_has_the_same_key(capsys: pytest.CaptureFixture[str]) -> None:
    mounted = {
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
        "FRAMEKEEP_LINKS_MOUNTS": '{"n": "native", "": "imgproxy"}',
        "FRAMEKEEP_IMGPROXY_ALLOW_UNSIGNED": "true",
    }
    _, lines = explained(capsys, IMGPROXY_LINK, **mounted)
    assert lines["native"].startswith("/n/_/")
    _, native = explained(capsys, lines["native"], **mounted)
    assert native["dialect"] == "native"
    assert native["key"] == lines["key"]


def test_a_link_of_a_dialect_that_is_not_mounted_is_explained_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, lines = explained(capsys, IMGPROXY_LINK)
    assert status == 0
    assert lines["mounted"].startswith("no (FRAMEKEEP_LINKS_MOUNTS)")
    assert lines["native"] == f"/_/resize:300:200:inside/convert:webp:70/{URL}"
    status, lines = explained(capsys, IMGPROXY_LINK.replace("q:70", "q:700"))
    assert status == 1
    assert "q: must be a whole number from 0 to 100" in lines["error"]


def test_an_imgproxy_link_alone_is_explained_where_no_native_link_is_served(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, lines = explained(
        capsys,
        IMGPROXY_LINK,
        FRAMEKEEP_LINKS_MOUNTS='{"": "imgproxy"}',
        FRAMEKEEP_IMGPROXY_ALLOW_UNSIGNED="true",
    )
    assert lines["native"] == f"/_/resize:300:200:inside/convert:webp:70/{URL}"


def test_an_ipx_link_is_explained_with_what_the_lists_allow(
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment = {
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
        "FRAMEKEEP_LINKS_MOUNTS": '{"": "native", "_ipx": "ipx"}',
        "FRAMEKEEP_IPX_ALLOW_SOURCES": "https://cdn.example.com/",
        "FRAMEKEEP_IPX_ALLOW_WIDTHS": "300",
        "FRAMEKEEP_IPX_ALLOW_QUALITIES": "80",
    }
    link = f"/_ipx/s_300x200&q_80/{URL}"
    assert explain.run(Namespace(link=link, fetch=False, dev=False, header=[]), environment) == 0
    printed = capsys.readouterr().out
    assert f"/_/scale_to_box:300:200/quality:80/{URL}" in printed
    assert "allowed      widths: 300\n" in printed
    assert "renditions of one source: at most " in printed


def test_an_ipx_link_is_explained_where_it_is_not_mounted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, lines = explained(capsys, f"/_ipx/blur_5,w_300/{URL}")
    assert status == 0
    assert lines["mounted"].startswith("no (FRAMEKEEP_LINKS_MOUNTS)")
    assert lines["native"] == f"/_/resize:300::inside/blur:5/{URL}"


def test_open_fields_are_explained_with_and_without_a_choice(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unsigned = {"FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true"}
    rule = f"resize:%7B320,640%7D/convert:auto/round:up/{URL}"
    status, lines = explained(capsys, f"/_/{rule}", **unsigned)
    assert status == 0
    assert lines["open"] == "resize: width_in_px: 320, 640"
    assert lines["rounds"] == "numbers up to the next value"
    assert lines["renditions"] == "8 of one original at most"
    assert "key" not in lines
    status, chosen = explained(capsys, f"/_/choose:400/{rule}", **unsigned)
    assert status == 0
    assert chosen["canonical"] == f"/_/resize:640/convert:auto/{URL}"
    _, written = explained(capsys, chosen["canonical"], **unsigned)
    assert chosen["key"] == written["key"]
    assert "open" not in written


def test_what_client_hints_choose_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"FRAMEKEEP_LINKS_KEYS": "0f" * 16, "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true"}
    link = "/_/resize:{auto,800,320,640}/convert:auto/https://a.example/a.jpg"
    headers = ["Sec-CH-Width: 600", "accept: image/webp"]
    args = Namespace(link=link, fetch=False, dev=False, header=headers)
    assert explain.run(args, environment) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "chosen       640 by client hints" in lines
    assert "accepted     webp" in lines
    assert "operation    resize:640" in lines
    assert any(line.startswith("hints        Sec-CH-Width, Width") for line in lines)
    bad = Namespace(link=link, fetch=False, dev=False, header=["Sec-CH-Width"])
    with pytest.raises(ConfigError, match="must be a name, a colon and a value"):
        explain.run(bad, environment)


@pytest.mark.parametrize(("auto_jxl", "groups"), [("false", 4), ("true", 8)])
def test_the_groups_of_clients_are_those_of_the_settings(
    capsys: pytest.CaptureFixture[str], auto_jxl: str, groups: int
) -> None:
    settings = {
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
        "FRAMEKEEP_LINKS_AUTO_JXL": auto_jxl,
        "FRAMEKEEP_LINKS_MOUNTS": '{"": "native", "i": "ipx"}',
        "FRAMEKEEP_IPX_ALLOW_SOURCES": "https://cdn.example.com/",
        "FRAMEKEEP_IPX_ALLOW_WIDTHS": "100",
        "FRAMEKEEP_IPX_ALLOW_HEIGHTS": "100",
        "FRAMEKEEP_IPX_ALLOW_QUALITIES": "80",
        "FRAMEKEEP_IPX_ALLOW_FORMATS": "auto",
        "FRAMEKEEP_IPX_ALLOW_MODIFIERS": "",
    }
    _, lines = explained(capsys, f"/_/convert:auto/{URL}", **settings)
    assert lines["format"] == f"from the Accept header, in {groups} groups: one rendition each"
    explain.run(Namespace(link=f"/i/f_auto/{URL}", fetch=False, dev=False, header=[]), settings)
    most = 2 * 2 * 2 * (1 + groups)
    assert f"renditions of one source: at most {most}" in capsys.readouterr().out
