from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.cache_tags import EVERY, tag_of, tags_of


def test_labels_are_called_so_at_cdns() -> None:
    assert tag_of("tag:shop/shoes:42") == "shop/shoes:42"
    assert tag_of("preset:card") == "preset-card"
    assert tag_of("source:https://a.example/b c,d") == "source-314aaa4521082e87"


def test_what_cannot_be_a_tag_is_left_out() -> None:
    for text in ("", "a b", "a,b", 'a"b', "ä", "a\nb", "x" * 257):
        assert tag_of(f"tag:{text}") == ""


@given(st.lists(st.text().map(lambda text: f"tag:{text}") | st.text()))
def test_all_tags_fit_a_header_and_are_told_apart(labels: list[str]) -> None:
    tags = tags_of(labels)
    assert tags[0] == EVERY
    assert len(",".join(tags)) <= 2048
    joined = ",".join(tags)
    assert joined.isascii()
    assert joined.isprintable()
    assert " ".join(tags).split(" ") == joined.split(",") == list(tags)


def test_a_source_s_address_comes_before_its_tags() -> None:
    assert tags_of(["source:x", *(f"tag:{number:0>100}" for number in range(50))])[1].startswith(
        "source-"
    )
