"""What was purged since when, in bounded memory: for entries that lie out of reach of a purge."""

from proxy.cache.store import All, ByTag, ByTagPrefix, Entry, Selector

_MAX_BYTES = 4 * 1024 * 1024
_MAX_PREFIXES = 1000
"""Each of them is compared with every tag of an entry."""

_ROW_BYTES = 120
"""Of a selector in memory, beside its text."""


class PurgeLog:
    """The time of the last purge of each tag and prefix, in Unix seconds.

    What is too much is forgotten, the oldest first. Everything from before that counts as purged.
    """

    def __init__(self, *, max_bytes: int = _MAX_BYTES, max_prefixes: int = _MAX_PREFIXES) -> None:
        self._max_bytes = max_bytes
        self._max_prefixes = max_prefixes
        self._all_at = 0.0
        self._tags: dict[str, float] = {}
        self._prefixes: dict[str, float] = {}
        self._bytes = 0
        self._latest = 0.0

    def __len__(self) -> int:
        return len(self._tags) + len(self._prefixes)

    def record(self, selector: Selector, at: float) -> None:
        self._latest = max(self._latest, at)
        match selector:
            case All():
                self._all_at = max(self._all_at, at)
                return
            case ByTag(text):
                times = self._tags
            case ByTagPrefix(text):
                times = self._prefixes
        if text not in times:
            self._bytes += _ROW_BYTES + len(text)
        times[text] = max(times.get(text, 0.0), at)
        if self._bytes > self._max_bytes:
            self._all_at = max(self._all_at, self._forget_half(self._tags, self._prefixes))
        elif len(self._prefixes) > self._max_prefixes:
            self._all_at = max(self._all_at, self._forget_half(self._prefixes))

    def selects(self, entry: Entry, since: float) -> bool:
        """Whether a purge since then selects this entry."""
        if self._all_at >= since or any(self._tags.get(tag, 0.0) >= since for tag in entry.tags):
            return True
        prefixes = tuple(prefix for prefix, at in self._prefixes.items() if at >= since)
        return any(tag.startswith(prefixes) for tag in entry.tags)

    def clamp(self, now: float) -> None:
        """Date purges from the future now: the clock was ahead when they were recorded.

        Else everything that is stored until then would count as purged.
        """
        if self._latest <= now:
            return
        self._latest = now
        self._all_at = min(self._all_at, now)
        for times in (self._tags, self._prefixes):
            times.update({text: now for text, at in times.items() if at > now})

    def forget(self, before: float) -> None:
        """Forget the purges from before that time: there are no older entries."""
        for times in (self._tags, self._prefixes):
            for text in [text for text, at in times.items() if at < before]:
                self._remove(times, text)

    def _forget_half(self, *all_times: dict[str, float]) -> float:
        """Return the time of the last purge that is forgotten."""
        limit = sorted(at for times in all_times for at in times.values())
        middle = limit[len(limit) // 2]
        for times in all_times:
            for text in [text for text, at in times.items() if at <= middle]:
                self._remove(times, text)
        return middle

    def _remove(self, times: dict[str, float], text: str) -> None:
        del times[text]
        self._bytes -= _ROW_BYTES + len(text)
