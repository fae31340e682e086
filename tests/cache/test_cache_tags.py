from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.cache_tags import ALL_TAG, cdn_tag, cdn_tags, tag_headers


def test_a_tag_has_a_form_for_cdns() -> None:
    assert cdn_tag("tag:shop/shoes:42") == "shop/shoes:42"
    assert cdn_tag("preset:card") == "preset-card"
    assert cdn_tag("source:https://a.example/b c,d") == "source-314aaa4521082e87"


def test_a_tag_that_cdns_cannot_have_is_left_out() -> None:
    for text in ("", "a b", "a,b", 'a"b', "ä", "a\nb", "x" * 257):
        assert cdn_tag(f"tag:{text}") == ""


@given(st.lists(st.text().map(lambda text: f"tag:{text}") | st.text()))
def test_all_tags_fit_a_header_and_are_separable(tags_in: list[str]) -> None:
    tags = cdn_tags(tags_in)
    assert tags[0] == ALL_TAG
    assert len(",".join(tags)) <= 2048
    joined = ",".join(tags)
    assert joined.isascii()
    assert joined.isprintable()
    assert " ".join(tags).split(" ") == joined.split(",") == list(tags)


def test_each_cdn_reads_the_tags_in_its_own_way() -> None:
    headers = tag_headers(("Surrogate-Key", "CDN-Tag", "Edge-Cache-Tag"), ["tag:a", "tag:b"])
    assert headers == [
        (b"surrogate-key", b"framekeep a b"),
        (b"cdn-tag", b"framekeep,a,b"),
        (b"edge-cache-tag", b"framekeep,a,b"),
    ]
    many = [f"tag:{number:0>100}" for number in range(50)]
    ((_, value),) = tag_headers(("CDN-Tag",), many)
    assert 900 < len(value) <= 1024


def test_the_source_tag_comes_first() -> None:
    assert cdn_tags(["source:x", *(f"tag:{number:0>100}" for number in range(50))])[1].startswith(
        "source-"
    )
