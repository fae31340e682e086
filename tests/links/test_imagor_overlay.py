"""imagor's `image(…)`: an overlay with a link of its own, placed on the picture."""

import pytest
from links.thumbor_fixture import meaning

from proxy.errors import InvalidLink

LOGO = "h.example/l.png"
SOURCE = "watermark:https%3A%2F%2Fh.example%2Fl.png"


def overlay(call: str, parts: str = "300x200") -> str:
    """The step that lays it over the picture."""
    link = f"{parts}/filters:{call}".removeprefix("/")
    return meaning(link, is_imagor=True).rpartition("/")[2]


@pytest.mark.parametrize(
    ("call", "step"),
    [
        (f"image({LOGO})", "northwest"),
        (f"image(/{LOGO},10,20)", "northwest:10:20"),
        (f"image({LOGO},-10,-20)", "southeast:10:20"),
        (f"image({LOGO},right,bottom)", ""),
        (f"image({LOGO},r,b)", ""),
        (f"image({LOGO},center,center)", "center"),
        (f"image({LOGO},left-5,t-7)", "northwest:-5:-7"),
        (f"image({LOGO},right-5,b-7)", "southeast:-5:-7"),
        (f"image({LOGO},10p,-20p)", "southwest:0.1:0.2"),
        (f"image({LOGO},0.25,-0.5)", "southwest:0.25:0.5"),
        (f"image({LOGO},repeat,repeat)", "northwest:0:0:100:::true"),
        (f"image({LOGO},repeat,b)", "southwest:0:0:100:::true:horizontal"),
        (f"image({LOGO},center,repeat)", "north:0:0:100:::true:vertical"),
        (f"image({LOGO},0,0,30)", "northwest:0:0:70"),
        (f"image({LOGO},0,0,30,Multiply)", "northwest:0:0:70:::false:both:multiply"),
    ],
)
def test_it_is_placed(call: str, step: str) -> None:
    assert overlay(call) == f"{SOURCE}:{step}".removesuffix(":")


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        (f"100x50/{LOGO}", "resize%3A100%3A50"),
        (f"fit-in/100x50/{LOGO}", "resize%3A100%3A50%3Ainside"),
        (f"-100x50/left/{LOGO}", "resize%3A100%3A50%3Acover%3Awest%2Fflop"),
        (f"100x50/5x6/{LOGO}", "resize%3A100%3A50%2Fextend%3A6%3A6%3A5%3A5%3Atransparent"),
        (
            f"100x50/filters:rgb(1,2,3):grayscale()/{LOGO}",
            "resize%3A100%3A50%2Fshift_colors%3A1%3A2%3A3%2Fgrayscale",
        ),
        (f"fxf/{LOGO}", "resize%3A300%3A200"),
        (f"full-20x-f-50/{LOGO}", "resize%3A280%3A150%2Fflip"),
        (f"fx0/{LOGO}", "resize%3A300"),
        (f"fit-in/fullxfull-1/{LOGO}", "resize%3A300%3A199%3Ainside"),
    ],
)
def test_it_has_steps_of_its_own(path: str, steps: str) -> None:
    expected = f"{SOURCE}:northwest:0:0:100:::false:both:normal:{steps}"
    assert overlay(f"image({path})") == expected


@pytest.mark.parametrize(
    ("parts", "filters", "size"),
    [
        ("fit-in/300x200", "fill(red):", "resize%3A300%3A200"),
        ("300x200/5x10", "fill(red):", "resize%3A310%3A220"),
        ("300x200", "rotate(90):", "resize%3A200%3A300"),
        ("300x200", "rotate(180):blur(2):", "resize%3A300%3A200"),
    ],
)
def test_full_is_the_size_after_the_filters_in_front(parts: str, filters: str, size: str) -> None:
    assert overlay(f"{filters}image(fxf/{LOGO})", parts).endswith(size)


@pytest.mark.parametrize(
    ("parts", "filters"),
    [
        ("fit-in/300x200", ""),
        ("300x0", ""),
        ("", ""),
        ("300x200", "proportion(0.5):"),
        ("300x200", "no_upscale():"),
    ],
)
def test_full_is_refused_where_the_link_does_not_say_the_size(parts: str, filters: str) -> None:
    with pytest.raises(InvalidLink, match="image: full is possible where the link gives"):
        overlay(f"{filters}image(fxf/{LOGO})", parts)


def test_a_flag_counts_wherever_it_is_written() -> None:
    with pytest.raises(InvalidLink, match="image: full is possible where the link gives"):
        overlay(f"image(fxf/{LOGO}):no_upscale()")


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("image()", "image: takes 1 to 5 values, not 0"),
        (f"image(100x50/filters:image({LOGO})/{LOGO})", "'image' is no filter of an overlay"),
        (f"image(filters:format(png)/{LOGO})", "'format' is no filter of an overlay; filters: "),
        (f"image(filters:blur(x)/{LOGO})", "image: blur: sigma: must be a number"),
        (f"image(meta/{LOGO})", "image: meta: an overlay is an image"),
        (f"image(f-300x10/{LOGO})", "image: 'f-300': the picture has 300 pixels"),
        (f"image({LOGO},top,0)", "image: x: must be pixels, a percentage"),
        (f"image({LOGO},0,left)", "image: y: must be pixels, a percentage"),
        (f"image({LOGO},100p,0)", "image: x: must be pixels, a percentage up to 99"),
        (f"image({LOGO},0,0,101)", "image: alpha: must be a number from 0 to 100"),
        (f"image({LOGO},0,0,0,mask)", "image: the blend mode must be one of normal, multiply"),
        (f"image(filters:{':'.join(['blur(2)'] * 9)}/{LOGO})", "at most 8 operations, not 9"),
    ],
)
def test_what_cannot_be_had_is_refused(call: str, reason: str) -> None:
    with pytest.raises(InvalidLink, match=reason):
        overlay(call)


def test_sources_of_overlays_may_be_base64() -> None:
    assert overlay("image(b64:aHR0cHM6Ly9oLmV4YW1wbGUvbC5wbmc)") == f"{SOURCE}:northwest"
    assert overlay("watermark(b64:aHR0cHM6Ly9oLmV4YW1wbGUvbC5wbmc)") == f"{SOURCE}:northwest"


def test_raw_sends_the_original() -> None:
    assert meaning("300x200/filters:raw()", is_imagor=True) == "pass_through"
