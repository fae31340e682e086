"""Shards: every source is in one of them, and most stay as they are when the manifest grows."""

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ConfigError
from proxy.prepare.manifest import ManifestRow
from proxy.prepare.shards import SHARD_SOURCES, Shard, ShardedManifest, Slice, count_shards

WHOLE = Slice(1, 1)


def shards(rows: Iterable[ManifestRow], part: Slice = WHOLE) -> list[Shard]:
    with ShardedManifest(part) as manifest:
        for row in rows:
            manifest.add(row)
        return list(manifest.shards())


def sources(count: int) -> list[ManifestRow]:
    return [ManifestRow(f"media:{number}.jpg") for number in range(count)]


@given(st.integers(0, 700), st.integers(1, 7))
def test_the_parts_of_a_manifest_have_every_source_once(count: int, parts: int) -> None:
    found = Counter(
        row
        for number in range(1, parts + 1)
        for shard in shards(sources(count), Slice(number, parts))
        for row in shard.rows
    )
    assert found == Counter(sources(count))


def test_a_shard_has_about_200_sources_and_a_name_of_its_own() -> None:
    found = shards(sources(3000))
    sizes = [len(shard.rows) for shard in found]
    assert len({shard.name for shard in found}) == len(found) == count_shards(3000) == 16
    assert max(sizes) < SHARD_SOURCES * 1.5
    assert found == shards(reversed(sources(3000)))


def test_a_further_source_changes_one_shard() -> None:
    before = {shard.digest("job") for shard in shards(sources(3000))}
    after = {shard.digest("job") for shard in shards(sources(3001))}
    assert len(after - before) == 1
    assert not before & {shard.digest("another job") for shard in shards(sources(3000))}


def test_a_source_that_is_listed_twice_has_the_presets_and_tags_of_both() -> None:
    once = ManifestRow("media:a", ("card",), ("x",))
    twice = ManifestRow("media:a", ("hero", "card"), ("y",))
    other_version = ManifestRow("media:a", version="2")
    (shard,) = shards([once, other_version, twice])
    assert set(shard.rows) == {
        ManifestRow("media:a", ("card", "hero"), ("x", "y")),
        other_version,
    }


def test_a_source_that_is_listed_again_much_later_is_merged_as_well() -> None:
    with ShardedManifest(WHOLE) as manifest:
        manifest.add(ManifestRow("media:a", ("card",)))
        assert len(manifest) == 1  # which writes what is there
        manifest.add(ManifestRow("media:a", ("hero",)))
        assert list(manifest) == [ManifestRow("media:a", ("card", "hero"))]


def test_a_name_that_two_sources_would_have_is_found_in_all_parts() -> None:
    with ShardedManifest(Slice(3, 100)) as manifest:
        manifest.add(ManifestRow("media:a.jpg"), "a")
        manifest.add(ManifestRow("media:a.jpg"), "a")
        assert manifest.find_shared_name() is None
        manifest.add(ManifestRow("media:a.png"), "a")
        assert manifest.find_shared_name() == "a"


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "1/100001", "-1/4", "1/4/4"])
def test_an_odd_part_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="must be NUMBER/COUNT, such as 17/400"):
        Slice.parse(text)


def test_a_part_is_written_as_it_is_read() -> None:
    assert str(Slice.parse("17/400")) == "17/400"
