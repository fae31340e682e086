"""The comparison of servers: equal links, equal look, and tables that say what failed."""

from pathlib import Path

import pytest
from equal_look import Look, find_look
from load_generator import WrongResponse
from measure import RunPlan
from results import Results
from scenarios import ImageSpec
from servers import Imagor, Imgproxy, Server, Sharp
from servers.server import Efforts
from tables import Table, place_report, results_table

SHARPENED = ImageSpec(1200, 630, "webp", 85, smart=True, sharpen=0.5)
AVIF = ImageSpec(800, 0, "avif", 50)
SOURCE = "http://127.0.0.1/1/a.jpg"


def test_the_sharpening_of_imagor_is_converted(tmp_path: Path) -> None:
    # sharpen(a) is a sigma of 1 + 2 a, so a sigma of 0.5 is an a of -0.25.
    assert "sharpen(-0.25):" in Imagor(tmp_path).link(SHARPENED, SOURCE)


def test_imagor_listens_on_loopback_only(tmp_path: Path) -> None:
    server = Imagor(tmp_path)
    command = server.command()
    assert command[command.index("-bind") + 1] == f"127.0.0.1:{server.port}"


def test_the_same_effort_is_asked_of_each_server_in_its_own_words(tmp_path: Path) -> None:
    efforts = Efforts(webp=4, avif_speed=5)
    assert "effort=4" in Sharp(tmp_path, efforts=efforts).link(AVIF, SOURCE)
    environment = Imgproxy(tmp_path, efforts=efforts).environment()
    assert (environment["IMGPROXY_WEBP_EFFORT"], environment["IMGPROXY_AVIF_SPEED"]) == ("4", "5")
    assert Imagor(tmp_path, efforts=efforts).command()[-2:] == ["-vips-avif-speed", "5"]


@pytest.mark.parametrize("server", [Imgproxy, Imagor])
def test_without_efforts_a_server_keeps_its_own(tmp_path: Path, server: type[Server]) -> None:
    names = [*server(tmp_path).command(), *server(tmp_path).environment()]
    assert not {"-vips-avif-speed", "IMGPROXY_AVIF_SPEED", "IMGPROXY_WEBP_EFFORT"} & set(names)


def test_the_first_quality_that_reaches_the_score_is_found() -> None:
    seen = []

    def look(quality: int) -> Look:
        seen.append(quality)
        return Look(quality, score=quality + 7.5, bytes=100 * quality)

    low, high = find_look(look, score=70)

    assert (low.quality, high.quality) == (62, 63)
    assert len(seen) <= 6


def test_a_score_that_no_quality_reaches_is_an_error() -> None:
    with pytest.raises(WrongResponse, match="no quality has a SSIMULACRA2 of 70"):
        find_look(lambda quality: Look(quality, score=50, bytes=1), score=70)


def refuse() -> None:
    raise OSError("connection\nrefused")


def test_an_error_is_a_row_and_a_line_below_the_table() -> None:
    results = Results()
    with results.of("304", "sharp").noting_errors():
        refuse()

    table = results_table("Hits", "", results, RunPlan(1, 1.0, (1,)))

    assert table.markdown().endswith(
        "| 304 | sharp | - | - | - | - | - |\n\n- 304, sharp: connection refused"
    )


def test_numbers_are_written_with_three_digits() -> None:
    table = Table("Pages", "", ("scenario", "server", "ms", "CPU"))
    table.add("page", "sharp", 1234.5, None)
    assert table.rows == [["page", "sharp", "1,234", "-"]]


def test_a_report_replaces_the_older_one_between_the_marks() -> None:
    begin, end = (
        f"<!-- written by `bench/run --markdown`: {which} -->" for which in ("begin", "end")
    )
    page = f"# Page\n\n{begin}\n\nold\n\n{end}\n\nmore\n"

    assert place_report("new", page) == page.replace("old", "new")
    assert place_report("new", "no marks") == "new\n"
