"""Cache what detectors found in an original, so that every size is placed from one detection."""

from proxy.cache import entries
from proxy.cache.store import Store
from proxy.originals import Original, digest
from proxy.smartcrop.subject import Focus
from proxy.telemetry.metrics import tell


class DetectionCache:
    """Subjects by original and detector version: another detector finds something else."""

    def __init__(self, store: Store, detector_version: str) -> None:
        self._store = store
        self._detector_version = detector_version.encode()

    async def get(self, original: Original) -> Focus | None:
        subject = entries.kept_focus(await self._store.get("focus", self._key(original)))
        tell("focus", "miss" if subject is None else "hit")
        return subject

    async def put(
        self, original: Original, subject: Focus, tags: tuple[str, ...], cost: float
    ) -> None:
        """Store the subject; ``cost`` is the seconds that the detection took."""
        entry = entries.focus_entry(subject, tags, cost)
        await self._store.put("focus", self._key(original), entry)

    def _key(self, original: Original) -> str:
        return digest(original.digest.encode(), self._detector_version)
